"""What follows from webhook posts: retries, pauses, the cursor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from control_api.http_client import Answered, Posted, Unanswered
from control_api.webhook_plan import (
    FAILURES_TO_PAUSE,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    RETRY_AFTER,
    Batch,
    Breaker,
    Judge,
    Post,
    Result,
)
from storage.webhooks import Retry
from tests.control_api.conftest import NOW
from tests.control_api.test_webhook_message import EVENT

OK = Answered(204, "")
BAD = Answered(500, "oops")
DEAD = Unanswered("no answer within 15 s")


def post(seq: int, attempts: int = 0) -> Post:
    return Post(replace(EVENT, seq=seq), attempts)


def conclude(batch: Batch, outcomes: dict[int, Posted], draw: float = 0.0) -> Result:
    return Judge("wh_1", outcomes, NOW, draw).conclude(batch, cursor=10)


def fresh(*seqs: int, end: int = 10, room: int = 100) -> Batch:
    return Batch(repeats=(), fresh=tuple(post(seq) for seq in seqs), end=end, room=room)


def repeats(*posts: Post) -> Batch:
    return Batch(repeats=posts, fresh=(), end=10, room=100)


@pytest.mark.parametrize(
    ("batch", "outcomes", "cursor", "failed"),
    [
        (fresh(11, 12), {11: OK, 12: OK}, 12, []),
        (fresh(11, 12, end=20), {11: OK, 12: OK}, 20, []),
        (fresh(end=20), {}, 20, []),
        (fresh(11, 12, 13), {11: OK, 12: BAD, 13: OK}, 13, [12]),
        (fresh(11, 12, 13, end=20), {11: OK, 13: OK}, 11, []),  # 12 was not posted: 13 goes twice
        (fresh(11, 12, 13, end=20), {13: BAD}, 10, []),
        (fresh(11, 12, end=20, room=1), {11: BAD, 12: BAD}, 11, [11]),
        (fresh(11, 12, end=20, room=0), {11: OK, 12: BAD}, 11, []),
        (fresh(11, 12, end=20, room=0), {11: OK, 12: OK}, 20, []),
    ],
)
def test_cursor_stops_before_what_is_neither_posted_nor_kept(
    batch: Batch, outcomes: dict[int, Posted], cursor: int, failed: list[int]
) -> None:
    result = conclude(batch, outcomes)
    assert result.cursor == cursor
    assert [retry.event_seq for retry in result.failed] == failed
    assert (result.over, result.given_up, result.is_gone) == ((), (), False)


@pytest.mark.parametrize(("attempts", "wait"), list(enumerate(RETRY_AFTER)))
@pytest.mark.parametrize("draw", [0.0, 0.5])
def test_schedule(attempts: int, wait: timedelta, draw: float) -> None:
    result = conclude(repeats(post(5, attempts)), {5: DEAD}, draw)
    assert result.failed == (
        Retry("wh_1", 5, attempts + 1, NOW + wait * (1 + 0.1 * draw), None, DEAD.error),
    )
    assert result.cursor == 10


def test_schedule_takes_three_days() -> None:
    assert sum(RETRY_AFTER, timedelta()) == timedelta(days=3, hours=3, minutes=35, seconds=5)


def test_after_the_last_attempt_it_is_given_up() -> None:
    result = conclude(repeats(post(5, len(RETRY_AFTER)), post(6, 1)), {5: BAD, 6: OK})
    assert (result.failed, result.over, result.given_up) == ((), (5, 6), (5,))


def test_repeats_not_made_stay_as_they_are() -> None:
    result = conclude(repeats(post(5, 1), post(6, 1)), {5: OK})
    assert (result.failed, result.over) == ((), (5,))


def test_retries_without_their_event_are_dropped() -> None:
    assert conclude(replace(fresh(), lost=(3, 4)), {}).over == (3, 4)


def test_retry_keeps_what_was_answered() -> None:
    [retry] = conclude(fresh(11), {11: BAD}).failed
    assert (retry.last_status, retry.last_error) == (500, "")


@pytest.mark.parametrize(
    ("outcome", "is_gone"), [(Answered(410, ""), True), (Answered(404, ""), False), (DEAD, False)]
)
def test_k04_410_means_gone(outcome: Posted, is_gone: bool) -> None:
    assert conclude(fresh(11), {11: outcome}).is_gone is is_gone


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
