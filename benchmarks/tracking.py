"""Openings and clicks a second: answered, and counted.

`python -m benchmarks.tracking [--hits 40000] [--connections 50]`. A campaign is sent to some people
first, so that there is whom to count for; then tracked images and links are fetched over so many
connections as fast as answers come. The count at the end is that of the campaign's figures: every
hit that was answered has to be in it. Not here: sending (campaigns.py).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.campaigns import Plan, Run
from benchmarks.delivery import Sink
from mta.core.tracking import Places, fill
from storage import instance_secrets
from storage.database import Database

PEOPLE = 2_000
LINK = "https://shop.example/item/1"
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


def paths(run: Run) -> list[str]:
    """Return where each recipient's image and one link lead, on the server itself."""
    places = Places("n" * 31, (LINK,))
    target = base64.urlsafe_b64encode(LINK.encode()).decode().rstrip("=")
    with closing(Database.open(run.engine.data)) as database:
        secret = database.read_now(instance_secrets.load)[0]
        entries = database.read_now(lambda db: db.execute("SELECT id FROM entries").fetchall())
    found: list[str] = []
    for (entry,) in entries:
        opening, click = (
            fill(f"{places.nonce}{number:04d}".encode(), places, secret, tenant_id=1, entry=entry)
            for number in (0, 1)
        )
        found += [f"/t/o/{opening.decode()}.gif", f"/t/c/{click.decode()}/{target}"]
    return found


async def fetch(host: str, targets: Sequence[str], times: list[float]) -> None:
    """Fetch one after the other over one connection; note how long each took, in seconds."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    for target in targets:
        started = time.perf_counter()
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nUser-Agent: {AGENT}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 302")):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append(time.perf_counter() - started)
    writer.close()


async def hammer(host: str, targets: Sequence[str], connections: int) -> list[float]:
    """Fetch all of them over so many connections; return how long each took, in order of size."""
    times: list[float] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(connections):
            tasks.create_task(fetch(host, targets[number::connections], times))
    return sorted(times)


def counted(run: Run, path: str, hits: int) -> int:
    """Return how many hits the figures have, once that is all of them, or after some seconds."""
    deadline = time.monotonic() + 20
    while True:
        found = run.api.call("GET", f"{path}/stats")
        total = found["opens"]["total"] + found["opens"]["machine"] + found["clicks"]["total"]
        if total >= hits or time.monotonic() > deadline:
            return int(total)
        time.sleep(0.2)


def measure(hits: int, connections: int) -> dict[str, Any]:
    """Send, fetch and count; return the figures."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-tracking-") as directory:
        run = Run(Path(directory), sink, Plan(PEOPLE, 20, kills=False, pauses=False), None)
        try:
            path = run.prepare()
            run.api.call("POST", f"{path}/send")
            run.until(PEOPLE)
            run.settled(path, lambda it: it["status"] == "completed")
            targets = random.Random(1).choices(paths(run), k=hits)
            time.sleep(3)  # what is fetched sooner after delivery is a machine's
            before, started = run.engine.usage(), time.monotonic()
            times = asyncio.run(hammer(run.api.address, targets, connections))
            seconds = time.monotonic() - started
            total = counted(run, path, hits)
            after = run.engine.usage()
        finally:
            run.engine.stop()
            sink.close()
    return {
        "hits": hits,
        "rate": round(hits / seconds, 1),
        "counted": total,
        "p50_ms": round(times[len(times) // 2] * 1000, 1),
        "p99_ms": round(times[(len(times) - 1) * 99 // 100] * 1000, 1),
        "cpu_s_per_1000": round((after.cpu_s - before.cpu_s) / hits * 1000, 3),
        "pss_mb": round(after.pss_mb, 1),
    }


def main() -> None:
    """Measure and print the figures; exit with 1 when hits were not counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=40_000, help="images and links fetched")
    parser.add_argument("--connections", type=int, default=50, help="at the same time")
    options = parser.parse_args()
    figures = measure(options.hits, options.connections)
    print(json.dumps(figures, indent=1), flush=True)
    raise SystemExit(0 if figures["counted"] == figures["hits"] else 1)


if __name__ == "__main__":
    main()
