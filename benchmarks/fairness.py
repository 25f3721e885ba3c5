"""What a transactional message waits for while others hold the queue, beside an idle system.

`python -m benchmarks.fairness [--count 200] [--bulk 200000]`. The same lone messages are sent one
by one to an idle service; while so many bulk messages to the same domain wait and are delivered;
while as many wait for a site that does not answer; and while the site takes its time over each of
them. A lone message's time runs from its composition to its arrival at the receiver, before that
takes its time. Not here: how fast the bulk goes (drain.py).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import smtplib
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.delivery import RESULTS, RSA, Sink
from benchmarks.engine import Engine
from benchmarks.source import Load
from mta.core.address import Address
from mta.core.canonical import body_hash
from mta.core.envelope import Envelope, Priority, Recipient
from mta.core.ids import new_id
from mta.core.message import HeaderFacts, Message
from mta.core.submission import Door, Submission
from storage import stats
from storage.database import Connection, Database
from storage.submissions import AcceptPolicy, accept_batch

GROUP = 1000
"""Messages in one transaction while the queue is filled."""
DEAD = "smtp://127.0.0.1:1"
"""A port of this machine where nobody listens."""


@dataclass(frozen=True)
class Case:
    """Who else is in the queue: bulk to a domain, "" for nobody.

    Attributes:
        pause: seconds that the receiver takes over each message.
    """

    name: str
    bulk_domain: str
    pause: float = 0.0


CASES = (
    Case("idle", ""),
    Case("bulk to the same domain", "dest.test"),
    Case("bulk to a dead site", "dead.test"),
    Case("idle, 0.2 s a message", "", 0.2),
    Case("bulk to it", "dest.test", 0.2),
)


def bulk(domain: str, count: int) -> Iterator[Submission]:
    """Make small bulk messages without the mark by which the receiver tells the lone ones."""
    for number in range(count):
        header = (
            f"From: app@sender.test\r\nTo: b{number}@{domain}\r\nSubject: News\r\n"
            f"Message-ID: <b{number}@sender.test>\r\n"
            "Date: Fri, 20 Nov 2026 12:00:00 +0000\r\n\r\n"
        ).encode()
        body = b"What is new this week.\r\n" * 40
        yield Submission(
            public_id=new_id("em", number, os.urandom(10)),
            tenant_id=1,
            door=Door.SMTP,
            envelope=Envelope(
                Address("app", "sender.test"), (Recipient(Address(f"b{number}", domain)),)
            ),
            message=Message(
                header + body, None, len(header + body), len(header), body_hash(body), is_8bit=False
            ),
            header=HeaderFacts(
                "app@sender.test", "sender.test", "News", f"<b{number}@sender.test>"
            ),
            priority=Priority.BULK,
        )


def fill(data_dir: Path, domain: str, count: int) -> None:
    """Put bulk mail into the queue of a service that does not run."""
    now = datetime.now(UTC)
    policy = AcceptPolicy(require_verified_domain=False)
    waiting = bulk(domain, count)

    def some(connection: Connection) -> None:
        group = [submission for _, submission in zip(range(GROUP), waiting, strict=False)]
        accept_batch(connection, group, policy=policy, now=now)

    with closing(Database.open(data_dir)) as database:
        for _ in range(0, count, GROUP):
            database.write_now(some)
        asyncio.run(stats.catch_up(database))  # as it is where mail came in the course of time


def measure(case: Case, count: int, bulk_count: int) -> dict[str, float]:
    """Send the lone messages; return how long they and their acceptance took, and what is left."""
    sink = Sink(pause=case.pause)
    with tempfile.TemporaryDirectory(prefix="mailwright-fair-") as directory:
        routes = {"dead.test": DEAD}
        engine = Engine(Path(directory), sink=sink.port, algorithms=[RSA], routes=routes)
        if case.bulk_domain:
            fill(engine.data, case.bulk_domain, bulk_count)
        try:
            port = engine.start()
            time.sleep(2)  # the engine is in the midst of it
            accepts = send_one_by_one(port, count, max(0.03, 1.5 * case.pause))
            arrived = sink.wait_for_marked(count, 30)
            left = waiting(engine.data)
        finally:
            engine.stop()
            sink.close()
    return {
        "accept_p99_ms": round(accepts[int((count - 1) * 0.99)], 2),
        "delivered_p50_ms": arrived["delivered_p50_ms"],
        "delivered_p99_ms": arrived["delivered_p99_ms"],
        "missing": count - arrived["unique"],
        "bulk_left": left,
    }


def send_one_by_one(port: int, count: int, pause: float) -> list[float]:
    """Send messages with pauses between, in seconds.

    Returns:
        How long each acceptance took, sorted, in ms.
    """
    load = Load(0, count, 10_240, 1)
    accepts = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        for number in range(count):
            time.sleep(pause)
            body = load.message(number).removesuffix(b".\r\n")
            started = time.perf_counter()
            client.sendmail("app@sender.test", [f"r{number}@dest.test"], body)
            accepts.append((time.perf_counter() - started) * 1000)
    return sorted(accepts)


def waiting(data_dir: Path) -> int:
    """Return how many entries are not settled."""
    with closing(Database.open(data_dir, is_shared=True)) as database:
        sql = "SELECT COUNT(*) FROM entries WHERE state < 10"
        return int(database.read_now(lambda connection: connection.execute(sql).fetchone()[0]))


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="lone messages")
    parser.add_argument("--bulk", type=int, default=200_000, help="bulk messages in the queue")
    options = parser.parse_args()
    print(f"{'case':26} {'accept p99':>10} {'delivered p50':>14} {'p99 ms':>8} {'bulk left':>10}")
    rows = []
    for case in CASES:
        figures = measure(case, options.count, options.bulk)
        rows.append({"case": case.name, **figures})
        print(
            f"{case.name:26} {figures['accept_p99_ms']:10.1f} {figures['delivered_p50_ms']:14.1f}"
            f" {figures['delivered_p99_ms']:8.1f} {figures['bulk_left']:10.0f}"
            + (f"  MISSING {figures['missing']:.0f}" if figures["missing"] else ""),
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"fairness-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
