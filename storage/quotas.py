"""Sending quotas of tenants, and the counters of the emails that have a place in them.

Counted is every recipient that is to be tried, at acceptance, in the hour and day that it is due:
those that a suppression stops do not count, nor does mail of test keys. Further attempts are not
counted again, but a failed recipient that its sender has tried anew is. What is canceled,
suppressed or given another time before its first attempt gives its place back.

The decision is core/quota.py. Called inside the transaction that accepts or cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product

from mta.core import ids
from mta.core.envelope import Priority
from mta.core.frozen import frozen
from mta.core.quota import Lane, Quota, Span, Window, place
from storage.database import Connection
from storage.entries import ELIGIBLE_AT
from storage.sql import chunks, marks

KEPT = timedelta(days=2)
"""How long windows that are over stay, for people to see and clocks to be set back."""


def own_quota(connection: Connection, tenant_id: int) -> Quota | None:
    """Return the quota that a tenant has of its own; None: it has that of mta.toml."""
    row = connection.execute(
        "SELECT per_hour, per_day FROM tenant_quotas WHERE tenant_id = ?", (tenant_id,)
    ).fetchone()
    return Quota(*row) if row else None


def set_own_quota(connection: Connection, tenant_id: int, quota: Quota | None) -> None:
    """Give a tenant a quota of its own; None: that of mta.toml. Queued mail keeps its times."""
    connection.execute("DELETE FROM tenant_quotas WHERE tenant_id = ?", (tenant_id,))
    if quota is not None:
        connection.execute(
            "INSERT INTO tenant_quotas (tenant_id, per_hour, per_day) VALUES (?, ?, ?)",
            (tenant_id, quota.per_hour, quota.per_day),
        )


@frozen
class Usage:
    """How much of a quota is used.

    Attributes:
        span: hour or day.
        limit: emails.
        used: of them in the present window, queued ones that are due in it included.
        resets_at: when the next window begins (aware, UTC).
    """

    span: Span
    limit: int
    used: int
    resets_at: datetime


def usage(connection: Connection, tenant_id: int, quota: Quota, now: datetime) -> list[Usage]:
    """Return how much of each limit of a tenant's quota is used; empty without limits."""
    ledger = _Ledger(connection, tenant_id)
    found = []
    for span, limit in quota.limits():
        start = span.start(now)
        used = ledger.window(span, Lane.ALL, start).taken
        found.append(Usage(span, limit, used, start + span.length))
    return found


def take_places(
    connection: Connection,
    tenant_id: int,
    quota: Quota,
    priority: Priority,
    times: Sequence[datetime],
) -> list[datetime]:
    """Give emails their places; return when each is due, not before its time.

    Args:
        connection: of a write.
        tenant_id: whose.
        quota: the tenant's; without limits every email is due at its time.
        priority: of all of them.
        times: when each could be sent if there were no quota (aware, UTC).
    """
    if not quota.limits():
        return list(times)
    ledger = _Ledger(connection, tenant_id)
    due = [place(ledger, quota, priority, at) for at in times]
    ledger.save()
    return due


_AGAIN = """
SELECT e.id, e.priority, e.due_at FROM entries e JOIN messages m ON m.id = e.message_id
WHERE e.id IN ({}) AND NOT m.is_test ORDER BY e.id
"""


def place_again(
    connection: Connection, tenant_id: int, entry_rows: Sequence[int], default: Quota
) -> None:
    """Give waiting entries (row ids) a place by their due times, which their sender has changed.

    `default` is the quota of a tenant that has none of its own. Those over it wait longer.
    """
    quota = own_quota(connection, tenant_id) or default
    if not quota.limits():
        return
    ledger = _Ledger(connection, tenant_id)
    for some in chunks(entry_rows):
        for row, priority, wished in connection.execute(
            _AGAIN.format(marks(some)), some
        ).fetchall():
            due_ms = ids.milliseconds(place(ledger, quota, Priority(priority), ids.moment(wished)))
            if due_ms > wished:
                connection.execute(_DELAY, (due_ms, due_ms, row))
    ledger.save()


_DELAY = "UPDATE entries SET due_at = ?, eligible_at = ?, why = 'quota' WHERE id = ?"
_PLACES = f"""
SELECT e.priority, {ELIGIBLE_AT}
FROM entries e JOIN messages m ON m.id = e.message_id
WHERE e.id IN ({{}}) AND e.attempts = 0 AND NOT m.is_test
"""  # noqa: S608 - a constant


