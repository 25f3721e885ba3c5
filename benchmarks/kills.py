"""Kill a server again and again under load and count what is lost and repeated.

    python -m benchmarks.kills                 this engine and Postfix, one after the other
    python -m benchmarks.kills --only mailwright --kills 100 --seed 7
    python -m benchmarks.kills --rate 100      as much mail for both

The same clients, receiver, moments and questions for both (tests/faults/harness). Postfix needs
root and Debian's package; it runs as an instance of its own, on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.faults.harness.kills import Plan, run
from tests.faults.harness.postfix import MASTER, Postfix
from tests.faults.harness.targets import Mailwright


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=("mailwright", "postfix"))
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--one", action="store_true", help="kill one process, not the group")
    parser.add_argument("--smtp-clients", type=int, default=8)
    parser.add_argument("--api-clients", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0 is no limit")
    parser.add_argument("--processes", default='"auto"', help="of Mailwright")
    return parser.parse_args()


def main() -> int:
    """Run and print a line for each server; 1 when anything was lost."""
    wanted = _arguments()
    plan = Plan(
        wanted.kills,
        is_one=wanted.one,
        clients=wanted.smtp_clients,
        callers=wanted.api_clients,
        rate=wanted.rate,
    )
    is_lost = False
    servers: dict[str, Callable[[int, Path], Mailwright | Postfix]] = {
        "mailwright": lambda port, directory: Mailwright(
            directory, port, extra=f"[engine]\nprocesses = {wanted.processes}\n"
        ),
        "postfix": lambda port, directory: Postfix(directory, port),
    }
    for name, make in servers.items():
        if wanted.only not in {None, name}:
            continue
        if name == "postfix" and (os.geteuid() != 0 or not MASTER.exists()):
            print("postfix     needs root and Debian's package postfix; left out")
            continue
        with tempfile.TemporaryDirectory(prefix="kills-") as directory:
            result, _ = asyncio.run(
                run(lambda port, m=make, d=Path(directory): m(port, d), plan, wanted.seed)  # type: ignore[misc]
            )
        print(f"{name:11} {result}", flush=True)
        for line in [*result.trouble[:3], *sorted(result.lost)[:3], *sorted(result.unknown)[:3]]:
            print(f"            {line!r}")
        is_lost |= bool(result.lost)
    return 1 if is_lost else 0


if __name__ == "__main__":
    sys.exit(main())
