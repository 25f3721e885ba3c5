"""What a long queue and a long history cost: time to start, memory, and CPU for each new message.

`python -m benchmarks.backlog [--queued 1000000] [--done 1000000]`. A database is written by SQL
with that many finished messages, and that many entries that wait for tomorrow at 10,000 domains;
then the service is started on it and new mail is sent through, as on an empty one before. Prints a
table and writes benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import mail_history
from benchmarks.delivery import RESULTS, RSA, Case, Sink, fsync_ms, inject
from benchmarks.engine import Engine
from mta.core import ids
from storage import stats
from storage.database import Connection, Database

CASE = Case("RSA-2048, 20 sessions", (RSA,), 20)
DOMAINS = 10_000
_WAITING = """
INSERT INTO entries (
    message_id, tenant_id, recipient, domain, notify, orcpt, priority, state, due_at, why, attempts
)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
SELECT i, 1, printf('w%d@w%d.test', i, i % :domains), printf('w%d.test', i % :domains), '', '', 1,
    0, :due, 'reply', 1 FROM n
"""


def fill(data_dir: Path, queued: int, done: int) -> None:
    """Write the database of a server that has been busy for a month and has a long queue."""
    now = datetime.now(UTC)
    due = ids.milliseconds(now) + 86_400_000

    def write(connection: Connection) -> None:
        mail_history.write(connection, done, now)
        values = {"count": queued, "domains": DOMAINS, "due": due}
        connection.execute(_WAITING, values)

    with closing(Database.open(data_dir)) as database:
        database.write_now(write)
        asyncio.run(stats.catch_up(database))  # as it is where mail came in the course of time


def measure(queued: int, done: int, count: int) -> dict[str, float]:
    """Start a service on such a database, send mail through it, and return the figures."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=sink.port, algorithms=[RSA])
        if done:
            fill(engine.data, queued, done)
        try:
            started = time.monotonic()
            port = engine.start()
            start_s = time.monotonic() - started
            time.sleep(3)  # what the start has put off is done
            idle = engine.usage()
            inject(port, CASE, 200, 10_240, 10_000_000)
            sink.wait_for(200, 60)
            sink.ask("reset")
            before = engine.usage()
            source = inject(port, CASE, count, 10_240, 0)
            arrived = sink.wait_for(count, 120)
            after = engine.usage()
        finally:
            engine.stop()
            sink.close()
    wall = (arrived["last_ns"] - source["started_ns"]) / 1e9
    return {
        "start_s": round(start_s, 2),
        "idle_pss_mb": round(idle.pss_mb, 1),
        "pss_mb": round(after.pss_mb, 1),
        "rate": round(arrived["recipients"] / wall, 1),
        "cpu_s_per_1000": round((after.cpu_s - before.cpu_s) / count * 1000, 3),
        "lost": count - arrived["unique"],
    }


def main() -> None:
    """Measure both, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int, default=1_000_000, help="entries that wait")
    parser.add_argument("--done", type=int, default=1_000_000, help="messages of the past")
    parser.add_argument("--count", type=int, default=3000, help="new messages")
    options = parser.parse_args()
    print(
        f"{'system':34} {'start s':>8} {'idle MB':>8} {'MB':>7} {'msg/s':>7} {'CPU s/1k':>9} lost"
    )
    results = {}
    long = f"{options.queued:,} queued, {options.done:,} done"
    for name, queued, done in (("empty", 0, 0), (long, options.queued, options.done)):
        figures = results[name] = measure(queued, done, options.count)
        print(
            f"{name:34} {figures['start_s']:8.2f} {figures['idle_pss_mb']:8.1f}"
            f" {figures['pss_mb']:7.1f} {figures['rate']:7.0f} {figures['cpu_s_per_1000']:9.3f}"
            f" {figures['lost']:4.0f}",
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"backlog-{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = {"fsync_ms": fsync_ms()}
    path.write_text(json.dumps({"machine": machine, "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
