"""What senders ask of mail they have sent: try failed recipients again, send at another time.

Not here: what operators ask of the queue (operators.py), cancelling included.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.address import parse_address
from mta.core.disposition import Why
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.quota import UNLIMITED, Quota
from storage import directives, events, quotas, suppressions, tallies
from storage.credits import InsufficientCredits, reserve_again
from storage.database import Connection
from storage.entries import EntryState


@frozen
class Retried:
    """How many recipients are tried again, and how many are not because they are suppressed now."""

    waiting: int
    suppressed: int


@frozen
class _Failed:
    """An entry that ended in bounced or expired."""

    id: int
    recipient: str
    domain: str
    state: EntryState

    @property
    def key(self) -> str:
        return parse_address(self.recipient).key


def retry_failed(  # noqa: PLR0913 - what mail is judged by, one by one
    connection: Connection,
    tenant_id: int,
    message_row: int,
    *,
    at: datetime,
    now: datetime,
    quota: Quota = UNLIMITED,
    takes_credits: bool = False,
) -> Retried | InsufficientCredits:
    """Let the bounced and expired recipients of a message wait again, as if it were new to them.

    Attempts and lifetime start again; the journal keeps the earlier ones. A recipient that has been
    suppressed meanwhile stays as it is, with an event that says so; when that goes for all of them,
    nothing is written. The message must still have its body.

    Args:
        connection: of a write.
        tenant_id: whose message it is.
        message_row: its row id.
        at: when to try (aware, UTC); `now` or later.
        now: aware, UTC.
        quota: of tenants that have none of their own.
        takes_credits: whether recipients take credits of the tenant; without enough of them nothing
            is written.
    """
    failed = _failed(connection, message_row)
    found = suppressions.lookup(connection, tenant_id, [one.key for one in failed], now)
    suppressed = [one for one in failed if one.key in found]
    waiting = [one for one in failed if one.key not in found]
    if not waiting:
        return Retried(0, len(suppressed))
    if takes_credits and (
        lacking := reserve_again(connection, tenant_id, message_row, len(waiting), now=now)
    ):
        return lacking
    _wait(connection, waiting, at=at, now=now)
    quotas.place_again(connection, tenant_id, [one.id for one in waiting], quota)
    reasons: list[dict[str, JsonValue]] = [{"reason": found[one.key]} for one in suppressed]
    kinds = [EventKind.SUPPRESSED] * len(suppressed) + [EventKind.QUEUED] * len(waiting)
    data = reasons + [_wish(one, at=at, now=now) for one in waiting]
    at_ms = ids.milliseconds(now)
    events.append(
        connection,
        [
            (message_row, one.id, tenant_id, kind.value, at_ms, events.json_data(details))
            for one, kind, details in zip([*suppressed, *waiting], kinds, data, strict=True)
        ],
    )
    tallies.reopen(connection, message_row, len(waiting), is_later=at > now)
    return Retried(len(waiting), len(suppressed))


def _failed(connection: Connection, message_row: int) -> list[_Failed]:
    rows = connection.execute(
        "SELECT id, recipient, domain, state FROM entries"
        " WHERE message_id = ? AND state IN (11, 12) ORDER BY id",
        (message_row,),
    )
    return [
        _Failed(row, recipient, domain, EntryState(state)) for row, recipient, domain, state in rows
    ]


_WAIT = """
UPDATE entries SET state = 0, due_at = ?, eligible_at = ?, why = ?, attempts = 0,
    code = NULL, enhanced = NULL, reply = NULL, class = NULL, host = NULL
WHERE id = ?
"""


def _wait(
    connection: Connection, entries: Sequence[_Failed], *, at: datetime, now: datetime
) -> None:
    due, why = ids.milliseconds(at), Why.SCHEDULED if at > now else Why.NEW
    connection.executemany(_WAIT, [(due, due, why.value, one.id) for one in entries])
    for domain in sorted({one.domain for one in entries}):
        directives.record(connection, directives.DUE_CHANGED, domain)


def _wish(entry: _Failed, *, at: datetime, now: datetime) -> dict[str, JsonValue]:
    data: dict[str, JsonValue] = {"retried": entry.state.label}
    return {**data, "send_at": at.isoformat(timespec="milliseconds")} if at > now else data


_SCHEDULED = (
    "SELECT id FROM entries WHERE message_id = ? AND state = 0 AND why = 'scheduled' ORDER BY id"
)
_KEEP_OTHERS = """
UPDATE entries SET eligible_at = COALESCE(m.send_at, m.created_at) FROM messages m
WHERE m.id = ?1 AND entries.message_id = ?1 AND eligible_at IS NULL AND state < 10
    AND NOT (state = 0 AND why = 'scheduled')
"""
_RESCHEDULE = """
UPDATE entries SET due_at = ?1, why = ?2,
    eligible_at = CASE WHEN eligible_at IS NOT NULL OR ?2 = 'new' THEN ?1 END
WHERE message_id = ?3 AND state = 0 AND why = 'scheduled' RETURNING id, domain
"""


def reschedule(
    connection: Connection,
    tenant_id: int,
    message_row: int,
    *,
    at: datetime,
    now: datetime,
    quota: Quota = UNLIMITED,
) -> bool:
    """Give a message that waits for its time another one; False, and nothing changed, if none does.

    Recipients that wait for something else by now keep the time that they had.

    Args:
        connection: of a write.
        tenant_id: whose message it is.
        message_row: its row id.
        at: when to send (aware, UTC); not after `now`: at once.
        now: aware, UTC.
        quota: of tenants that have none of their own.
    """
    scheduled = connection.execute(_SCHEDULED, (message_row,)).fetchall()
    if not scheduled:
        return False
    connection.execute(_KEEP_OTHERS, (message_row,))
    quotas.give_back(connection, [(entry, tenant_id) for (entry,) in scheduled])
    is_later = at > now
    due, why = ids.milliseconds(max(at, now)), Why.SCHEDULED if is_later else Why.NEW
    moved = connection.execute(_RESCHEDULE, (due, why.value, message_row)).fetchall()
    connection.execute(
        "UPDATE messages SET send_at = ?, status = ? WHERE id = ?",
        (due if is_later else None, "scheduled" if is_later else "queued", message_row),
    )
    quotas.place_again(connection, tenant_id, [entry for entry, _ in moved], quota)
    for domain in sorted({domain for _, domain in moved}):
        directives.record(connection, directives.DUE_CHANGED, domain)
    data = events.json_data({"send_at": max(at, now).isoformat(timespec="milliseconds")})
    kind, at_ms = EventKind.SCHEDULED.value, ids.milliseconds(now)
    events.append(
        connection, [(message_row, entry, tenant_id, kind, at_ms, data) for entry, _ in moved]
    )
    return True
