"""The rows of accepted mail: messages, bodies, tags, entries and first events, many at a time.

A statement that writes many rows costs the writer thread little more than one with a single row: it
is the hand-overs between threads, several for each statement, that are dear. Not here: whether mail
is accepted, and what it waits for (submissions.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mta.core import ids, json_text
from mta.core.disposition import Why
from mta.core.frozen import frozen
from mta.core.submission import EntryDraft, Prepared, Submission
from storage import events, tracking, unsubscribes
from storage.database import Connection
from storage.entries import EntryState
from storage.sql import insert


@frozen
class NewMessage:
    """What is written of one submission.

    Attributes:
        submission: what the client asked.
        prepared: its entries and their first events.
        pending: how many of the entries will be tried.
        status: "queued", "scheduled", or "suppressed" when no entry will be tried.
    """

    submission: Submission
    prepared: Prepared
    pending: int
    status: str

    @classmethod
    def of(cls, submission: Submission, prepared: Prepared, now: datetime) -> NewMessage:
        """Count what is pending at `now`, and name the status."""
        pending = sum(not entry.is_suppressed for entry in prepared.entries)
        status = "queued" if _send_at(submission, now) is None else "scheduled"
        return cls(submission, prepared, pending, status if pending else "suppressed")


_Numbered = Sequence[tuple[int, NewMessage]]
_Row = tuple[object, ...]

_MESSAGE = (
    *("public_id", "tenant_id", "door", "mail_from", "ret", "envid"),
    *("from_address", "sender_domain", "subject", "message_id", "header_to", "header_cc"),
    *("header_bcc", "reply_to", "has_8bit_header", "size", "header_size", "body_hash", "is_8bit"),
    *("batch_id", "tags", "metadata", "created_at", "send_at", "status", "recipients", "pending"),
    *("settled_at", "has_body", "is_test", "unsubscribe", "tracking", "campaign"),
)
_BODY = ("message_id", "file", "data")
_TAG = ("tenant_id", "name", "value", "created_at", "message_id")
_ENTRY = (
    *("message_id", "tenant_id", "recipient", "domain", "notify", "orcpt", "priority"),
    *("state", "due_at", "why", "reply", "eligible_at", "attempts"),
)


def write(connection: Connection, new: Sequence[NewMessage], now: datetime) -> list[int]:
    """Write all of them, accepted at `now` (aware, UTC); return the row ids of the messages."""
    first = insert(connection, "messages", _MESSAGE, [_message(one, now) for one in new])
    messages = [*enumerate(new, first)]
    insert(connection, "bodies", _BODY, [_body(row, one) for row, one in messages])
    insert(connection, "message_tags", _TAG, [*_tags(messages, ids.milliseconds(now))])
    first = insert(connection, "entries", _ENTRY, [*_entries(messages)])
    events.append(connection, [*_journal(messages, first)])
    return [row for row, _ in messages]


def _message(new: NewMessage, now: datetime) -> _Row:
    submission, now_ms = new.submission, ids.milliseconds(now)
    envelope, header, message = submission.envelope, submission.header, submission.message
    send_at = _send_at(submission, now)
    return (
        submission.public_id,
        submission.tenant_id,
        submission.door.value,
        str(envelope.mail_from or ""),
        envelope.ret,
        envelope.envid,
        header.from_address,
        header.sender_domain,
        header.subject,
        header.message_id,
        _json(header.to),
        _json(header.cc),
        _json(header.bcc),
        _json(header.reply_to),
        header.has_8bit_header,
        message.size,
        message.header_size,
        message.body_hash,
        message.is_8bit,
        submission.batch_id,
        _json(submission.tags),
        events.json_data(submission.metadata),
        now_ms,
        None if send_at is None else ids.milliseconds(send_at),
        new.status,
        len(new.prepared.entries),
        new.pending,
        None if new.pending else now_ms,
        1,
        submission.is_test,
        unsubscribes.to_column(submission.unsubscribe),
        tracking.to_column(submission.tracking),
        submission.campaign or None,
    )


def _body(row: int, new: NewMessage) -> _Row:
    message = new.submission.message
    return row, message.file, message.data


def _tags(messages: _Numbered, now_ms: int) -> Iterator[_Row]:
    for row, new in messages:
        tenant_id = new.submission.tenant_id
        for name, value in dict.fromkeys(new.submission.tags):  # the same may be given twice
            yield tenant_id, name, value, now_ms, row


def _entries(messages: _Numbered) -> Iterator[_Row]:
    for row, new in messages:
        for draft in new.prepared.entries:
            yield _entry(row, new.submission, draft)


def _entry(message_row: int, submission: Submission, draft: EntryDraft) -> _Row:
    due_ms = ids.milliseconds(draft.due_at)
    return (
        message_row,
        submission.tenant_id,
        str(draft.recipient.address),
        draft.domain,
        draft.recipient.notify,
        draft.recipient.orcpt,
        int(submission.priority),
        int(EntryState.SUPPRESSED if draft.is_suppressed else EntryState.WAITING),
        due_ms,
        "" if draft.is_suppressed else draft.why.value,
        draft.suppressed_for or None,
        due_ms if draft.why is Why.QUOTA else None,
        0,
    )


def _journal(messages: _Numbered, first_entry: int) -> Iterator[events.EventRow]:
    entry_row = first_entry
    for row, new in messages:
        for event in new.prepared.events:
            at_ms, data = ids.milliseconds(event.at), events.json_data(event.data)
            yield row, entry_row, new.submission.tenant_id, event.kind.value, at_ms, data
            entry_row += 1


def _send_at(submission: Submission, now: datetime) -> datetime | None:
    """Return when a submission is to be sent, None where that is at once."""
    send_at = submission.send_at
    return send_at if send_at is not None and send_at > now else None


def _json(values: Sequence[object]) -> str:
    return json_text.encode(values).decode() if values else "[]"
