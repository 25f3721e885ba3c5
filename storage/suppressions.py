"""Suppressions: addresses that a tenant's mail no longer goes to, since when, why, and until when.

Compared by the address's key (core/address.py). Not here: deciding to add one
(core/suppression.py), and the CSV that lists of them travel in (core/suppression_csv.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import events, membership_status
from storage.database import Connection
from storage.sql import chunks, marks


@frozen
class Cause:
    """What led to a suppression; "" where there is nothing of the kind.

    Attributes:
        rule: what decided it: a bounce rule, a policy's class, or the "imp_..." id of an import.
        event_id: "ev_..." of the event it follows from.
        email_id: "em_..." of the message that it happened to.
    """

    rule: str = ""
    event_id: str = ""
    email_id: str = ""


@frozen
class NewSuppression:
    """A suppression to be added.

    Attributes:
        key: what addresses are compared by.
        address: as it was given.
        reason: "bounce", "complaint", "unsubscribe", "manual", ...
        expires_at: until when it counts (aware); None: until somebody removes it.
        cause: what led to it.
    """

    key: str
    address: str
    reason: str
    expires_at: datetime | None = None
    cause: Cause = Cause()


@frozen
class SuppressionRecord:
    """One suppressed address.

    Attributes:
        id: "sup_...".
        key, address, reason, cause, expires_at: as in NewSuppression.
        created_at: when it was suppressed (aware, UTC).
    """

    id: str
    key: str
    address: str
    reason: str
    cause: Cause
    created_at: datetime
    expires_at: datetime | None


@frozen
class SuppressionFilter:
    """Which suppressions are meant: those that meet all that is given; "" and None ask nothing.

    Attributes:
        reason, rule: exactly these.
        since: added at or after then (aware).
        text: the address contains it; upper and lower case of ASCII letters are the same.
    """

    reason: str = ""
    rule: str = ""
    since: datetime | None = None
    text: str = ""


def add(  # noqa: PLR0913 - one parameter for each column
    connection: Connection,
    *,
    tenant_id: int,
    key: str,
    address: str,
    reason: str,
    now: datetime,
    expires_at: datetime | None = None,
    cause: Cause = Cause(),  # noqa: B008 - frozen
) -> bool:
    """Suppress an address; False, and nothing changed, when it is for at least as long already."""
    new = NewSuppression(key, address, reason, expires_at, cause)
    return bool(add_all(connection, tenant_id, [new], now=now))


_INSERT = """
INSERT INTO suppressions (
    tenant_id, scope, key, address, reason, rule, event_id, email_id, created_at, expires_at
) VALUES (?, '', ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, scope, key) DO NOTHING
"""

_DELETE_SHORTER = """
DELETE FROM suppressions WHERE tenant_id = ? AND scope = '' AND key = ?
    AND expires_at < COALESCE(?, 9223372036854775807)
