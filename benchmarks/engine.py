"""A Mailwright under measurement: configuration, a process of its own, CPU time and memory.

Not here: the load (source.py), the receiver (sink.py) and the cases (delivery.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """
[server]
hostname = "mta.sender.test"
data_dir = "{data}"
[api]
listen = "127.0.0.1:0"
[engine]
processes = {processes}
[smtp.submission]
listen = ["127.0.0.1:0"]
max_connections_per_address = 1000
[delivery]
allow_private_destinations = true
[dkim]
algorithms = {algorithms}
[policy]
require_verified_domain = false
[routing]
{routes}
"*" = "smtp://127.0.0.1:{sink}"
[log]
level = "warning"
"""


@dataclass(frozen=True)
class Usage:
    """CPU seconds used so far and proportional memory now, of the service's processes."""

    cpu_s: float
    pss_mb: float


class Engine:
    """`mta serve` in a directory of its own."""

    program = "mta.cli.main"

    def __init__(
        self,
        directory: Path,
        *,
        sink: int,
        algorithms: list[str],
        profile: Path | None = None,
        processes: int | None = None,
        routes: dict[str, str] | None = None,
    ) -> None:
        """Configure it.

        Args:
            directory: empty.
            sink: port of the receiver of all other mail.
            algorithms: of the signatures of sender.test.
            profile: where to write a profile instead of running several processes.
            processes: None: as many as the engine finds right.
            routes: domain -> URL.
        """
        self.directory = directory
        self.profile = profile
        self.config = directory / "mta.toml"
        self.data = directory / "data"
        self.config.write_text(
            CONFIG.format(
                data=self.data,
                algorithms=json.dumps(algorithms),
                sink=sink,
                processes=1 if profile else processes or '"auto"',
                routes="\n".join(f'"{name}" = "{url}"' for name, url in (routes or {}).items()),
            )
        )
        if algorithms:
            self.run("domain", "add", "sender.test", "--selector", "s1")

    def run(self, *arguments: str) -> str:
        """Run one `mta` command with this configuration and return its output."""
        command = [sys.executable, "-m", self.program, "--config", str(self.config), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def start(self) -> int:
        """Start serving; return the submission port."""
        command = [sys.executable]
        if self.profile:
            command += ["-m", "cProfile", "-o", str(self.profile)]
        command += ["-m", self.program, "--config", str(self.config), "serve"]
        self.log = (self.directory / "log").open("wb")
        self.process = subprocess.Popen(command, stderr=self.log)
        endpoints = self.data / "endpoints.json"
        for _ in range(400):
            if endpoints.exists():
                port = json.loads(endpoints.read_text())["submission"][0].rpartition(":")[2]
                return int(port)
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"mta serve did not start: {(self.directory / 'log').read_text()}")

    def usage(self) -> Usage:
        """Read CPU time and memory of the service and its children."""
        cpu, pss = 0.0, 0
        for pid in (self.process.pid, *children(self.process.pid)):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            cpu += (int(fields[11]) + int(fields[12])) / TICKS
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            pss += int(rollup.partition("\nPss:")[2].split()[0])
        return Usage(cpu, pss / 1024)

    def stop(self) -> None:
        """Stop serving as a service manager would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


class Bare(Engine):
    """The bare way of a message in its place (bare.py)."""

    program = "benchmarks.bare"


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]
