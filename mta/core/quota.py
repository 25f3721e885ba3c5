"""Sending quotas: so many emails an hour and a day, and when the excess is due.

Hours and days begin where those of UTC do. Mail that finds room in the present window is due at
once. The rest is given places in the windows to come, in the order it arrived, spread evenly over
each window. Nothing is refused and nothing is looked through: a place costs a few counters.

Transactional mail does not queue behind bulk: it waits only for other transactional mail. What it
takes in a window that bulk has filled already is charged to the first window with room, so that the
quota holds over time, though one such window may send up to twice its quota.

Not here: what counts, and where the counters are kept (storage/quotas.py).
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime, timedelta
from typing import Protocol

from mta.core.envelope import Priority
from mta.core.frozen import frozen

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(enum.Enum):
    """What a quota is counted over."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long a window is."""
        return timedelta(hours=1) if self is Span.HOUR else timedelta(days=1)

    def start(self, at: datetime) -> datetime:
        """Return when the window that holds `at` began."""
        return at - (at - _EPOCH) % self.length


class Lane(enum.Enum):
    """What is counted apart from what."""

    ALL = "all"
    """Every email: the quota itself, and what bulk mail waits for."""
    TRANSACTIONAL = "transactional"
    """Transactional mail only, which waits for nothing else."""


@frozen
class Quota:
    """Emails that a tenant may send; None: as many as it likes."""

    per_hour: int | None = None
    per_day: int | None = None

    def limits(self) -> tuple[tuple[Span, int], ...]:
        """Return the limits that there are."""
        pairs = ((Span.HOUR, self.per_hour), (Span.DAY, self.per_day))
        return tuple((span, limit) for span, limit in pairs if limit is not None)


UNLIMITED = Quota()


@frozen
class Window:
    """One hour or day of one lane.

    Attributes:
        taken: places given away.
        room_at: while it is full: start of a window before which, from this one on, none has room,
            so that they need not be looked at one by one; None: not known.
    """

    taken: int = 0
    room_at: datetime | None = None


class Ledger(Protocol):
    """The windows of one tenant."""

    def window(self, span: Span, lane: Lane, start: datetime) -> Window:
        """Return the window that begins at `start`."""

    def take(self, span: Span, lane: Lane, start: datetime) -> None:
        """Give away one place of it."""

    def note_room(self, span: Span, lane: Lane, start: datetime, room_at: datetime) -> None:
        """Remember its room_at."""


def place(ledger: Ledger, quota: Quota, priority: Priority, at: datetime) -> datetime:
    """Take a place for one email that could be sent at `at`; return when it is due.

    Args:
        ledger: the tenant's.
        quota: with at least one limit, each at least 1.
        priority: the email's.
        at: acceptance, or the time that its sender asked for (aware, UTC).
    """
    limits = quota.limits()
    lane = Lane.TRANSACTIONAL if priority is Priority.TRANSACTIONAL else Lane.ALL
    due_at = _first_place(ledger, limits, lane, at)
    for span, limit in limits:
        start = span.start(due_at)
        ledger.take(span, lane, start)
        if lane is Lane.TRANSACTIONAL:
            ledger.take(span, Lane.ALL, _first_window(ledger, span, Lane.ALL, limit, start))
    return due_at


def _first_place(
    ledger: Ledger, limits: tuple[tuple[Span, int], ...], lane: Lane, at: datetime
) -> datetime:
    """Return the first time, from `at` on, whose windows all have room."""
    due_at, before = at, None
    while due_at != before:  # a later hour may be of another day; it only ever gets later
        before = due_at
        for span, limit in limits:
            start = _first_window(ledger, span, lane, limit, span.start(due_at))
            # Mail that one window has no room for is spread over the next, and so is all that comes
            # in that: it may not overtake. Where the other limit moved it there, nothing spilled.
            if _is_full(ledger, span, lane, limit, start - span.length):
                taken = ledger.window(span, lane, start).taken
                due_at = max(due_at, start + span.length * (taken / limit))
    return due_at


def _is_full(ledger: Ledger, span: Span, lane: Lane, limit: int, start: datetime) -> bool:
    return ledger.window(span, lane, start).taken >= limit


def _first_window(ledger: Ledger, span: Span, lane: Lane, limit: int, start: datetime) -> datetime:
    """Return the first window, from the one at `start` on, that has room."""
    at = start
    while (window := ledger.window(span, lane, at)).taken >= limit:
        at = max(at + span.length, window.room_at or at)
    if at > start + span.length:
        ledger.note_room(span, lane, start, at)
    return at
