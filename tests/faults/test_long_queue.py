"""A million entries in the queue: the server starts, answers and delivers as with few. (O05)"""

from __future__ import annotations

import asyncio
import smtplib
import sqlite3
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright
from tests.faults.test_service_faults import MEBIBYTE, memory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

MESSAGES, RECIPIENTS = 100_000, 10
COPY = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO {table} ({columns})
SELECT {values} FROM numbers, (SELECT * FROM {table} LIMIT 1)
"""
CHANGED = {
    "messages": {
        "id": "id + n",
        "public_id": "'em_' || printf('%026d', n)",
        "recipients": f"{RECIPIENTS}",
        "pending": f"{RECIPIENTS}",
    },
    "entries": {
        "id": "id + n",
        "message_id": f"message_id + 1 + (n - 1) / {RECIPIENTS}",
        "recipient": "'user' || n || '@d' || (n % 1000) || '.test'",
        "domain": "'d' || (n % 1000) || '.test'",
        "due_at": "due_at + 86400000",
        "state": "0",
        "owner": "NULL",
    },
}


def multiply(database: Path) -> None:
    """Make a million waiting entries of the one there is, in 1,000 domains, due in a day."""
    with closing(sqlite3.connect(database)) as connection:
        for table, count in (("messages", MESSAGES), ("entries", MESSAGES * RECIPIENTS)):
            found = connection.execute(f"PRAGMA table_info({table})")
            columns = [row[1] for row in found]
            values = ", ".join(CHANGED[table].get(column, column) for column in columns)
            sql = COPY.format(table=table, columns=", ".join(columns), values=values)
            connection.execute(sql, (count,))
        connection.commit()


def asked(engine: Mailwright, path: str) -> float:
    """Return how long an answer takes, in seconds, at best of three."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{engine.api_port}{path}",
        headers={"Authorization": f"Bearer {engine.key}"},
    )
    times = []
    for _ in range(3):
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()
        times.append(time.monotonic() - began)
    return min(times)


async def readiness(engine: Mailwright) -> None:
    """Wait until all parts of it say that they do their work."""
    async with asyncio.timeout(60):
        while True:
            with suppress(urllib.error.HTTPError):
                await asyncio.to_thread(asked, engine, "/readyz")
                return
            await asyncio.sleep(0.1)


async def submit(engine: Mailwright, recipient: str) -> None:
    def send() -> None:
        with smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=60) as client:
            client.sendmail("a@sender.test", recipient, b"From: a@sender.test\r\n\r\nx\r\n")

    await asyncio.to_thread(send)


async def arrival(ledger: Ledger, recipient: str) -> None:
    async with asyncio.timeout(30):
        while recipient not in ledger.arrived:
            await asyncio.sleep(0.02)


async def test_o05_a_million_queued_entries_are_in_nobodys_way(tmp_path: Path) -> None:
    ledger = Ledger()
    async with Recorder(ledger, Random(1), window=0) as receiver:
        receiver.set_script("RCPT", "451 4.7.1 later")
        engine = Mailwright(tmp_path, receiver.port)
        try:
            await engine.start()
            await submit(engine, "first@dest.test")
            await engine.stop()
            multiply(engine.data / "mailwright.db")
            receiver.set_script("RCPT")
            began = time.monotonic()
            await engine.start()
            await readiness(engine)
            assert time.monotonic() - began < 20
            for path in ("/v1/emails?limit=50", "/v1/events?limit=50", "/readyz"):
                assert asked(engine, path) < 1, path
            await submit(engine, "second@dest.test")
            await arrival(ledger, "second@dest.test")
            assert memory(engine.pid) < 300 * MEBIBYTE
            await engine.stop()
        finally:
            await engine.abandon()
