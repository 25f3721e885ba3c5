"""What a second delivery process brings: a queue for many sites, drained by one and by two.

`python -m benchmarks.scaling [--count 6000] [--runs 3]`. The queue is there before the service
starts, so accepting has no part in it; each of the domains is a site of its own, 127.0.1.N, because
one site is always one process's. The receiver needs CPU too: on two cores it takes its share from
both. Not here: what one process spends on a message (drain.py).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.delivery import RESULTS, RSA, Sink, median
from benchmarks.drain import Case, fill, let_go, waiting
from benchmarks.engine import Engine

SITES = 16
CASE = Case("16 sites, RSA-2048", (RSA,), domains=SITES)


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
    """Measure both by turns, and print their medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=6000, help="messages a run")
    parser.add_argument("--size", type=int, default=10_240, help="bytes a message")
    parser.add_argument("--runs", type=int, default=3, help="runs of each; medians are shown")
    options = parser.parse_args()
    runs: dict[int, list[dict[str, float]]] = {2: [], 3: []}
    for _ in range(options.runs):
        for processes, found in runs.items():
            found.append(measure(processes, options.count, options.size))
    medians = {processes: median(found) for processes, found in runs.items()}
    print(f"{'delivery processes':20} {'msg/s':>8} {'CPU s/1000':>11} {'PSS MB':>7} {'lost':>5}")
    for processes, figures in medians.items():
        print(
            f"{processes - 1:<20} {figures['rate']:8.0f} {figures['cpu_s_per_1000']:11.3f}"
            f" {figures['pss_mb']:7.1f} {figures['lost']:5.0f}"
        )
    print(f"ratio {medians[3]['rate'] / medians[2]['rate']:.2f}")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"scaling-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
