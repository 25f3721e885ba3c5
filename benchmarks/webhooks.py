"""Webhook posts per second, from the journal to endpoints on loopback.

`python -m benchmarks.webhooks [--count 10000]`. The sender runs as in `mta serve` (uvloop, durable
storage); the receiver is a process of its own that answers 200 without looking. Prints a table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import uvloop

from control_api.http_client import HttpClient
from control_api.webhook_message import SECRET_SIZE, format_secret
from control_api.webhook_sender import WebhookSender
from mta.core import ids
from storage import events, webhook_history, webhooks
from storage.database import Connection, Database

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE = 120.0
"""Seconds that a case may take."""


@dataclass(frozen=True)
class Case:
    """One thing measured.

    Attributes:
        emails: over how many emails the events are spread; None: each has its own.
        delay_ms: how long the receiver takes.
        share: of --count.
    """

    name: str
    endpoints: int = 1
    concurrency: int = 10
    emails: int | None = None
    delay_ms: int = 0
    share: float = 1.0


CASES = (
    Case("1 endpoint, 10 at once"),
    Case("1 endpoint, 1 at once", concurrency=1, share=0.3),
    Case("4 endpoints, 10 at once each", endpoints=4, share=0.25),
    Case("1 endpoint, answers after 20 ms", delay_ms=20, share=0.5),
    Case("1 endpoint, all of one email", emails=1, share=0.3),
)


class Receiver(asyncio.Protocol):
    """Answers every request after a delay; bodies are counted by their length, not read."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        self._transport.write(REPLY)


async def receive(delay_ms: int) -> None:
    """Serve until killed; print the port first."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(delay_ms / 1000), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def fill(connection: Connection, count: int, emails: int | None) -> None:
    """Write messages, entries and a delivered event each, as SQL."""
    messages = emails or count
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO messages (id, public_id, tenant_id, door, mail_from, ret, envid,"
        " from_address, sender_domain, subject, message_id, header_to, has_8bit_header, size,"
        " header_size, body_hash, is_8bit, batch_id, tags, metadata, created_at, send_at, status,"
        " recipients, pending, settled_at, has_body)"
        " SELECT i, printf('em_%026d', i), 1, 'api', 'b@sender.test', '', '', 'a@sender.test',"
        " 'sender.test', 'Your order', printf('<%d@sender.test>', i), '[]', 0, 10240, 700,"
        " zeroblob(32), 0, '', '[[\"kind\",\"order\"]]', '{\"order\":7}', 0, NULL, 'delivered',"
        " 1, 0, 1, 0 FROM n",
        (messages,),
    )
    connection.execute(
        "INSERT INTO entries (id, message_id, tenant_id, recipient, domain, notify, orcpt,"
        " priority, state, due_at, why, attempts)"
        " SELECT id, id, 1, 'ant@example.net', 'example.net', '', '', 0, 10, 0, '', 1 FROM messages"
    )
    data = json.dumps({"attempt": 1, "code": 250, "text": "queued as 4X1234", "host": "mx.test"})
    at_ms = ids.milliseconds(datetime.now(UTC))
    rows = [
        (number % messages + 1, number % messages + 1, 1, "delivered", at_ms, data)
        for number in range(count)
    ]
    events.append(connection, rows)


def add_endpoints(connection: Connection, case: Case, port: int) -> list[str]:
    """Add the case's endpoints, at the end of the journal."""
    names = [f"wh_{number:026d}" for number in range(case.endpoints)]
    for name in names:
        webhooks.create(
            connection,
            tenant_id=1,
            webhook_id=name,
            url=f"http://127.0.0.1:{port}/{name}",
            kinds=None,
            secret=format_secret(secrets.token_bytes(SECRET_SIZE)),
            description="",
            now=datetime.now(UTC),
        )
    return names


_DELIVERED = "SELECT COUNT(*) FROM webhook_attempts WHERE result = 'delivered'"


async def measure(case: Case, count: int, port: int, directory: Path) -> tuple[float, float]:
    """Return seconds and CPU seconds from the first kick until all is posted and written down."""
    database = Database.open(directory)
    client = HttpClient(timeout=timedelta(seconds=15), allowed=[ip_network("127.0.0.0/8")])
    names = database.write_now(lambda db: add_endpoints(db, case, port))
    database.write_now(lambda db: fill(db, count, case.emails))
    sender = WebhookSender(
        database,
        client,
        now=lambda: datetime.now(UTC),
        rng=random.Random(1),
        concurrency=case.concurrency,
    )
    started, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(sender.run())
    async with asyncio.timeout(PATIENCE):
        while not await database.read(lambda db: is_done(db, names)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    taken = time.perf_counter() - started, time.process_time() - cpu
    task.cancel()
    await asyncio.wait([task])
    await client.close()
    [(delivered,)] = database.read_now(lambda db: db.execute(_DELIVERED).fetchall())
    assert delivered == count * case.endpoints
    database.close()
    return taken


def is_done(connection: Connection, names: list[str]) -> bool:
    """Tell whether nothing waits for any endpoint."""
    records = [webhooks.get(connection, name) for name in names]
    lags = [webhook_history.lag(connection, record) for record in records if record]
    return not any(lag.events or lag.retrying for lag in lags)


def run(case: Case, count: int) -> None:
    """Measure one case and print its line."""
    count = int(count * case.share)
    command = [sys.executable, "-m", "benchmarks.webhooks", "--receive", str(case.delay_ms)]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert receiver.stdout
    port = int(receiver.stdout.readline())
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            seconds, cpu = runner.run(measure(case, count, port, Path(directory)))
    finally:
        receiver.kill()
        receiver.wait()
        receiver.stdout.close()
    posts = count * case.endpoints
    per_second, cpu_per_1000 = posts / seconds, cpu / posts * 1000
    print(f"{case.name:34} {posts:7} {per_second:9.0f} {cpu_per_1000:12.3f}", flush=True)


def main() -> None:
    """Run the receiver, or all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--receive", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(receive(options.receive))
        return
    print(f"{'case':34} {'posts':>7} {'posts/s':>9} {'CPU s/1000':>12}")
    for case in CASES:
        run(case, options.count)


if __name__ == "__main__":
    main()
