"""Processes that die while they deliver: nothing is lost, and little goes twice. (A04, A06)"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from storage import faults, message_lists
from storage.database import Database

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = 20
CONNECTIONS = 2


def deliver(directory: Path, fault: str = "") -> tuple[list[str], int]:
    """Run delivery_worker; return whom the server took mail for, and the exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mta.delivery_worker", str(directory), str(COUNT)],
        cwd=ROOT,
        env={**os.environ, "MTA_FAULTS": fault},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=50,
    )
    return done.stdout.split(), done.returncode


@pytest.mark.parametrize(
    "point",
    ["after_claim", "after_remote_250:5", "before_settle:5", "after_settle:5"],
)
def test_a_crash_loses_nothing_and_repeats_what_was_in_flight(tmp_path: Path, point: str) -> None:
    before, status = deliver(tmp_path, point)
    assert status == faults.EXIT_STATUS
    assert len(before) < COUNT

    after, status = deliver(tmp_path)
    assert status == 0
    taken = Counter([*before, *after])
    assert set(taken) == {f"u{number}@example.net" for number in range(COUNT)}
    assert sum(count - 1 for count in taken.values()) <= CONNECTIONS
    if point.startswith("after_remote_250"):
        assert max(taken.values()) == 2, "the peer had one that was not written down"

    database = Database.open(tmp_path)
    emails = database.read_now(lambda c: message_lists.page(c, 1, limit=COUNT).emails)
    database.close()
    assert [email.status for email in emails] == ["delivered"] * COUNT


def test_a_run_without_a_crash_delivers_everything_once(tmp_path: Path) -> None:
    taken, status = deliver(tmp_path)
    assert (sorted(taken), status) == (sorted(f"u{n}@example.net" for n in range(COUNT)), 0)
