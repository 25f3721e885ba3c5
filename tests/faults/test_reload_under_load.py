"""Settings are read again and certificates renewed, again and again under load. (O08)"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from random import Random

import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate

from storage.entries import EntryState
from tests.faults.harness.kills import drain
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.load import Load
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

RELOADS = 20
TLS = '[tls]\ncertificate = "{0}/tls.crt"\nkey = "{0}/tls.key"\n'


def renew(directory: Path, root: trustme.CA) -> int:
    """Put another certificate in the place of the one there is; return its serial number."""
    leaf = root.issue_cert("mta.sender.test")
    for name, text in (
        ("tls.key", leaf.private_key_pem.bytes()),
        ("tls.crt", b"".join(one.bytes() for one in leaf.cert_chain_pems)),
    ):
        new = directory / f"new-{name}"
        new.touch(0o600)
        new.write_bytes(text)
        new.replace(directory / name)
    return load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number


async def shown(port: int, root: trustme.CA) -> int:
    """Return the serial number of the certificate that STARTTLS shows; 0: it ends just now."""
    trusting = ssl.create_default_context()
    root.configure_trust(trusting)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)  # it is always open
    try:
        await reader.readuntil(b"\r\n")
        writer.write(b"EHLO x.test\r\n")
        while (await reader.readuntil(b"\r\n"))[3:4] == b"-":
            pass
        writer.write(b"STARTTLS\r\n")
        reply = await reader.readuntil(b"\r\n")
        if reply.startswith(b"421"):  # from the child that is being renewed (RFC 5321 3.8)
            return 0
        assert reply.startswith(b"220")
        await writer.start_tls(trusting, server_hostname="mta.sender.test")
        return int(writer.get_extra_info("peercert")["serialNumber"], 16)
    except (OSError, EOFError):
        return 0
    finally:
        writer.transport.abort()


async def test_o08_reloads_and_new_certificates_under_load_lose_and_repeat_nothing(
    tmp_path: Path,
) -> None:
    root, ledger, draws = trustme.CA(), Ledger(), Random(8)
    load = Load(ledger)
    renew(tmp_path, root)
    async with Recorder(ledger, draws) as receiver:
        extra = TLS.format(tmp_path) + "[engine]\nprocesses = 2\n"
        engine = Mailwright(tmp_path, receiver.port, extra=extra)
        try:
            await engine.start()
            load.start(engine.smtp_port, 3, api=(engine.api_port, engine.key), callers=2)
            for number in range(RELOADS):
                await asyncio.sleep(draws.uniform(0.2, 1.2))
                if number % 5 == 4:
                    (tmp_path / "tls.crt").write_text("no certificate")  # until the next one
                else:
                    renew(tmp_path, root)
                engine.reload()
            newest = renew(tmp_path, root)
            async with asyncio.timeout(60):
                while await shown(engine.smtp_port, root) != newest:
                    await asyncio.sleep(0.2)
            before = len(ledger.acknowledged)
            async with asyncio.timeout(60):
                while len(ledger.acknowledged) < before + 50:
                    await asyncio.sleep(0.05)
            await load.stop()
            assert await drain(ledger) < 60
            await engine.stop()
        finally:
            await engine.abandon()
    assert not load.trouble
    assert not ledger.missing()
    assert not ledger.repeated()
    assert set(engine.states()) == {EntryState.DELIVERED}
    assert "Traceback" not in engine.log.read_text()
    assert "Unclosed" not in engine.log.read_text()
