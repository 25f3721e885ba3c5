"""Queue entries: their states and their ids, shared by the modules that write and read them.

Not here: what moves an entry (claims.py, settlement.py, operators.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

from mta.core import ids


class EntryState(enum.IntEnum):
    """Where an entry stands; the numbers are those of the column."""

    WAITING = 0
    """Until its due time."""
    CLAIMED = 1
    """The engine has it in memory."""
    HELD = 2
    """Until an operator releases or cancels it."""
    DELIVERED = 10
    BOUNCED = 11
    EXPIRED = 12
    CANCELED = 13
    SUPPRESSED = 14

    @property
    def is_final(self) -> bool:
        """Whether nothing will change it any more."""
        return self >= EntryState.DELIVERED

    @property
    def label(self) -> str:
        """Its name for people and the API, such as "waiting"."""
        return self.name.lower()


OPEN_STATES = (EntryState.WAITING, EntryState.CLAIMED, EntryState.HELD)
"""What is still in the queue."""

ELIGIBLE_AT = "COALESCE(e.eligible_at, m.send_at, m.created_at)"
"""SQL: when entry e of message m could first be tried (ms), which its lifetime counts from."""

_WORST_FIRST = (
    EntryState.BOUNCED,
    EntryState.EXPIRED,
    EntryState.SUPPRESSED,
    EntryState.CANCELED,
)


def entry_id(created_ms: int, number: int) -> str:
    """Return the "dl_..." id of the entry with this row number, of a message accepted then."""
    return ids.numbered_id("dl", created_ms, number)


def final_status(states: Iterable[EntryState]) -> str:
    """Return the status of a message all of whose entries are final.

    "partial" when only some were delivered, otherwise the worst state's label.
    """
    found = set(states)
    if EntryState.DELIVERED in found:
        return "delivered" if len(found) == 1 else "partial"
    return next(state for state in _WORST_FIRST if state in found).label