"""


def add_all(
    connection: Connection,
    tenant_id: int,
    new: Sequence[NewSuppression],
    *,
    now: datetime,
    is_told: bool = True,
) -> list[NewSuppression]:
    """Suppress addresses; return those that were not suppressed before, or not for so long.

    Args:
        connection: of a write.
        tenant_id: whose mail.
        new: which; of equal keys the first counts, or the one that lasts longer.
        now: aware, UTC.
        is_told: whether the journal gets an event for each.
    """
    now_ms = ids.milliseconds(now)
    added = [one for one in new if _add(connection, tenant_id, one, now_ms)]
    followed = [(one.key, one.reason) for one in added if one.expires_at is None]
    membership_status.follow(
        connection, tenant_id, followed, scope="", now_ms=now_ms, is_told=is_told
    )
    if is_told:
        kind = EventKind.SUPPRESSION_ADDED
        _tell(connection, tenant_id, kind, [_event_data(one) for one in added], now_ms)
    return added


def _add(connection: Connection, tenant_id: int, new: NewSuppression, now_ms: int) -> bool:
    end = None if new.expires_at is None else ids.milliseconds(new.expires_at)
    cause = new.cause
    text = (new.key, new.address, new.reason, cause.rule, cause.event_id, cause.email_id)
    row = (tenant_id, *text, now_ms, end)
    if connection.execute(_INSERT, row).rowcount == 1:
        return True
    # The old one goes, rather than being changed, so that ids keep growing with created_at.
    if connection.execute(_DELETE_SHORTER, (tenant_id, new.key, end)).rowcount == 0:
        return False
    return connection.execute(_INSERT, row).rowcount == 1


def _event_data(new: NewSuppression) -> dict[str, JsonValue]:
    """Return what an event tells; what there is nothing to say about is absent."""
    data: dict[str, JsonValue] = {
        "email": new.address,
        "reason": new.reason,
        "rule": new.cause.rule,
        "event_id": new.cause.event_id,
        "email_id": new.cause.email_id,
        "expires_at": new.expires_at.isoformat(timespec="milliseconds") if new.expires_at else "",
    }
    return {name: value for name, value in data.items() if value}


def _tell(
    connection: Connection,
    tenant_id: int,
    kind: EventKind,
    details: Sequence[dict[str, JsonValue]],
    now_ms: int,
) -> None:
    none = events.NO_ROW
    events.append(
        connection,
        [(none, none, tenant_id, kind.value, now_ms, events.json_data(data)) for data in details],
    )


def remove(connection: Connection, *, tenant_id: int, key: str, now: datetime) -> bool:
    """Let mail go to the address again, with an event; False when it was not suppressed."""
    removed = connection.execute(
        "DELETE FROM suppressions WHERE tenant_id = ? AND scope = '' AND key = ?"
        " RETURNING address, reason",
        (tenant_id, key),
    ).fetchall()
    details: list[dict[str, JsonValue]] = [
        {"email": address, "reason": reason} for address, reason in removed
    ]
    kind = EventKind.SUPPRESSION_REMOVED
    _tell(connection, tenant_id, kind, details, ids.milliseconds(now))
    return bool(removed)


def remove_matching(
    connection: Connection, tenant_id: int, filters: SuppressionFilter, *, limit: int
) -> int:
    """Remove at most `limit` that the filter means; return how many.

    Call it again, in transactions of its own, while it returns `limit`: mail waits for each.
    """
    where, values = _conditions(connection, tenant_id, filters)
    removed = connection.execute(
        "DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions"
        f" WHERE {where} ORDER BY id DESC LIMIT ?)",
        (*values, limit),
    )
    return removed.rowcount


def forget_expired(connection: Connection, now: datetime, *, limit: int) -> int:
    """Delete some of those that no longer count; return how many."""
    deleted = connection.execute(
        "DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions"
        " WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT ?)",
        (ids.milliseconds(now), limit),
    )
    return deleted.rowcount


def lookup(
    connection: Connection,
    tenant_id: int,
    keys: Sequence[str],
    now: datetime,
    *,
    scope: str = "",
) -> dict[str, str]:
    """Return key -> reason for those of the keys that are suppressed, or have left a list."""
    found: dict[str, str] = {}
    for chunk in chunks(keys):
        rows = connection.execute(
            "SELECT key, reason FROM suppressions WHERE tenant_id = ? AND scope = ?"
            f" AND key IN ({marks(chunk)}) AND (expires_at IS NULL OR expires_at > ?)",
            (tenant_id, scope, *chunk, ids.milliseconds(now)),
        )
        found.update(rows)
    return found


_SELECT = """
SELECT id, key, address, reason, rule, event_id, email_id, created_at, expires_at
FROM suppressions WHERE {} AND (expires_at IS NULL OR expires_at > ?)
"""


def get(
    connection: Connection, tenant_id: int, name: str, *, now: datetime
) -> SuppressionRecord | None:
    """Return the suppression with this "sup_..." id or key; None when there is none."""
    number = ids.number_of(name, "sup")
    condition, value = ("scope = '' AND key = ?", name) if number is None else ("id = ?", number)
    row = connection.execute(
        _SELECT.format(f"tenant_id = ? AND {condition}"), (tenant_id, value, ids.milliseconds(now))
    ).fetchone()
    return _record(row) if row else None


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    filters: SuppressionFilter = SuppressionFilter(),  # noqa: B008 - frozen
    *,
    now: datetime,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[SuppressionRecord]:
    """Return suppressions, newest first.

    An index gives the page; with `text` one after the other is looked at until the page is full.

    Args:
        connection: any.
        tenant_id: whose.
        filters: which.
        now: those that have expired by then are left out (aware, UTC).
        limit: at most so many.
        after: go on after the one with this id, to older ones.
        before: instead, those just before this one, newer ones. Another kind of id gives none.
        skip: leave out so many at the start.
    """
    where, values = _conditions(connection, tenant_id, filters)
    cursor = ids.number_of(after or before, "sup")
    if after or before:
        where = f"{where} AND id {'<' if after else '>'} ?"
        values.append((0 if after else _LAST) if cursor is None else cursor)
    direction = "ASC" if before and not after else "DESC"
    rows = connection.execute(
        f"{_SELECT.format(where)} ORDER BY id {direction} LIMIT ? OFFSET ?",
        (*values, ids.milliseconds(now), limit, skip),
    ).fetchall()
    return [_record(row) for row in (rows if direction == "DESC" else reversed(rows))]


def count(
    connection: Connection, tenant_id: int, filters: SuppressionFilter, *, now: datetime
) -> int:
    """Return how many the filter means."""
    where, values = _conditions(connection, tenant_id, filters)
    row = connection.execute(
        f"SELECT COUNT(*) FROM suppressions WHERE {where}"
        " AND (expires_at IS NULL OR expires_at > ?)",
        (*values, ids.milliseconds(now)),
    ).fetchone()
    return int(row[0])


_LAST = 2**63 - 1


def _conditions(
    connection: Connection, tenant_id: int, filters: SuppressionFilter
) -> tuple[str, list[object]]:
    """Return a filter as SQL with its parameters.

    Ids grow with time, so `since` becomes the first id that is meant: the page is still read in
    the order of ids, and ends there.
    """
    conditions, values = ["tenant_id = ?"], list[object]([tenant_id])
    if filters.reason:
        conditions.append("reason = ?")
        values.append(filters.reason)
    if filters.rule:
        conditions.append("rule = ? AND rule <> ''")
        values.append(filters.rule)
    if filters.since is not None:
        conditions.append("id >= ?")
        values.append(_first_since(connection, tenant_id, ids.milliseconds(filters.since)))
    if filters.text:
        escaped = filters.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        conditions.append("address LIKE ? ESCAPE '\\'")
        values.append(f"%{escaped}%")
    return " AND ".join(conditions), values


def _first_since(connection: Connection, tenant_id: int, since_ms: int) -> int:
    row = connection.execute(
        "SELECT id FROM suppressions WHERE tenant_id = ? AND created_at >= ?"
        " ORDER BY created_at, id LIMIT 1",
        (tenant_id, since_ms),
    ).fetchone()
    return int(row[0]) if row else _LAST


def _record(row: tuple[Any, ...]) -> SuppressionRecord:
    number, key, address, reason, rule, event_id, email_id, created_at, expires_at = row
    return SuppressionRecord(
        id=ids.numbered_id("sup", created_at, number),
        key=key,
        address=address,
        reason=reason,
        cause=Cause(rule, event_id, email_id),
        created_at=ids.moment(created_at),
        expires_at=None if expires_at is None else ids.moment(expires_at),
    )
