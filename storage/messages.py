"""Messages for the API and for people: what was accepted, for whom, and how each recipient fares.

Read only. Not here: which messages a list has (message_lists.py), the queue in its own order
(listing.py) and the journal (events.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage.database import Connection
from storage.entries import EntryState, entry_id
from storage.events import Tags, decoded_object, decoded_tags
from storage.sql import chunks, marks


@frozen
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
        reported: what came back later: "bounced", "complained", or both; mostly nothing.
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
    reported: tuple[str, ...] = ()


@frozen
class EmailView:
    """One message.

    Attributes:
        row_id: for events.of_message.
        public_id: "em_...".
        tenant_id: whose it is.
        door: "smtp" or "api".
        mail_from: return path, "" for the null return path.
        from_, to, cc, subject, message_id: of the header.
        bcc: who got it without being in its header, as far as the header submitted told.
        reply_to: where answers go, may be empty.
        status: queued, scheduled, deferred; delivered, bounced, expired, canceled, suppressed, or
            partial when only some recipients were delivered to.
        created_at: when it was accepted (aware, UTC).
        send_at: not before this time (aware, UTC); None: at once.
        settled_at: when the last recipient became final (aware, UTC); None: not yet.
        tags, metadata, batch_id: as submitted.
        campaign_id: "cmp_..." of the campaign that it is of; "" for none.
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
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    reply_to: tuple[str, ...]
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
    campaign_id: str = ""


_COLUMNS = """
m.id, m.public_id, m.tenant_id, m.door, m.mail_from, m.from_address, m.header_to, m.subject,
m.message_id, m.status, m.created_at, m.send_at, m.settled_at, m.tags, m.metadata, m.batch_id,
m.size, m.has_body, m.header_cc, m.header_bcc, m.reply_to, c.id, c.created_at
"""
_FROM = "messages m LEFT JOIN campaigns c ON c.id = m.campaign"


def get(connection: Connection, tenant_id: int | None, public_id: str) -> EmailView | None:
    """Return a message; None when the tenant (None: anybody) has none with this "em_..." id."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.public_id = ? AND (? IS NULL OR m.tenant_id = ?)",
        (public_id, tenant_id, tenant_id),
    ).fetchall()
    return next(iter(_views(connection, rows)), None)


def row_of(connection: Connection, tenant_id: int, public_id: str) -> tuple[int, bool] | None:
    """Return a message's row id and whether it still has its body; None as get()."""
    row = connection.execute(
        "SELECT id, has_body FROM messages WHERE public_id = ? AND tenant_id = ?",
        (public_id, tenant_id),
    ).fetchone()
    return None if row is None else (row[0], bool(row[1]))


def by_rows(connection: Connection, rows: Sequence[int]) -> list[EmailView]:
    """Return the messages with these row ids, in the order given; those that are gone are not."""
    views: dict[int, EmailView] = {}
    for some in chunks(rows):
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM {_FROM} WHERE m.id IN ({marks(some)})", some
        ).fetchall()
        views.update((view.row_id, view) for view in _views(connection, found))
    return [views[row] for row in rows if row in views]


def _views(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[EmailView]:
    if not rows:
        return []
    created = {row[0]: row[10] for row in rows}
    recipients: dict[int, list[RecipientView]] = {row_id: [] for row_id in created}
    found = connection.execute(
        "SELECT message_id, id, recipient, domain, state, attempts, due_at, why, code, enhanced,"
        " reply, class, host, reported FROM entries"
        f" WHERE message_id IN ({marks(rows)}) ORDER BY message_id, id",
        tuple(created),
    )
    for message_row, *entry in found:
        recipients[message_row].append(_recipient(created[message_row], entry))
    return [_view(row, tuple(recipients[row[0]])) for row in rows]


def _view(row: tuple[Any, ...], recipients: tuple[RecipientView, ...]) -> EmailView:
    row_id, public_id, tenant_id, door, mail_from, from_, to, subject, message_id = row[:9]
    status, created_at, send_at, settled_at, tags, metadata, batch_id, size, has_body = row[9:18]
    cc, bcc, reply_to, campaign, campaign_at = row[18:]
    return EmailView(
        row_id=row_id,
        public_id=public_id,
        tenant_id=tenant_id,
        door=door,
        mail_from=mail_from,
        from_=from_,
        to=_texts(to),
        cc=_texts(cc),
        bcc=_texts(bcc),
        reply_to=_texts(reply_to),
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
        campaign_id="" if campaign is None else ids.numbered_id("cmp", campaign_at, campaign),
    )


def _texts(text: str) -> tuple[str, ...]:
    return tuple(cast("list[str]", json_text.decode(text))) if text != "[]" else ()


def _recipient(created_ms: int, entry: Sequence[Any]) -> RecipientView:
    number, address, domain, code_of_state, attempts, due_at, why, code = entry[:8]
    enhanced, reply, bounce_class, host, reported = entry[8:]
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
        reported=tuple(name for bit, name in _REPORTED if reported & bit),
    )


_REPORTED = ((1, "bounced"), (2, "complained"))
"""Bits of entries.reported."""
