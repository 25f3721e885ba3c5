"""On every way in, the disk has the message before the client has its 2xx. (A12)

The server is recorded under strace. What is looked for is a text that the stored message has and
one that the reply has; between the write of the first and the sending of the second the file has
to be synced.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import smtplib
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.faults.harness.targets import Mailwright, free_port
from tests.faults.power import trace

HEADER = b"From: a@sender.test\r\nSubject: s\r\n\r\n"
LARGE = HEADER + (b"x" * 76 + b"\r\n") * 5000
EMAIL = {"from": "a@sender.test", "to": ["b@dest.test"], "subject": "s", "text": "t"}


class Client:
    """Hands in mail on every way; remembers what to look for."""

    def __init__(self, engine: Mailwright, reports: int) -> None:
        self.engine = engine
        self.reports = reports
        self.ids: list[str] = []

    def everything(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.engine.smtp_port, timeout=30) as client:
            client.ehlo()
            for message in (HEADER + b"small\r\n", LARGE):
                assert client.mail("a@sender.test")[0] == 250
                assert client.rcpt("b@dest.test")[0] == 250
                _, text = client.data(message)
                self.ids.append(text.decode().split()[-1])
        self.ids.append(self._post("/v1/emails", EMAIL)["id"])
        batch = self._post("/v1/emails/batch", [EMAIL, EMAIL])
        self.ids += [each["id"] for each in batch["data"]]
        with smtplib.SMTP("127.0.0.1", self.reports, timeout=30) as client:
            client.ehlo()
            assert client.mail("")[0] == 250
            assert client.rcpt("postmaster@bounce.sender.test")[0] == 250
            assert client.data(HEADER + b"reported-here\r\n")[0] == 250

    def _post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.engine.api_port}{path}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.engine.key}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return json.loads(answer.read())


def hexed(text: str) -> str:
    """Return text as strace prints it."""
    return "".join(f"\\x{octet:02x}" for octet in text.encode())


def is_durable(calls: list[str], stored: str, replied: str) -> bool:
    """Tell whether a sync of the log lies between the write of one text and the other's sending."""
    log = hexed("mailwright.db-wal>").removesuffix(hexed(">"))
    to_log = [
        at
        for at, call in enumerate(calls)
        if log in call and re.match(r"\d+ +pwrite", call) and hexed(stored) in call
    ]
    replies = [
        at
        for at, call in enumerate(calls)
        if re.match(r"\d+ +(?:send|write)", call)
        and hexed("socket:") in call
        and hexed(replied) in call
    ]
    assert to_log, f"{stored} was never written"
    assert replies, f"{replied} was never sent"
    between = calls[to_log[0] : replies[0]]
    return any(re.match(r"\d+ +f(?:data)?sync", c) and log in c and "= 0" in c for c in between)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, as in Debian's package")
async def test_a12_a_sync_lies_between_the_message_and_its_reply(tmp_path: Path) -> None:
    record, reports = tmp_path / "strace", free_port()
    extra = (
        f'\n[smtp.reports]\nlisten = ["127.0.0.1:{reports}"]\ndomain = "bounce.sender.test"\n'
        "[engine]\nprocesses = 1\n"
    )
    engine = Mailwright(tmp_path, free_port(), extra=extra, prefix=trace.command(record))
    try:
        await engine.make_key()
        await engine.start()
        client = Client(engine, reports)
        await asyncio.to_thread(client.everything)
        await engine.kill()
    finally:
        await engine.abandon()
    with record.open() as lines:
        calls = list(trace._joined(lines))
    assert len(client.ids) == 5
    for email_id in client.ids:
        assert is_durable(calls, email_id, email_id), email_id
    assert is_durable(calls, "reported-here", "Ok: thank you")
