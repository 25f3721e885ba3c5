"""How fast the API takes mail, durably, beside the SMTP door of the same server.

`python -m benchmarks.api [--count 4000]`. Deliveries are suspended, so that what is measured is
acceptance: parse, compose, commit, sync, answer. Prints a table and writes it to
benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.delivery import RESULTS, fsync_ms
from benchmarks.engine import Engine


@dataclass(frozen=True)
class Case:
    """One thing measured; batch 0 is the SMTP door."""

    name: str
    connections: int
    batch: int
    share: float = 1.0


CASES = (
    Case("API, 1 connection", 1, 1, 0.25),
    Case("API, 50 connections", 50, 1),
    Case("API, 200 connections", 200, 1),
    Case("API, batches of 1,000, 1 connection", 1, 1000, 5),
    Case("API, batches of 1,000, 4 connections", 4, 1000, 5),
    Case("SMTP, 1 connection", 1, 0, 0.25),
    Case("SMTP, 50 connections", 50, 0),
)


def measure(
    case: Case, engine: Engine, ports: tuple[int, int], key: str, count: int, size: int
) -> dict[str, float]:
    """Run one case on a serving engine."""
    before = engine.usage()
    numbers = int(count * case.share)
    if case.batch:
        arguments = ["api_source", ports[1], key, case.connections, numbers, case.batch, size]
    else:
        arguments = ["source", ports[0], case.connections, numbers, size, 1, 0]
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *map(str, arguments[1:])]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    if "accept_wall_s" in figures:
        figures["rate"] = round(figures["accepted"] / figures["accept_wall_s"], 1)
    cpu = engine.usage().cpu_s - before.cpu_s
    figures["cpu_s_per_1000"] = round(cpu / max(1, figures["accepted"]) * 1000, 3)
    return figures


def run(count: int, size: int) -> dict[str, dict[str, float]]:
    """Run all cases on one engine and return their figures, printing each as it comes."""
    results = {}
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = Engine(Path(directory), sink=9, algorithms=[])
        smtp = engine.start()
        try:
            engine.run("queue", "suspend", "dest.test", "--for", "1d")
            key = json.loads(engine.run("key", "create", "--name", "bench", "--json"))["key"]
            api = json.loads((engine.data / "endpoints.json").read_text())["api"]
            ports = (smtp, int(api.rpartition(":")[2]))
            for case in CASES:
                time.sleep(0.5)
                figures = results[case.name] = measure(case, engine, ports, key, count, size)
                print(
                    f"{case.name:38} {figures['rate']:9.0f} {figures['accept_p50_ms']:9.2f}"
                    f" {figures['accept_p99_ms']:9.2f} {figures['cpu_s_per_1000']:9.3f}"
                    f" {figures['refused']:8.0f}",
                    flush=True,
                )
        finally:
            engine.stop()
    return results


def main() -> None:
    """Measure, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="messages of the largest case")
    parser.add_argument("--size", type=int, default=2048, help="bytes of the text of each")
    options = parser.parse_args()
    machine = {"fsync_ms": fsync_ms()}
    print(f"{machine}\n{'case':38} {'msg/s':>9} {'p50 ms':>9} {'p99 ms':>9}", end="")
    print(f" {'CPU s/1k':>9} {'refused':>8}")
    results = run(options.count, options.size)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"api-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "cases": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
