"""What follows from webhook posts: retries, pauses, disabling."""

from __future__ import annotations

from datetime import timedelta

import pytest

from control_api.http_client import Answered, Posted, Unanswered
from control_api.webhook_plan import (
    DISABLE_AFTER,
    FAILURES_TO_PAUSE,
    FIRST_PAUSE,
    FORGIVEN_AFTER,
    LONGEST_PAUSE,
    LONGEST_WISH,
    RETRY_AFTER,
    Breaker,
    Streak,
    is_gone,
    next_try,
    wished_wait,
)
from tests.control_api.conftest import NOW

BAD = Answered(500, "oops")
DEAD = Unanswered("no answer within 15 s")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(("attempts", "wait"), list(enumerate(RETRY_AFTER, start=1)))
@pytest.mark.parametrize("draw", [0.0, 0.5])
def test_schedule(attempts: int, wait: timedelta, draw: float) -> None:
    assert next_try(attempts, DEAD, NOW, draw) == NOW + wait * (1 + 0.1 * draw)


def test_schedule_takes_three_days() -> None:
    assert sum(RETRY_AFTER, timedelta()) == timedelta(days=3, hours=3, minutes=35, seconds=5)


def test_after_the_last_attempt_it_is_given_up() -> None:
    assert next_try(len(RETRY_AFTER) + 1, BAD, NOW, 0.0) is None


@pytest.mark.parametrize(
    ("wish", "wait"),
    [
        (None, timedelta(seconds=5)),
        (timedelta(), timedelta(seconds=5)),
        (timedelta(seconds=1), timedelta(seconds=5)),  # it makes waits longer, never shorter
        (HOUR, HOUR),
        (30 * DAY, LONGEST_WISH),
    ],
)
def test_retry_after_is_heeded(wish: timedelta | None, wait: timedelta) -> None:
    assert next_try(1, Answered(429, "", wish), NOW, 0.0) == NOW + wait


def test_what_did_not_answer_wishes_nothing() -> None:
    assert wished_wait(DEAD) == timedelta()


@pytest.mark.parametrize(
    ("outcome", "expected"), [(Answered(410, ""), True), (Answered(404, ""), False), (DEAD, False)]
)
def test_k04_410_means_gone(outcome: Posted, expected: bool) -> None:
    assert is_gone(outcome) is expected


class TestStreak:
    def failing(self, *days: float) -> Streak:
        streak = Streak()
        for day in days:
            streak = streak.after(NOW + day * DAY, is_success=False)
        return streak

    @pytest.mark.parametrize(
        ("days", "is_too_long"),
        [
            ((0,), False),
            ((0, 1, 2, 3, 4, 4.99), False),
            ((0, 1, 2, 3, 4, 5), True),
            ((0, 2, 4, 6), True),
            ((0, 6), False),  # one failure now and one then: nobody has tried in between
            ((0, 1, 4, 5, 6), False),
        ],
    )
    def test_failing_for_days(self, days: tuple[float, ...], is_too_long: bool) -> None:
        assert self.failing(*days).is_too_long is is_too_long

    def test_one_success_ends_it(self) -> None:
        streak = self.failing(0, 1, 2, 3, 4).after(NOW + 4.5 * DAY, is_success=True)
        assert streak == Streak()
        assert not streak.after(NOW + 5 * DAY, is_success=False).is_too_long

    def test_the_schedule_of_one_event_leaves_no_gap(self) -> None:
        assert max(RETRY_AFTER) * 1.1 < FORGIVEN_AFTER < DISABLE_AFTER


class TestBreaker:
    def fail(self, breaker: Breaker, count: int = 1) -> None:
        for _ in range(count):
            breaker.note(NOW, is_success=False)

    def test_opens_after_consecutive_failures(self) -> None:
        breaker = Breaker()
        self.fail(breaker, FAILURES_TO_PAUSE - 1)
        breaker.note(NOW, is_success=True)
        self.fail(breaker, FAILURES_TO_PAUSE - 1)
        assert not breaker.is_open(NOW)
        self.fail(breaker)
        assert breaker.is_open(NOW)
        assert breaker.until == NOW + FIRST_PAUSE
        assert not breaker.is_open(NOW + FIRST_PAUSE)

    def test_failures_under_way_do_not_lengthen_a_pause(self) -> None:
        breaker = Breaker()
        self.fail(breaker, FAILURES_TO_PAUSE + 9)
        assert breaker.until == NOW + FIRST_PAUSE

    def test_pauses_double_up_to_the_longest(self) -> None:
        breaker = Breaker()
        now, pauses = NOW, []
        self.fail(breaker, FAILURES_TO_PAUSE - 1)
        for _ in range(9):
            breaker.note(now, is_success=False)
            assert breaker.until is not None
            pauses.append(breaker.until - now)
            now = breaker.until
            assert breaker.is_probing
        assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
        assert pauses[-1] == LONGEST_PAUSE

    def test_one_success_closes_it(self) -> None:
        breaker = Breaker()
        self.fail(breaker, FAILURES_TO_PAUSE)
        breaker.note(NOW + FIRST_PAUSE, is_success=True)
        assert not breaker.is_probing
        assert breaker.until is None
        self.fail(breaker, FAILURES_TO_PAUSE)
        assert breaker.until == NOW + FIRST_PAUSE

    def test_a_wish_pauses_at_once(self) -> None:
        breaker = Breaker()
        breaker.note(NOW, is_success=False, wished_wait=timedelta(minutes=2))
        assert breaker.until == NOW + timedelta(minutes=2)
        assert not breaker.is_probing

    def test_a_wish_pauses_no_longer_than_the_longest(self) -> None:
        breaker = Breaker()
        breaker.note(NOW, is_success=False, wished_wait=DAY)
        assert breaker.until == NOW + LONGEST_PAUSE
