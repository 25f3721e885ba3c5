"""Messages for the API and for people: what was accepted, for whom, and how each recipient fares.

Read only. Not here: the queue in its own order (listing.py) and the journal (events.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import JsonValue
from storage.database import Connection
from storage.entries import EntryState, entry_id
from storage.events import Tags, decoded_object, decoded_tags
from storage.sql import marks


@dataclass(frozen=True, slots=True)
class RecipientView:
    """One recipient of a message.

    Attributes:
        entry_id: "dl_...".
        address: as text.
        domain: A-label, or an address literal.
        status: label of its EntryState: "waiting", "claimed", "held", "delivered", ...
        attempts: made so far.
        due_at: when it is tried (next), while it waits (aware, UTC); None otherwise.
        why: why it waits, a core.disposition.Why value; "" when it does not.
        code: last reply's code; None when no server has answered.
        enhanced: its enhanced status, "" for none.
        reply: its text, or the error where no server answered, or why it is suppressed; or "".
        bounce_class: of the last failure, a core.bounce.BounceClass value; "" when there was none.
        host: server of the last attempt; "" when none was reached.
    """

    entry_id: str
    address: str
    domain: str
    status: str
    attempts: int
    due_at: datetime | None
    why: str
    code: int | None
    enhanced: str
    reply: str
    bounce_class: str
    host: str


@dataclass(frozen=True, slots=True)
class EmailView:
    """One message.

    Attributes:
        row_id: for events.of_message.
        public_id: "em_...".
        tenant_id: whose it is.
        door: "smtp" or "api".
        mail_from: return path, "" for the null return path.
        from_, to, subject, message_id: of the header.
        status: queued, scheduled, deferred; delivered, bounced, expired, canceled, suppressed, or
            partial when only some recipients were delivered to.
        created_at: when it was accepted (aware, UTC).
        send_at: not before this time (aware, UTC); None: at once.
        settled_at: when the last recipient became final (aware, UTC); None: not yet.
        tags, metadata, batch_id: as submitted.
        size: bytes of the whole message.
        has_body: whether the message itself is still kept.
        recipients: in the order given.
    """

    row_id: int
    public_id: str
    tenant_id: int
    door: str
    mail_from: str
    from_: str
    to: tuple[str, ...]
    subject: str
    message_id: str
    status: str
    created_at: datetime
    send_at: datetime | None
    settled_at: datetime | None
    tags: Tags
    metadata: Mapping[str, JsonValue]
    batch_id: str
    size: int
    has_body: bool
    recipients: tuple[RecipientView, ...]


@dataclass(frozen=True, slots=True)
class EmailFilter:
    """Which messages to list: those that meet all that is given; "" and None ask nothing.

    Attributes:
        status: as EmailView.status.
        to: one of the recipients, exactly as its address is kept.
        from_: address in From.
        domain: domain of one of the recipients, A-label.
        tag: name of a tag; with tag_value also its value.
        batch_id: "bt_...".
        since, until: accepted at or after, and before (aware).
    """

    status: str = ""
    to: str = ""
    from_: str = ""
    domain: str = ""
    tag: str = ""
    tag_value: str | None = None
    batch_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


_COLUMNS = """
m.id, m.public_id, m.tenant_id, m.door, m.mail_from, m.from_address, m.header_to, m.subject,
m.message_id, m.status, m.created_at, m.send_at, m.settled_at, m.tags, m.metadata, m.batch_id,
m.size, m.has_body
"""


def get(connection: Connection, tenant_id: int | None, public_id: str) -> EmailView | None:
    """Return a message; None when the tenant (None: anybody) has none with this "em_..." id."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages m"
        " WHERE m.public_id = ? AND (? IS NULL OR m.tenant_id = ?)",
        (public_id, tenant_id, tenant_id),
    ).fetchall()
    return next(iter(_views(connection, rows)), None)


def list_(
    connection: Connection,
    tenant_id: int,
    filters: EmailFilter = EmailFilter(),
    *,
    limit: int,
    after: str = "",
    before: str = "",
) -> list[EmailView]:
    """Return a tenant's messages, newest first.

    Without filters, and by time, tag and value, or batch, an index gives the page. The others look
    at one message after the other until the page is full: combine them with `since`.

    Args:
        connection: any.
        tenant_id: whose.
        filters: which.
        limit: at most so many; ask for one more to learn whether there are more.
        after: go on after the message with this "em_..." id, to older ones.
        before: instead, those just before this one, newer ones. An unknown id gives none.
    """
    query = _Query(tenant_id, filters)
    if after or before:
        row = connection.execute(
            "SELECT created_at, id FROM messages WHERE public_id = ? AND tenant_id = ?",
            (after or before, tenant_id),
        ).fetchone()
        if row is None:
            return []
        query.require(f"({query.at}, {query.row}) {'<' if after else '>'} (?, ?)", *row)
    direction = "ASC" if before and not after else "DESC"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {query.source} WHERE {query.condition}"
        f" ORDER BY {query.at} {direction}, {query.row} {direction} LIMIT ?",
        (*query.values, limit),
    ).fetchall()
    views = _views(connection, rows)
    return views if direction == "DESC" else views[::-1]


