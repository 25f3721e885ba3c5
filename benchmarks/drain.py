"""Delivery alone: a queue is filled while its domains are suspended, then let go.

What is measured is the CPU time of the whole service from that moment until the last message has
arrived and is settled: claiming, routing, signing, sending, settling. Accepting mail has no part in
it. Not here: accepting and delivering at once (delivery.py), the receiver (sink.py).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.delivery import ED25519, RSA, Sink, median, show_profile
from benchmarks.engine import Engine
from benchmarks.source import LINE
from mta.core.address import Address
from mta.core.canonical import body_hash
from mta.core.envelope import Envelope, Recipient
from mta.core.ids import new_id
from mta.core.message import HeaderFacts, Message
from mta.core.submission import Door, Submission
from mta.kick import kick_engine
from storage import suspensions
from storage.database import Connection, Database
from storage.submissions import AcceptPolicy, accept

GROUP = 500
"""Messages in one transaction while the queue is filled."""


@dataclass(frozen=True)
class Case:
    """One thing measured.

    Attributes:
        name: for the table.
        algorithms: of the signatures.
        domains: how many the messages go to.
        recipients: of each message.
    """

    name: str
    algorithms: tuple[str, ...] = ()
    domains: int = 1
    recipients: int = 1


CASES = (
    Case("unsigned"),
    Case("RSA-2048", (RSA,)),
    Case("RSA-2048 + Ed25519", (RSA, ED25519)),
    Case("200 domains, RSA-2048", (RSA,), domains=200),
    Case("100 recipients, RSA-2048", (RSA,), recipients=100),
)


def submissions(case: Case, count: int, size: int) -> Iterator[Submission]:
    """Make the messages; their header is that of source.py."""
    for number in range(count):
        domain = f"d{number % case.domains}.test"
        header = (
            f"From: Sender <app@sender.test>\r\nTo: <r{number}@{domain}>\r\n"
            f"Subject: Message {number}\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{number}@sender.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"X-Number: {number}\r\nX-Sent: {time.time_ns()}\r\n\r\n"
        ).encode()
        body = LINE * ((size - len(header)) // len(LINE))
        recipients = [
            Recipient(Address(f"r{number}-{place}", domain)) for place in range(case.recipients)
        ]
        yield Submission(
            public_id=new_id("em", number, os.urandom(10)),
            tenant_id=1,
            door=Door.SMTP,
            envelope=Envelope(Address("app", "sender.test"), tuple(recipients)),
            message=Message(
                header + body, None, len(header + body), len(header), body_hash(body), is_8bit=False
            ),
            header=HeaderFacts(
                "app@sender.test", "sender.test", f"Message {number}", f"<{number}@sender.test>"
            ),
        )


def fill(data_dir: Path, case: Case, count: int, size: int) -> None:
    """Put the messages into the queue of a service that does not run, their domains suspended."""
    now = datetime.now(UTC)
    policy = AcceptPolicy(require_verified_domain=False)
    waiting = submissions(case, count, size)

    def some(connection: Connection) -> None:
        for _, submission in zip(range(GROUP), waiting, strict=False):
            accept(connection, submission, policy=policy, now=now)

    def suspend(connection: Connection) -> None:
        for number in range(case.domains):
            until = now + timedelta(hours=1)
            suspensions.suspend(connection, f"d{number}.test", until=until, reason="", now=now)

    with closing(Database.open(data_dir)) as database:
        database.write_now(suspend)
        for _ in range(0, count, GROUP):
            database.write_now(some)


def let_go(data_dir: Path, case: Case) -> None:
    """End the suspensions and tell the service."""

    def resume(connection: Connection) -> None:
        for number in range(case.domains):
            suspensions.resume(connection, f"d{number}.test")

    with closing(Database.open(data_dir)) as database:
        database.write_now(resume)
    kick_engine(data_dir)


def waiting(data_dir: Path) -> int:
    """Return how many entries are not settled."""
    with closing(Database.open(data_dir)) as database:
        sql = "SELECT COUNT(*) FROM entries WHERE state < 10"
        return int(database.read_now(lambda connection: connection.execute(sql).fetchone()[0]))


def measure(case: Case, count: int, size: int, profile: Path | None = None) -> dict[str, float]:
    """Drain one queue and return the figures, for recipients."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-drain-") as directory:
        engine = Engine(
            Path(directory), sink=sink.port, algorithms=list(case.algorithms), profile=profile
        )
        fill(engine.data, case, count, size)
        try:
            engine.start()
            time.sleep(1)  # what starting costs is no part of it
            before, started = engine.usage(), time.time_ns()
            let_go(engine.data, case)
            arrived = sink.wait_for(count * case.recipients, 120)
            time.sleep(0.3)  # the last ones are settled
            after = engine.usage()
            unsettled = waiting(engine.data)
        finally:
            engine.stop()
            sink.close()
    total = count * case.recipients
    return {
        "rate": round(total / (arrived["last_ns"] - started) * 1e9, 1),
        "cpu_s_per_1000": round((after.cpu_s - before.cpu_s) / total * 1000, 3),
        "connections": arrived["connections"],
        "pss_mb": round(after.pss_mb, 1),
        "lost": total - arrived["unique"],
        "unsettled": unsettled,
        "duplicates": arrived["duplicates"],
    }


def main() -> None:
    """Measure the cases and print a table, or the profile of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="recipients a run")
    parser.add_argument("--size", type=int, default=10_240, help="bytes a message")
    parser.add_argument("--runs", type=int, default=3, help="runs a case; medians are shown")
    parser.add_argument("--case", default="", help="only the case of this name")
    parser.add_argument("--profile", action="store_true", help="profile instead")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    options = parser.parse_args()
    cases = [case for case in CASES if options.case in {"", case.name}]
    if options.profile:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "profile"
            print(measure(cases[0], options.count, options.size, path))
            show_profile(path)
        return
    if not options.json:
        print(f"{'case':28} {'rcpt/s':>8} {'CPU s/1000':>11} {'PSS MB':>7} {'lost':>5} {'dup':>4}")
    for case in cases:
        count = max(50, options.count // case.recipients)
        runs = [measure(case, count, options.size) for _ in range(options.runs)]
        figures = median(runs)
        if options.json:
            print(json.dumps({"case": case.name, **figures}), flush=True)
            continue
        print(
            f"{case.name:28} {figures['rate']:8.0f} {figures['cpu_s_per_1000']:11.3f}"
            f" {figures['pss_mb']:7.1f} {figures['lost']:5.0f} {figures['duplicates']:4.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
