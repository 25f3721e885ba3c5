"""Addresses suppressed while mail for them is on its way: what is not on the wire stays. (L08)"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random

import pytest

from storage.entries import EntryState
from tests.faults.harness.ledger import Ledger
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

COUNT = 400
CONNECTIONS = 5
"""Slow ones, so that most of the mail is claimed and waits for one of them."""


async def post(engine: Mailwright, path: str, value: object) -> None:
    body = json.dumps(value).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", engine.api_port)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {engine.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize("is_deferred", [False, True])
async def test_l08_mail_to_addresses_that_are_suppressed_meanwhile_is_not_sent(
    tmp_path: Path, is_deferred: bool
) -> None:
    ledger, draws = Ledger(), Random(8)
    everybody = [f"ant{number}@dest.test" for number in range(COUNT)]
    async with Recorder(ledger, draws, window=0.4) as receiver:
        if is_deferred:
            receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(
            tmp_path, receiver.port, delivery=f"max_connections_per_site = {CONNECTIONS}"
        )
        try:
            await engine.start()
            emails = [
                {"from": "a@sender.test", "to": to, "subject": "s", "text": "t"} for to in everybody
            ]
            for start in range(0, COUNT, 100):
                await post(engine, "/v1/emails/batch", emails[start : start + 100])
            if not is_deferred:
                await receiver.wait_for_arrivals(20)
            unwanted = draws.sample(everybody, COUNT // 2)
            for number, start in enumerate(range(0, len(unwanted), 20)):
                before = ledger.arrived.copy()
                some = unwanted[start : start + 20]
                await post(engine, "/v1/suppressions", {"emails": some, "reason": "manual"})
                # What is on the wire now may arrive, and nothing after that.
                late = (ledger.arrived - before).keys() & set(some)
                assert len(late) <= CONNECTIONS, (number, late)
            gone = set(unwanted) - ledger.arrived.keys()
            receiver.set_script("RCPT")
            receiver.window = 0
            async with asyncio.timeout(60):
                while not set(everybody) - set(unwanted) <= ledger.arrived.keys():
                    await asyncio.sleep(0.05)
            await engine.stop()
        finally:
            await engine.abandon()
        states = engine.entries()
    assert len(gone) > COUNT // 4
    assert len(gone & ledger.arrived.keys()) <= CONNECTIONS
    for recipient in gone - ledger.arrived.keys():
        assert states[recipient] == [EntryState.SUPPRESSED], recipient