class _Query:
    """The FROM and WHERE of a list. With a whole tag it walks message_tags, otherwise messages."""

    def __init__(self, tenant_id: int, filters: EmailFilter) -> None:
        self.source, self.at, self.row = "messages m", "m.created_at", "m.id"
        self.values: list[object] = []
        self._conditions: list[str] = []
        if filters.tag and filters.tag_value is not None:
            self.source = "message_tags t JOIN messages m ON m.id = t.message_id"
            self.at, self.row = "t.created_at", "t.message_id"
            self.require("t.tenant_id = ?", tenant_id)
            self.require("t.name = ? AND t.value = ?", filters.tag, filters.tag_value)
        else:
            self.require("m.tenant_id = ?", tenant_id)
        self._filter(tenant_id, filters)

    @property
    def condition(self) -> str:
        return " AND ".join(self._conditions)

    def require(self, condition: str, *values: object) -> None:
        self._conditions.append(condition)
        self.values += values

    def _filter(self, tenant_id: int, filters: EmailFilter) -> None:
        if filters.tag and filters.tag_value is None:
            named = "SELECT message_id FROM message_tags WHERE tenant_id = ? AND name = ?"
            self.require(f"m.id IN ({named})", tenant_id, filters.tag)
        if filters.batch_id:
            self.require("m.batch_id = ? AND m.batch_id <> ''", filters.batch_id)
        if filters.since is not None:
            self.require(f"{self.at} >= ?", ids.milliseconds(filters.since))
        if filters.until is not None:
            self.require(f"{self.at} < ?", ids.milliseconds(filters.until))
        if filters.status:
            self.require("m.status = ?", filters.status)
        if filters.from_:
            self.require("m.from_address = ?", filters.from_)
        entry = "EXISTS (SELECT 1 FROM entries e WHERE e.message_id = m.id AND e.{} = ?)"
        if filters.to:
            self.require(entry.format("recipient"), filters.to)
        if filters.domain:
            self.require(entry.format("domain"), filters.domain)


def _views(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[EmailView]:
    if not rows:
        return []
    created = {row[0]: row[10] for row in rows}
    recipients: dict[int, list[RecipientView]] = {row_id: [] for row_id in created}
    found = connection.execute(
        "SELECT message_id, id, recipient, domain, state, attempts, due_at, why, code, enhanced,"
        " reply, class, host FROM entries"
        f" WHERE message_id IN ({marks(rows)}) ORDER BY message_id, id",
        tuple(created),
    )
    for message_row, *entry in found:
        recipients[message_row].append(_recipient(created[message_row], entry))
    return [_view(row, tuple(recipients[row[0]])) for row in rows]


def _view(row: tuple[Any, ...], recipients: tuple[RecipientView, ...]) -> EmailView:
    row_id, public_id, tenant_id, door, mail_from, from_, to, subject, message_id = row[:9]
    status, created_at, send_at, settled_at, tags, metadata, batch_id, size, has_body = row[9:]
    return EmailView(
        row_id=row_id,
        public_id=public_id,
        tenant_id=tenant_id,
        door=door,
        mail_from=mail_from,
        from_=from_,
        to=tuple(cast("list[str]", json_text.decode(to))),
        subject=subject,
        message_id=message_id,
        status=status,
        created_at=ids.moment(created_at),
        send_at=None if send_at is None else ids.moment(send_at),
        settled_at=None if settled_at is None else ids.moment(settled_at),
        tags=decoded_tags(tags),
        metadata=decoded_object(metadata),
        batch_id=batch_id,
        size=size,
        has_body=bool(has_body),
        recipients=recipients,
    )


def _recipient(created_ms: int, entry: Sequence[Any]) -> RecipientView:
    number, address, domain, code_of_state, attempts, due_at, why, code = entry[:8]
    enhanced, reply, bounce_class, host = entry[8:]
    state = EntryState(code_of_state)
    return RecipientView(
        entry_id=entry_id(created_ms, number),
        address=address,
        domain=domain,
        status=state.label,
        attempts=attempts,
        due_at=ids.moment(due_at) if state is EntryState.WAITING else None,
        why=why,
        code=code,
        enhanced=enhanced or "",
        reply=reply or "",
        bounce_class=bounce_class or "",
        host=host or "",
    )
