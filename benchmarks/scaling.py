"""What a second delivery process brings, and a second core: a queue for many sites, drained.

`python -m benchmarks.scaling [--count 6000] [--runs 3]`. The queue is there before the service
starts, so accepting has no part in it; each of the domains is a site of its own, 127.0.1.N, because
one site is always one process's. The receiver needs CPU too: on two cores it takes its share from
both. One process uses a second core by itself, for signatures; so it is measured on one core too,
where the receiver is then as well. Not here: what one process spends on a message (drain.py).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.delivery import RESULTS, RSA, Sink, median
from benchmarks.drain import Case, fill, let_go, waiting
from benchmarks.engine import Engine

SITES = 16
CASE = Case("16 sites, RSA-2048", (RSA,), domains=SITES)


SETUPS = ((2, 1), (2, None), (3, None))
"""Processes, of which one delivers nothing, and the cores that they and the receiver get."""


@contextmanager
def on_cores(count: int | None) -> Iterator[None]:
    """Keep this process, and all that it starts, to so many cores; None: to those that it has."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure(processes: int, count: int, size: int) -> dict[str, float]:
    """Drain one queue with so many processes, one of which delivers nothing."""
    sink = Sink(SITES)
    routes = {
        f"d{number}.test": f"smtp://127.0.1.{number + 1}:{sink.port}" for number in range(SITES)
    }
    with tempfile.TemporaryDirectory(prefix="mailwright-scale-") as directory:
        engine = Engine(
            Path(directory),
            sink=sink.port,
            algorithms=list(CASE.algorithms),
            processes=processes,
            routes=routes,
        )
        fill(engine.data, CASE, count, size)
        try:
            engine.start()
            time.sleep(1)
            before, started = engine.usage(), time.time_ns()
            let_go(engine.data, CASE)
            arrived = sink.wait_for(count, 120)
            after = engine.usage()
            time.sleep(0.3)  # the last ones are settled
            unsettled = waiting(engine.data)
        finally:
            engine.stop()
            sink.close()
    return {
        "rate": round(count / (arrived["last_ns"] - started) * 1e9, 1),
        "cpu_s_per_1000": round((after.cpu_s - before.cpu_s) / count * 1000, 3),
        "pss_mb": round(after.pss_mb, 1),
        "lost": count - arrived["unique"],
        "unsettled": unsettled,
    }


def main() -> None:
    """Measure all by turns, and print their medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000, help="messages a run")
    parser.add_argument("--size", type=int, default=10_240, help="bytes a message")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; medians are shown")
    options = parser.parse_args()
    runs: dict[tuple[int, int | None], list[dict[str, float]]] = {setup: [] for setup in SETUPS}
    for _ in range(options.runs):
        for (processes, cores), found in runs.items():
            with on_cores(cores):
                found.append(measure(processes, options.count, options.size))
    rows = [
        {"delivery_processes": processes - 1, "cores": cores or len(os.sched_getaffinity(0))}
        | median(found)
        for (processes, cores), found in runs.items()
    ]
    print(
        f"{'processes':>9} {'cores':>6} {'msg/s':>8} {'CPU s/1000':>11} {'PSS MB':>7} {'lost':>5}"
    )
    for row in rows:
        print(
            f"{row['delivery_processes']:9} {row['cores']:6} {row['rate']:8.0f}"
            f" {row['cpu_s_per_1000']:11.3f} {row['pss_mb']:7.1f} {row['lost']:5.0f}"
        )
    confined, one, two = (row["rate"] for row in rows)
    print(f"ratio {two / one:.2f}, to one process on one core {two / confined:.2f}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"scaling-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
