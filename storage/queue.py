"""The queue as one noun: everything that others do with it, under one name.

claims.py         what is due, claiming it, giving it back   (the engine)
settlement.py     what became of attempts                    (the engine)
operators.py      hold, release, retry now, cancel           (API and command line)
queue_changes.py  the same in steps                          (API and command line)
listing.py        entries and depths for people              (API and command line)
"""

from __future__ import annotations

from storage.claims import (
    Claim,
    ClaimedMessage,
    ClaimRequest,
    QueuedEntry,
    QueuedMessage,
    claim,
    free_claims,
    give_back,
)
from storage.due import DomainDue, hasten, last_entry_id, new_since, next_due, schedule
from storage.entries import EntryState
from storage.listing import DomainDepth, EntryView, QueueTotals, depths, list_entries, totals
from storage.operators import Selection, cancel, hold, release, retry_now
from storage.settlement import Settlement, settle, without_words

__all__ = [
    "Claim",
    "ClaimRequest",
    "ClaimedMessage",
    "DomainDepth",
    "DomainDue",
    "EntryState",
    "EntryView",
    "QueueTotals",
    "QueuedEntry",
    "QueuedMessage",
    "Selection",
    "Settlement",
    "cancel",
    "claim",
    "depths",
    "free_claims",
    "give_back",
    "hasten",
    "hold",
    "last_entry_id",
    "list_entries",
    "new_since",
    "next_due",
    "release",
    "retry_now",
    "schedule",
    "settle",
    "totals",
    "without_words",
]
