"""From injection to delivery: messages per second and CPU seconds per 1,000 messages.

`python -m benchmarks.delivery [--count 4000] [--runs 3] [--bare] [--profile]`. Source, engine and
sink are three processes on this machine, loopback only; 10 KB messages, one destination, durable
queue (every acceptance is committed and synced). With --bare the bare way of a message (bare.py)
takes turns with the engine, in the cases that it knows. Prints a table and writes
benchmarks/results/*.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine import Bare, Engine

RESULTS = Path(__file__).parent / "results"
RSA, ED25519 = "rsa-sha256", "ed25519-sha256"


@dataclass(frozen=True)
class Case:
    """One thing measured; `messages` is a share of --count."""

    name: str
    algorithms: tuple[str, ...]
    sessions: int
    recipients: int = 1
    share: float = 1.0


CASES = (
    Case("unsigned, 20 sessions", (), 20),
    Case("RSA-2048, 20 sessions", (RSA,), 20),
    Case("RSA-2048, 100 sessions", (RSA,), 100),
    Case("RSA-2048 + Ed25519, 20 sessions", (RSA, ED25519), 20),
    Case("RSA-2048, 100 recipients each", (RSA,), 10, recipients=100, share=0.05),
)


class Sink:
    """The counting receiver as a process."""

    def __init__(self, sites: int = 0, pause: float = 0.0) -> None:
        """Start it; it listens on 127.0.0.1, and on 127.0.1.N for so many sites besides.

        pause: seconds that it takes over each message.
        """
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink", str(sites), str(pause)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.commands, self.answers = self.process.stdin, self.process.stdout
        self.port = int(self.answers.readline())

    def ask(self, command: str = "") -> dict[str, float]:
        """Return the counters; command "reset" empties them first."""
        self.commands.write(command + "\n")
        self.commands.flush()
        counters: dict[str, float] = json.loads(self.answers.readline())
        return counters

    def wait_for(self, recipients: int, seconds: float) -> dict[str, float]:
        """Return the counters when that many recipients have arrived, or when time is up."""
        return self._wait("recipients", recipients, seconds)

    def wait_for_marked(self, recipients: int, seconds: float) -> dict[str, float]:
        """Do the same, counting only mail that carries the time of its sending."""
        return self._wait("unique", recipients, seconds)

    def _wait(self, counter: str, enough: int, seconds: float) -> dict[str, float]:
        deadline = time.monotonic() + seconds
        while True:
            counters = self.ask()
            if counters[counter] >= enough or time.monotonic() > deadline:
                return counters
            time.sleep(0.05)

    def close(self) -> None:
        """End the process."""
        self.commands.close()
        self.process.wait(10)


def inject(port: int, case: Case, count: int, size: int, first_id: int) -> dict[str, float]:
    """Run the load source to its end and return its figures."""
    arguments = [port, case.sessions, count, size, case.recipients, first_id]
    command = [sys.executable, "-m", "benchmarks.source", *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def measure(
    case: Case,
    count: int,
    size: int,
    profile: Path | None = None,
    program: type[Engine] = Engine,
) -> dict[str, float]:
    """Run one case on a fresh engine, after a short warm-up."""
    sink = Sink()
    with tempfile.TemporaryDirectory(prefix="mailwright-bench-") as directory:
        engine = program(
            Path(directory), sink=sink.port, algorithms=list(case.algorithms), profile=profile
        )
        try:
            port = engine.start()
            warm = max(20, count // 10)
            inject(port, case, warm, size, 10_000_000)
            sink.wait_for(warm * case.recipients, 60)
            sink.ask("reset")
            before = engine.usage()
            source = inject(port, case, count, size, 0)
            arrived = sink.wait_for(count * case.recipients, 120)
            after = engine.usage()
        finally:
            engine.stop()
            sink.close()
    wall = (arrived["last_ns"] - source["started_ns"]) / 1e9
    return {
        "rate": round(arrived["recipients"] / wall, 1),
        "cpu_s_per_1000": round((after.cpu_s - before.cpu_s) / (count * case.recipients) * 1000, 3),
        "accept_p50_ms": source["accept_p50_ms"],
        "accept_p99_ms": source["accept_p99_ms"],
        "delivered_p50_ms": arrived["delivered_p50_ms"],
        "delivered_p99_ms": arrived["delivered_p99_ms"],
        "pss_mb": round(after.pss_mb, 1),
        "lost": source["accepted"] * case.recipients - arrived["unique"],
        "duplicates": arrived["duplicates"],
        "signatures_per_message": round(arrived["signatures"] / max(1, arrived["messages"]), 2),
    }


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def fsync_ms() -> float:
    """Return the median time of a 4 KB write and fsync where temporary files live."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(60):
            started = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return round(statistics.median(times), 3)


def show(name: str, figures: dict[str, float]) -> None:
    """Print a row of the table."""
    accept = f"{figures['accept_p50_ms']:.1f} / {figures['accept_p99_ms']:.1f}"
    through = f"{figures['delivered_p50_ms']:.1f} / {figures['delivered_p99_ms']:.1f}"
    print(
        f"{name:34} {figures['rate']:8.0f} {figures['cpu_s_per_1000']:11.3f} {accept:>18}"
        f" {through:>22} {figures['pss_mb']:7.1f} {figures['lost']:5.0f}"
        f" {figures['duplicates']:4.0f}",
        flush=True,
    )


def show_profile(path: Path) -> None:
    """Print the ten functions with the most time of their own."""
    print("\nProfile of the service, by own time:")
    pstats.Stats(str(path)).strip_dirs().sort_stats("tottime").print_stats(10)


def main() -> None:
    """Measure every case, print the table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="messages a run")
    parser.add_argument("--size", type=int, default=10_240, help="bytes a message")
    parser.add_argument("--runs", type=int, default=3, help="runs a case; medians are shown")
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--bare", action="store_true", help="beside the bare way of a message")
    parser.add_argument("--profile", action="store_true", help="profile the signed case instead")
    options = parser.parse_args()
    if options.profile:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "profile"
            print(measure(CASES[1], options.count, options.size, path))
            show_profile(path)
        return
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "fsync_ms": fsync_ms()}
    print(
        f"{machine}\n{'case':34} {'rcpt/s':>8} {'CPU s/1000':>11} {'accept p50/p99 ms':>18}", end=""
    )
    print(f" {'end to end p50/p99 ms':>22} {'PSS MB':>7} {'lost':>5} {'dup':>4}")
    results = {}
    for case in CASES:
        if options.case not in case.name:
            continue
        count = max(20, int(options.count * case.share))
        programs: dict[str, type[Engine]] = {case.name: Engine}
        if options.bare and case.recipients == 1 and ED25519 not in case.algorithms:
            programs[f"{case.name}, bare"] = Bare
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
        for _ in range(options.runs):
            for name, program in programs.items():
                runs[name].append(measure(case, count, options.size, program=program))
        for name in programs:
            results[name] = median(runs[name])
            show(name, results[name])
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"delivery-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "cases": results}, indent=2) + "\n")
    print(f"written: {path.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
