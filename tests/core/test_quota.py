"""Where emails find a place: at once while there is room, then evenly, in order, per lane."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mta.core.envelope import Priority
from mta.core.quota import UNLIMITED, Lane, Quota, Span, Window, place

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = NOON + timedelta(minutes=20)
HOUR = timedelta(hours=1)
TRANSACTIONAL, BULK = Priority.TRANSACTIONAL, Priority.BULK


@dataclass
class MemoryLedger:
    """Windows in a dictionary; counts how many are looked at."""

    windows: dict[tuple[Span, Lane, datetime], Window] = field(default_factory=dict)
    looks: int = 0

    def window(self, span: Span, lane: Lane, start: datetime) -> Window:
        self.looks += 1
        return self.windows.get((span, lane, start), Window())

    def take(self, span: Span, lane: Lane, start: datetime) -> None:
        window = self.windows.get((span, lane, start), Window())
        self.windows[span, lane, start] = replace(window, taken=window.taken + 1)

    def note_room(self, span: Span, lane: Lane, start: datetime, room_at: datetime) -> None:
        self.windows[span, lane, start] = replace(self.windows[span, lane, start], room_at=room_at)


def places(
    ledger: MemoryLedger, quota: Quota, count: int, priority: Priority = BULK, at: datetime = NOW
) -> list[datetime]:
    return [place(ledger, quota, priority, at) for _ in range(count)]


def test_windows_begin_with_the_hours_and_days_of_utc() -> None:
    assert Span.HOUR.start(NOW) == NOON
    assert Span.DAY.start(NOW) == datetime(2026, 3, 1, tzinfo=UTC)
    assert Span.HOUR.start(NOON) == NOON


def test_limits() -> None:
    assert UNLIMITED.limits() == ()
    assert Quota(per_day=5).limits() == ((Span.DAY, 5),)


def test_what_fits_is_due_at_once() -> None:
    assert places(MemoryLedger(), Quota(per_hour=4), 4) == [NOW] * 4


def test_the_excess_is_spread_over_the_hours_to_come() -> None:
    due = places(MemoryLedger(), Quota(per_hour=4), 10)[4:]
    one, two = NOON + HOUR, NOON + 2 * HOUR
    quarter = timedelta(minutes=15)
    assert due == [one, one + quarter, one + 2 * quarter, one + 3 * quarter, two, two + quarter]


def test_the_day_limits_what_the_hours_would_allow() -> None:
    due = places(MemoryLedger(), Quota(per_hour=4, per_day=6), 9)
    tomorrow = datetime(2026, 3, 2, tzinfo=UTC)
    assert due[:4] == [NOW] * 4
    assert due[4:6] == [NOON + HOUR, NOON + HOUR + timedelta(minutes=15)]
    assert due[6:] == [tomorrow, tomorrow + 4 * HOUR, tomorrow + 8 * HOUR]


def test_a_new_hour_has_room_again() -> None:
    ledger, quota = MemoryLedger(), Quota(per_hour=4)
    places(ledger, quota, 4)
    assert places(ledger, quota, 1, at=NOON + HOUR) == [NOON + HOUR]


def test_transactional_mail_passes_queued_bulk_and_bulk_pays() -> None:
    ledger, quota = MemoryLedger(), Quota(per_hour=4)
    places(ledger, quota, 6)
    assert places(ledger, quota, 2, TRANSACTIONAL) == [NOW, NOW]
    [due] = places(ledger, quota, 1)
    assert due == NOON + 2 * HOUR  # two of the next hour's places were charged


def test_transactional_mail_waits_for_transactional_mail() -> None:
    due = places(MemoryLedger(), Quota(per_hour=4), 5, TRANSACTIONAL)
    assert due == [NOW] * 4 + [NOON + HOUR]


def test_a_scheduled_campaign_counts_when_it_is_due() -> None:
    ledger, quota = MemoryLedger(), Quota(per_hour=4)
    later = NOON + 30 * HOUR
    assert places(ledger, quota, 5, at=later)[-1] == later + HOUR
    assert places(ledger, quota, 1) == [NOW]


def test_what_the_hour_moves_into_another_day_is_not_spread_over_the_day() -> None:
    ledger, quota, midnight = MemoryLedger(), Quota(per_hour=1, per_day=10), NOON + 12 * HOUR
    due = places(ledger, quota, 3, at=midnight - HOUR)
    assert due == [midnight - HOUR, midnight, midnight + HOUR]
    assert places(ledger, quota, 1, at=midnight + HOUR / 2) == [midnight + 2 * HOUR]


def test_a_long_backlog_is_not_looked_through() -> None:
    ledger, quota = MemoryLedger(), Quota(per_hour=2, per_day=40)
    places(ledger, quota, 2000)
    ledger.looks = 0
    places(ledger, quota, 100)
    assert ledger.looks < 100 * 25


@given(
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(Priority)), max_size=80),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_order_quota_and_time_hold_whatever_comes(
    arrivals: list[tuple[int, Priority]], per_hour: int, per_day: int
) -> None:
    ledger, quota, at = MemoryLedger(), Quota(per_hour, per_day), NOW
    due: dict[Priority, list[datetime]] = {TRANSACTIONAL: [], BULK: []}
    for minutes, priority in arrivals:
        at += timedelta(minutes=minutes)
        found = place(ledger, quota, priority, at)
        assert found >= at
        due[priority].append(found)
    for priority, times in due.items():
        assert times == sorted(times), priority
        for span, limit in quota.limits():
            assert max(Counter(map(span.start, times)).values(), default=0) <= limit
