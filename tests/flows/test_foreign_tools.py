"""Tools nobody here wrote: swaks and smtplib submit, smtp-sink receives, mailauth verifies."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

from mta.core.domain_records import RecordKind, WantedRecord
from tests.support.engine import Engine, configuration, running
from tests.support.mailauth import dkim_verdicts
from tests.support.receiver import Receiver
from tests.support.tools import find_tool


@asynccontextmanager
async def smtp_sink(directory: Path) -> AsyncIterator[int]:
    """Run Postfix's smtp-sink, which stores each message in a file of its own; give its port."""
    program = find_tool("smtp-sink", "/usr/sbin/smtp-sink")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        program, "-u", "root", "-d", f"{directory}/%M.", f"127.0.0.1:{port}", "100"
    )
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.02)
            writer.close()
            await writer.wait_closed()
        yield port
    finally:
        process.terminate()
        await process.wait()


async def dns_records(engine: Engine) -> list[WantedRecord]:
    """Add the sender domain; return the DKIM records that would be published."""
    code, output, errors = await engine.mta("domain", "add", "sender.test", "--json")
    assert code == 0, errors
    return [
        WantedRecord(RecordKind.DKIM, record["type"], record["name"], record["value"])
        for record in json.loads(output)["records"]
        if "_domainkey" in record["name"]
    ]


async def test_swaks_and_the_api_to_smtp_sink_with_one_valid_signature_per_algorithm(
    tmp_path: Path,
) -> None:
    swaks = find_tool("swaks")
    spool = tmp_path / "sink"
    spool.mkdir()
    async with smtp_sink(spool) as port:
        config = configuration(routing={"*": f"smtp://127.0.0.1:{port}"})
        async with running(tmp_path, config) as engine, engine.journal() as until:
            records = await dns_records(engine)
            process = await asyncio.create_subprocess_exec(
                swaks,
                *("--server", f"127.0.0.1:{engine.smtp_port}", "--from", "app@sender.test"),
                *("--to", "you@dest.test,two@dest.test", "--header", "Subject: swaks"),
                *("--body", "Hello\n.dot\n..two  \n\n", "--pipeline"),
                stdout=asyncio.subprocess.PIPE,
            )
            output, _ = await process.communicate()
            assert process.returncode == 0, output
            await until(count=2, kind="delivered")
            email = {
                "from": {"email": "app@sender.test", "name": "Grüße, Shop"},
                "to": "three@dest.test",
                "subject": "Ä" * 200,
                "text": "Hallo\r\n" + "lang " * 400,
                "html": "<p>Hallo</p>",
                "attachments": [{"filename": "Ä.txt", "content": "SGVsbG8="}],
            }
            answer = await engine.call("POST", "/v1/emails", email)
            assert answer.status == 200, answer
            await until(count=3, kind="delivered")
            assert await engine.stop() == 0
    files = sorted(spool.iterdir())
    assert len(files) == 2
    for file in files:
        stored = file.read_bytes()
        message = b"\r\n".join(_message_of(stored).splitlines()) + b"\r\n"
        verdicts = dkim_verdicts(message, records, tmp_path)
        assert Counter(verdict.algorithm for verdict in verdicts) == {
            "rsa-sha256": 1,
            "ed25519-sha256": 1,
        }
        assert {verdict.result for verdict in verdicts} == {"pass"}
        assert {verdict.domain for verdict in verdicts} == {"sender.test"}


def _message_of(stored: bytes) -> bytes:
    """Return the message in a file of smtp-sink, which puts the envelope in X- lines before it."""
    lines = stored.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(b"DKIM-Signature:"))
    return b"".join(lines[start:])


async def test_smtplib_submits_with_a_password_and_without(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@sender.test", "you@dest.test", "Ü"
    message.set_content("Grüße\n")

    def submit(port: int, key: str) -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            if key:
                client.login("any name", key)
            client.send_message(message)

    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://127.0.0.1:{receiver.port}"})
        config = config.replace(
            'listen = ["127.0.0.1:0"]', 'listen = ["127.0.0.1:0"]\nrequire_tls_for_auth = false'
        )
        async with running(tmp_path, config) as engine:
            await asyncio.to_thread(submit, engine.smtp_port, "")
            await asyncio.to_thread(submit, engine.smtp_port, engine.key)
            first, second = await receiver.wait_for(2)
    assert b"with ESMTP\r\n\tid" in first.data
    assert b"with ESMTPA\r\n\tid" in second.data
    assert engine.key.encode() not in second.data
