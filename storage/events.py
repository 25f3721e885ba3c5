"""The journal: every event in the order it was committed, for webhooks, explanations, statistics.

Rows are appended by the functions that cause them, in the same transaction. Not here: what the
kinds mean (core/event.py) and who has read how far (webhooks.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mta.core import ids, json_text
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage.database import Connection
from storage.entries import entry_id
from storage.readable import json_or
from storage.sql import chunks, given, marks

EventRow = tuple[int, int, int, str, int, str]
"""message_id, entry_id, tenant_id, kind, at (ms), data (JSON text): what append() writes.

Both ids are NO_ROW for an event that is not about mail, such as those of domains."""
NO_ROW = 0
"""No row has this number."""

DATA = "CASE WHEN json_valid(e.data) THEN e.data END"
"""SQL: what an event `e` says, or NULL if something damaged it, so that it still can be counted."""

Tags = tuple[tuple[str, str], ...]


@frozen
class JournalEntry:
    """One event with what a webhook tells about its message.

    Attributes:
        seq: its place in the journal; grows with every event, with gaps.
        id: "ev_...", made from time and seq.
        kind, at: what happened and when (aware, UTC).
        tenant_id: whose mail it is.
        email_id: "em_..." of the message; message_row is its row id. An event not about mail has ""
            and NO_ROW, and everything else of a message is empty too: `data` says it all.
        entry_id: "dl_..." of the queue entry.
        recipient: the entry's address as text.
        data: details that depend on the kind, JSON values; {} when there are none.
        tags, metadata: as submitted.
        from_, subject, message_id: of the message's header.
        campaign_id: "cmp_..." of the campaign that the message is of; "" for none.
    """

    seq: int
    id: str
    kind: EventKind
    at: datetime
    tenant_id: int
    email_id: str
    message_row: int
    entry_id: str
    recipient: str
    data: Mapping[str, JsonValue]
    tags: Tags
    metadata: Mapping[str, JsonValue]
    from_: str
    subject: str
    message_id: str
    campaign_id: str = ""


_APPEND = """
INSERT INTO events (message_id, entry_id, tenant_id, kind, at, data)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
FROM json_each(?) AS given
"""


def append(connection: Connection, rows: Iterable[EventRow]) -> None:
    """Write events at the end of the journal, in the order given."""
    connection.execute(_APPEND, (given(list(rows)),))


def json_data(data: Mapping[str, JsonValue]) -> str:
    """Return event data as it is kept: JSON text."""
    return json_text.encode(data).decode() if data else "{}"


def last_seq(connection: Connection) -> int:
    """Return the seq of the newest event, also when it has been pruned; 0 when there was none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


_SELECT = """
SELECT e.seq, e.kind, e.at, e.tenant_id, m.public_id, m.id, m.created_at, q.id, q.recipient,
    e.data, m.tags, m.metadata, m.from_address, m.subject, m.message_id, c.id, c.created_at
FROM events e LEFT JOIN messages m ON m.id = e.message_id LEFT JOIN entries q ON q.id = e.entry_id
    LEFT JOIN campaigns c ON c.id = m.campaign
"""


def read(
    connection: Connection,
    *,
    after: int,
    limit: int,
    tenant_id: int | None = None,
    kinds: Collection[EventKind] | None = None,
) -> list[JournalEntry]:
    """Return the events that follow `after` (a seq; 0 is the start), oldest first.

    With a filter, fewer than `limit` means that none of the rest matched: the reader may then go on
    from the last_seq() of the same snapshot instead of looking at the same events again.

    Args:
        connection: any.
        after: seq of the last event already read.
        limit: at most so many.
        tenant_id: only this tenant's; None is everybody's.
        kinds: only these; None is all.
    """
    conditions = ["e.seq > ?"]
    parameters: list[int | str] = [after]
    if tenant_id is not None:
        # The plus keeps to the order of the journal: an index on tenants would have to be sorted.
        conditions.append("+e.tenant_id = ?")
        parameters.append(tenant_id)
    if kinds is not None:
        conditions.append(f"e.kind IN ({', '.join('?' * len(kinds))})")
        parameters += [kind.value for kind in kinds]
    sql = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY e.seq LIMIT ?"
    return [_entry(row) for row in connection.execute(sql, (*parameters, limit))]


def of_message(
    connection: Connection,
    message_row: int,
    *,
    after: int = 0,
    limit: int = -1,
    kinds: Collection[EventKind] = tuple(EventKind),
) -> list[JournalEntry]:
    """Return the events of one message (by row id), oldest first.

    Args:
        connection: any.
        message_row: of the message.
        after: only those behind this seq.
        limit: at most so many; negative: all.
        kinds: only these.
    """
    rows = connection.execute(
        f"{_SELECT} WHERE e.message_id = ? AND e.seq > ?"
        f" AND e.kind IN ({', '.join('?' * len(kinds))}) ORDER BY e.seq LIMIT ?",
        (message_row, after, *(kind.value for kind in kinds), limit),
    )
    return [_entry(row) for row in rows]


def by_seq(connection: Connection, seq: int) -> JournalEntry | None:
    """Return the event at this place; None when there is none (any more)."""
    row = connection.execute(f"{_SELECT} WHERE e.seq = ?", (seq,)).fetchone()
    return _entry(row) if row else None


def by_seqs(connection: Connection, seqs: Sequence[int]) -> list[JournalEntry]:
    """Return the events at these places, in the order of the journal; missing ones are left out."""
    found: list[JournalEntry] = []
    for some in chunks(sorted(seqs)):
        rows = connection.execute(f"{_SELECT} WHERE e.seq IN ({marks(some)}) ORDER BY e.seq", some)
        found += [_entry(row) for row in rows]
    return found


def decoded_tags(text: str) -> Tags:
    """Return tags as submitted from the JSON list of pairs in which they are kept."""
    nothing: list[tuple[str, str]] = []
    return tuple((name, value) for name, value in json_or(nothing, text))


def decoded_object(text: str) -> Mapping[str, JsonValue]:
    """Return the JSON object that a column holds."""
    nothing: dict[str, JsonValue] = {}
    return json_or(nothing, text) if text != "{}" else nothing


def _entry(row: tuple[Any, ...]) -> JournalEntry:
    (seq, kind, at, tenant_id, email_id, message_row, created_at, entry_row, recipient) = row[:9]
    (data, tags, metadata, from_address, subject, message_id, campaign, campaign_at) = row[9:]
    is_mail = email_id is not None
    return JournalEntry(
        seq=seq,
        id=ids.numbered_id("ev", at, seq),
        kind=EventKind(kind),
        at=ids.moment(at),
        tenant_id=tenant_id,
        email_id=email_id or "",
        message_row=message_row or NO_ROW,
        entry_id=entry_id(created_at, entry_row) if is_mail else "",
        recipient=recipient or "",
        data=decoded_object(data),
        tags=decoded_tags(tags) if is_mail else (),
        metadata=decoded_object(metadata) if is_mail else {},
        from_=from_address or "",
        subject=subject or "",
        message_id=message_id or "",
        campaign_id="" if campaign is None else ids.numbered_id("cmp", campaign_at, campaign),
    )