def give_back(connection: Connection, entries: Iterable[tuple[int, int]]) -> None:
    """Free the places of those entries, (row id, tenant id) each, that have not been tried.

    Called when they are final without an attempt, and before they get another time. Transactional
    mail that found its hour or day full of bulk took the place that bulk lacks in a later one; what
    it gives back is one in its own.
    """
    by_tenant: dict[int, list[int]] = {}
    for entry_row, tenant_id in entries:
        by_tenant.setdefault(tenant_id, []).append(entry_row)
    for tenant_id, rows in by_tenant.items():
        if connection.execute(
            "SELECT 1 FROM quota_windows WHERE tenant_id = ? LIMIT 1", (tenant_id,)
        ).fetchone():
            _give_back(_Ledger(connection, tenant_id), rows)


def _give_back(ledger: _Ledger, entry_rows: Sequence[int]) -> None:
    for some in chunks(entry_rows):
        for priority, due_at in ledger.connection.execute(_PLACES.format(marks(some)), some):
            lanes = tuple(Lane) if priority == Priority.TRANSACTIONAL else (Lane.ALL,)
            for span, lane in product(Span, lanes):
                ledger.give_back(span, lane, span.start(ids.moment(due_at)))
    ledger.save()


_Key = tuple[str, str, int]


@dataclass(slots=True)
class _Counter:
    """A window as it is being changed; times in ms."""

    taken: int = 0
    room_at: int | None = None
    is_changed: bool = False
    is_freed: bool = False


_SAVE = """
INSERT INTO quota_windows (tenant_id, span, lane, start, taken, room_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant_id, span, lane, start)
DO UPDATE SET taken = excluded.taken, room_at = excluded.room_at
"""
_UNSKIP = """
UPDATE quota_windows SET room_at = NULL
WHERE tenant_id = ? AND span = ? AND lane = ? AND start < ? AND room_at > ?
"""


@dataclass(slots=True)
class _Ledger:
    """The windows of one tenant, each read once; see core.quota.Ledger."""

    connection: Connection
    tenant_id: int
    counters: dict[_Key, _Counter] = field(default_factory=dict)

    def window(self, span: Span, lane: Lane, start: datetime) -> Window:
        counter = self._counter(span, lane, start)
        room_at = None if counter.room_at is None else ids.moment(counter.room_at)
        return Window(counter.taken, room_at)

    def take(self, span: Span, lane: Lane, start: datetime) -> None:
        counter = self._counter(span, lane, start)
        counter.taken += 1
        counter.is_changed = True

    def note_room(self, span: Span, lane: Lane, start: datetime, room_at: datetime) -> None:
        counter = self._counter(span, lane, start)
        counter.room_at = ids.milliseconds(room_at)
        counter.is_changed = True

    def give_back(self, span: Span, lane: Lane, start: datetime) -> None:
        """Free one place, if one is taken at all: windows that are long over are forgotten."""
        counter = self._counter(span, lane, start)
        if counter.taken:
            counter.taken -= 1
            counter.is_changed = counter.is_freed = True

    def save(self) -> None:
        """Write the changes down."""
        for (span, lane, start), counter in self.counters.items():
            if counter.is_changed:
                row = (self.tenant_id, span, lane, start)
                self.connection.execute(_SAVE, (*row, counter.taken, counter.room_at))
            if counter.is_freed:
                self.connection.execute(_UNSKIP, (self.tenant_id, span, lane, start, start))

    def _counter(self, span: Span, lane: Lane, start: datetime) -> _Counter:
        key = span.value, lane.value, ids.milliseconds(start)
        counter = self.counters.get(key)
        if counter is None:
            row = self.connection.execute(
                "SELECT taken, room_at FROM quota_windows"
                " WHERE tenant_id = ? AND span = ? AND lane = ? AND start = ?",
                (self.tenant_id, *key),
            ).fetchone()
            counter = self.counters[key] = _Counter(*row) if row else _Counter()
        return counter


def forget_before(connection: Connection, moment: datetime) -> int:
    """Remove windows that began before `moment` (aware); return how many."""
    removed = connection.execute(
        "DELETE FROM quota_windows WHERE start < ?", (ids.milliseconds(moment),)
    )
    return removed.rowcount
