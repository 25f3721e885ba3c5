"""How the kernel is asked to share the processor: tried in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

TRIED = """
import os
from mta.processor import prefer_throughput
{before}
prefer_throughput()
print(os.sched_getscheduler(0))
"""


def policy_after(before: str = "") -> int:
    run = subprocess.run(
        [sys.executable, "-c", TRIED.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


def test_the_server_is_not_to_interrupt_others() -> None:
    assert policy_after() == os.SCHED_BATCH


def test_what_somebody_has_chosen_stays() -> None:
    chosen = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    assert policy_after(chosen) == os.SCHED_IDLE


def test_where_it_is_forbidden_nothing_changes() -> None:
    forbidden = """
def refuse(*_):
    raise PermissionError("simulated")
os.sched_setscheduler = refuse
"""
    assert policy_after(forbidden) == os.SCHED_OTHER
