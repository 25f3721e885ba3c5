"""Named points where a test may kill the process, to prove what a crash there does.

Part of the product and off unless the environment variable MTA_FAULTS is set at start: a comma
separated list of points, each optionally with ":n" to die the n-th time it is reached. Dying is
os._exit: no handler runs, nothing is flushed, as with kill -9. With MTA_FAULTS_MARK=FILE only the
first process to get there dies and leaves that file, so that its successors live and a test knows
that the point was reached.
"""

from __future__ import annotations

import os

POINTS = frozenset(
    {
        # group commit
        "before_commit",
        "after_commit",
        # opening and upkeep of the database
        "before_migration",
        "after_migration",
        "before_checkpoint",
        "after_checkpoint",
        # a large body on its way to the spool
        "spool_written",
        "spool_synced",
        "spool_renamed",
        "spool_committed",
        # acceptance: written but not committed; committed but not answered
        "before_accept",
        "after_accept",
        # delivery
        "after_claim",
        "after_remote_250",
        "before_settle",
        "after_settle",
        # webhooks: posted but not written down; written down
        "before_webhook_write",
        "after_webhook_write",
        # automations: a step done but not committed; committed
        "before_automation_step",
        "after_automation_step",
        # an import: some rows about to be applied; applied
        "before_import_step",
        "after_import_step",
        # bounces and complaints: stored but not answered; read but not written down
        "after_report",
        "before_report_done",
    }
)
"""Every point that reach() is called with."""

EXIT_STATUS = 137
"""What the shell shows for a process ended by SIGKILL."""


def parse(text: str) -> dict[str, int]:
    """Return point -> how many times it is reached before the process dies there, at least 1.

    Raises:
        ValueError: an unknown point or a count that is no positive number; the message names it.
    """
    armed: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        point, _, count = item.partition(":")
        if point not in POINTS:
            raise ValueError(
                f"MTA_FAULTS: unknown point {point!r}; known: {', '.join(sorted(POINTS))}"
            )
        if count and not (count.isdecimal() and int(count) > 0):
            raise ValueError(f"MTA_FAULTS: {item!r} must end in a positive number")
        armed[point] = int(count or 1)
    return armed


def _armed_by_environment() -> dict[str, int]:
    try:
        return parse(os.environ.get("MTA_FAULTS", ""))
    except ValueError:
        return {}  # check_environment tells, before anything is done


_remaining = _armed_by_environment()


def check_environment() -> None:
    """Raise ValueError when MTA_FAULTS is set to something that reach() would never obey."""
    parse(os.environ.get("MTA_FAULTS", ""))


def reach(point: str) -> None:
    """End the process here when MTA_FAULTS says so; otherwise do nothing, quickly."""
    if point not in _remaining:
        return
    _remaining[point] -= 1
    if _remaining[point] == 0 and _is_first():
        os._exit(EXIT_STATUS)


def _is_first() -> bool:
    mark = os.environ.get("MTA_FAULTS_MARK", "")
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
