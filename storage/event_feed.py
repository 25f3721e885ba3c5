"""The journal as one tenant reads it: what follows a place, of some kinds, at a cost that does not
depend on how much of it is other tenants' or of other kinds.

Each kind of a tenant is one range of an index; a page is the merge of their beginnings. Not here:
the journal as a whole (events.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from mta.core import ids
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection
from storage.events import JournalEntry


@frozen
class News:
    """Whose events have been added to the journal, and where it ends."""

    tenants: frozenset[int]
    last_seq: int


def news(connection: Connection, after: int) -> News:
    """Return what the journal has got after this seq."""
    # Not indexed: the rows after a seq are few, while the index on tenants holds all.
    rows = connection.execute(
        "SELECT DISTINCT tenant_id FROM events NOT INDEXED WHERE seq > ?", (after,)
    )
    return News(frozenset(tenant_id for (tenant_id,) in rows), events.last_seq(connection))


@frozen
class Span:
    """A part of the journal.

    Attributes:
        tenant_id: whose events.
        kinds: which; None is all.
        after: only events after this seq.
        through: only events up to this seq; None is no end.
    """

    tenant_id: int
    kinds: Collection[EventKind] | None = None
    after: int = 0
    through: int | None = None

    @property
    def end(self) -> int:
        """`through` as a number."""
        return 2**63 - 1 if self.through is None else self.through


def read(connection: Connection, span: Span, *, limit: int) -> list[JournalEntry]:
    """Return the first events of a span, oldest first."""
    return events.by_seqs(connection, seqs(connection, span, limit=limit))


def seqs(
    connection: Connection, span: Span, *, limit: int, is_newest_first: bool = False
) -> list[int]:
    """Return the places of the first events of a span, or of the last, newest first."""
    direction = "DESC" if is_newest_first else "ASC"
    statement = (
        "SELECT seq FROM events WHERE tenant_id = ? AND kind = ? AND seq > ? AND seq <= ?"
        f" ORDER BY seq {direction} LIMIT ?"
    )
    found: list[int] = []
    for kind in EventKind if span.kinds is None else span.kinds:
        parameters = (span.tenant_id, kind.value, span.after, span.end, limit)
        found += [seq for (seq,) in connection.execute(statement, parameters)]
    return sorted(found, reverse=is_newest_first)[:limit]


def seq_before(connection: Connection, at: datetime) -> int:
    """Return the place of the last event before a time (aware); 0 when there is none.

    Found by halving: events are in the order of time, as far as the clock was.
    """
    low, high, at_ms = 0, events.last_seq(connection), ids.milliseconds(at)
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "SELECT seq, at FROM events WHERE seq > ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        if row is not None and row[1] < at_ms:
            low = row[0]
        else:
            high = middle
    return low
