from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.retry import RetrySchedule

START = datetime(2030, 1, 1, tzinfo=UTC)


def waits(schedule: RetrySchedule, draw: float = 0.0) -> list[timedelta]:
    """The wait after each attempt, as if attempts took no time, until the entry expires."""
    found: list[timedelta] = []
    now = START
    while True:
        due = schedule.next_attempt(eligible_at=START, attempts=len(found) + 1, now=now, draw=draw)
        if due is None:
            return found
        found.append(due - now)
        now = due


def minutes(*numbers: float) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


def test_the_default_schedule() -> None:
    # Five minutes, doubling to four hours, the last attempt exactly at four days.
    doubling = minutes(5, 10, 20, 40, 80, 160)
    steady = minutes(*[240] * 22)
    rest = timedelta(days=4) - sum(doubling + steady, timedelta())
    assert waits(RetrySchedule()) == [*doubling, *steady, rest]


@pytest.mark.parametrize(
    ("schedule", "expected", "reason"),
    [
        (
            RetrySchedule(*minutes(1), 2.0, *minutes(4, 12)),
            minutes(1, 2, 4, 4, 1),
            "doubles, reaches the ceiling, is cut at the end of the lifetime",
        ),
        (RetrySchedule(*minutes(5), 1.0, *minutes(60, 15)), minutes(5, 5, 5), "constant"),
        (RetrySchedule(*minutes(1), 3.0, *minutes(60, 14)), minutes(1, 3, 9, 1), "by three"),
        (RetrySchedule(*minutes(9), 2.0, *minutes(5, 12)), minutes(5, 5, 2), "ceiling below first"),
        (RetrySchedule(*minutes(5), 2.0, *minutes(60, 3)), minutes(3), "lifetime below first"),
        (RetrySchedule(*minutes(5), 2.0, *minutes(60, 0)), [], "no lifetime: one attempt"),
    ],
)
def test_whole_schedules(schedule: RetrySchedule, expected: list[timedelta], reason: str) -> None:
    assert waits(schedule) == expected, reason


def test_jitter_adds_at_most_its_share() -> None:
    schedule = RetrySchedule(*minutes(10), 2.0, *minutes(20, 47), jitter=0.5)
    assert waits(schedule, draw=0.0) == minutes(10, 20, 17)
    assert waits(schedule, draw=0.5) == minutes(12.5, 25, 9.5)


def test_lifetime_counts_from_eligibility_not_from_now() -> None:
    schedule = RetrySchedule(*minutes(5), 2.0, *minutes(60, 30))
    now = START + timedelta(minutes=29)
    due = schedule.next_attempt(eligible_at=START, attempts=1, now=now, draw=0.9)
    assert due == START + timedelta(minutes=30)
    later = START + timedelta(minutes=30)
    assert schedule.next_attempt(eligible_at=START, attempts=1, now=later, draw=0.9) is None


@given(
    st.integers(1, 1_000_000),
    st.floats(1, 1000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1),
)
def test_never_early_never_beyond_the_ceiling(
    attempts: int, factor: float, draw: float, jitter: float
) -> None:
    schedule = RetrySchedule(factor=factor, jitter=jitter)
    due = schedule.next_attempt(eligible_at=START, attempts=attempts, now=START, draw=draw)
    assert due is not None
    assert schedule.first <= due - START <= schedule.ceiling * 2
