"""Delivery reports that we owe to whoever submitted mail by SMTP: noted when they fall due, sent
once.

Noted in the transaction that settles the entry, so that a crash neither loses nor doubles one. Not
here: when one is due (mta/core/delivery_status.py), making it (mta/delivery_reports.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from mta.core.message import Message
from storage.database import Connection
from storage.entries import ELIGIBLE_AT
from storage.quarantine import END

MAX_RECIPIENTS = 1000
"""Recipients that one report tells of; the others get another."""


@frozen
class Due:
    """Something that a sender is to be told about an entry.

    Attributes:
        entry_id, message_id: row ids.
        action: "failed", "delayed" or "relayed".
        at: when it happened (aware, UTC).
        code, enhanced, reply, host: what was said and by whom; None and "" where nobody spoke, and
            reply is an error in our words then.
    """

    entry_id: int
    message_id: int
    action: str
    at: datetime
    code: int | None = None
    enhanced: str = ""
    reply: str = ""
    host: str = ""


@frozen
class DueRecipient:
    """One recipient of a report to be made: what is due, and the entry it is about.

    eligible_at is as in claims.QueuedEntry.
    """

    due: Due
    recipient: str
    notify: str
    orcpt: str
    eligible_at: datetime


@frozen
class DueReport:
    """A report to be made.

    Attributes:
        tenant_id, email_id: whose mail it was, and which.
        mail_from: where the report goes.
        ret, envid: as the sender gave them.
        queued_at: when the mail was accepted (aware, UTC).
        message: the mail, None when its body is gone.
        recipients: at least one.
        is_wanted: whether the tenant wants reports; None: it did not say.
        is_test: the mail went to the sandbox, and so does its report.
    """

    tenant_id: int
    email_id: str
    mail_from: str
    ret: str
    envid: str
    queued_at: datetime
    message: Message | None
    recipients: tuple[DueRecipient, ...]
    is_wanted: bool | None
    is_test: bool = False


def note(connection: Connection, due: Iterable[Due]) -> None:
    """Note what senders are to be told; what was noted before is left alone."""
    connection.executemany(
        "INSERT INTO delivery_reports (entry_id, action, message_id, at, code, enhanced, reply,"
        " host) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (
                one.entry_id,
                one.action,
                one.message_id,
                ids.milliseconds(one.at),
                one.code,
                one.enhanced,
                one.reply,
                one.host,
            )
            for one in due
        ],
    )


def next_at(connection: Connection) -> datetime | None:
    """Return when the oldest thing that is still to be told happened; None: there is nothing."""
    [(at,)] = connection.execute(
        "SELECT MIN(at) FROM delivery_reports WHERE sent_at IS NULL AND at >= 0 AND at < ?", (END,)
    ).fetchall()
    return None if at is None else ids.moment(at)


_RIPE = """
SELECT d.message_id FROM delivery_reports d JOIN messages m ON m.id = d.message_id
WHERE d.sent_at IS NULL AND (d.at <= ? OR m.pending = 0) ORDER BY d.at LIMIT 1
"""

_MESSAGE = """
SELECT m.tenant_id, m.public_id, m.mail_from, m.ret, m.envid, m.created_at, m.size, m.header_size,
    m.body_hash, m.is_8bit, b.data, b.file, t.dsn, m.is_test
FROM messages m JOIN tenants t ON t.id = m.tenant_id LEFT JOIN bodies b ON b.message_id = m.id
WHERE m.id = ?
"""

_RECIPIENTS = f"""
SELECT d.entry_id, d.message_id, d.action, d.at, d.code, d.enhanced, d.reply, d.host, e.recipient,
    e.notify, e.orcpt, {ELIGIBLE_AT}
FROM delivery_reports d JOIN entries e ON e.id = d.entry_id JOIN messages m ON m.id = d.message_id
WHERE d.message_id = ? AND d.sent_at IS NULL ORDER BY d.entry_id LIMIT ?
"""  # noqa: S608 - a constant


def ripe(connection: Connection, *, waited_since: datetime) -> DueReport | None:
    """Return a report to be made now; None when there is none.

    It tells of all recipients of a mail of which there is something to tell: when all of them are
    settled, or the first has waited since then.
    """
    row = connection.execute(_RIPE, (ids.milliseconds(waited_since),)).fetchone()
    if row is None:
        return None
    [message] = connection.execute(_MESSAGE, row).fetchall()
    rows = connection.execute(_RECIPIENTS, (*row, MAX_RECIPIENTS)).fetchall()
    return _report(message, rows)


def _report(message: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> DueReport:
    (tenant_id, email_id, mail_from, ret, envid, created_at) = message[:6]
    (size, header_size, body_hash, is_8bit, data, file, wanted, is_test) = message[6:]
    body = None
    if data is not None or file is not None:
        body = Message(data, file, size, header_size, body_hash, bool(is_8bit))
    return DueReport(
        tenant_id=tenant_id,
        email_id=email_id,
        mail_from=mail_from,
        ret=ret,
        envid=envid,
        queued_at=_moment(created_at),
        message=body,
        recipients=tuple(
            DueRecipient(
                Due(entry_id, message_id, action, _moment(at), code, enhanced, reply, host),
                recipient,
                notify,
                orcpt,
                _moment(eligible_at),
            )
            for (
                entry_id,
                message_id,
                action,
                at,
                code,
                enhanced,
                reply,
                host,
                recipient,
                notify,
                orcpt,
                eligible_at,
            ) in rows
        ),
        is_wanted=None if wanted is None else bool(wanted),
        is_test=bool(is_test),
    )


def _moment(ms: object) -> datetime:
    """Return a time; of a damaged row the epoch, because the sender has to be told all the same."""
    return ids.moment(ms if isinstance(ms, int) and 0 <= ms < END else 0)


def drop_orphans(connection: Connection) -> None:
    """Forget what is due about mail that is gone: nobody could be told any more."""
    connection.execute(
        "DELETE FROM delivery_reports WHERE sent_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM entries WHERE id = delivery_reports.entry_id)"
    )


def mark_sent(connection: Connection, report: DueReport, now: datetime) -> bool:
    """Note that a report was queued, or is not wanted; False when that was noted before."""
    changed = 0
    for one in report.recipients:
        changed += connection.execute(
            "UPDATE delivery_reports SET sent_at = ? WHERE entry_id = ? AND action = ?"
            " AND sent_at IS NULL",
            (ids.milliseconds(now), one.due.entry_id, one.due.action),
        ).rowcount
    return changed > 0
