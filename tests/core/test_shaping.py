"""Decisions about sites, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mta.core.outcome import Accepted, Ambiguous, Command, Outcome, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule
from mta.core.shaping import (
    PROBE,
    SUSPENSION,
    Bad,
    Good,
    Holding,
    Limits,
    Load,
    Neutral,
    Open,
    SiteState,
    Wait,
    Window,
    is_too_many_recipients,
    judge,
    may_open,
    room,
    suspended_until,
    suspensions_within,
    weight_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMITS = Limits(max_connections=10, max_connections_per_site=4)
FAST = 100.0
WAITING = SiteState(ready=1, oldest_at=NOW, connections=0, opening=0, window=5, has_urgent=True)
BULK = replace(WAITING, has_urgent=False)


def refused(code: int, command: Command, enhanced: str = "") -> Refused:
    return Refused(Reply(code, enhanced, ""), command)


@pytest.mark.parametrize(
    ("site", "connections", "expected"),
    [
        (replace(WAITING, ready=0, oldest_at=None), 0, Wait(Holding.EMPTY)),
        (WAITING, 0, Open()),
        # The ramp: another connection for each five that wait, or for one that waits a second.
        (replace(WAITING, connections=1, ready=5), 1, Wait(Holding.KEEPING_UP, NOW + SECOND)),
        (replace(WAITING, connections=1, ready=6), 1, Open()),
        (replace(WAITING, connections=2, ready=10), 2, Wait(Holding.KEEPING_UP, NOW + SECOND)),
        (replace(WAITING, connections=1, oldest_at=NOW - SECOND), 1, Open()),
        # What is being opened may be enough already.
        (
            replace(WAITING, connections=2, opening=1, oldest_at=NOW - SECOND),
            2,
            Wait(Holding.KEEPING_UP),
        ),
        (replace(WAITING, connections=2, opening=1, ready=2, oldest_at=NOW - SECOND), 2, Open()),
        # Limits, the one that is nearest to the site first.
        (replace(WAITING, connections=4, ready=99), 4, Wait(Holding.SITE_LIMIT)),
        (replace(WAITING, connections=2, ready=99, window=2), 2, Wait(Holding.WINDOW)),
        # Bulk leaves one connection of four and more to urgent mail.
        (replace(BULK, connections=3, ready=99), 3, Wait(Holding.KEPT_FREE)),
        (replace(WAITING, connections=3, ready=99), 3, Open()),
        (replace(BULK, connections=2, ready=99, window=3), 2, Open()),
        (WAITING, 10, Wait(Holding.ENGINE_LIMIT)),
        (WAITING, 9, Open()),
        # A second connection only while two are left, so that others get their first.
        (replace(WAITING, connections=1, ready=99), 9, Wait(Holding.ENGINE_LIMIT)),
        (replace(WAITING, connections=1, ready=99), 8, Open()),
        (replace(WAITING, connections=3, ready=99), 6, Open()),
        # Suspension holds whatever else would allow, and ends by itself.
        (replace(WAITING, suspended_until=NOW + SECOND), 0, Wait(Holding.SUSPENDED, NOW + SECOND)),
        (replace(WAITING, suspended_until=NOW), 0, Open()),
    ],
)
def test_may_open(site: SiteState, connections: int, expected: Open | Wait) -> None:
    assert may_open(site, LIMITS, connections=connections, now=NOW) == expected


def test_a_window_grows_by_one_after_as_many_successes_as_it_is_wide() -> None:
    window = Window(size=2)
    sizes = []
    for _ in range(5):
        window = window.after_success(limit=20)
        sizes.append(window.size)
    assert sizes == [2, 3, 3, 3, 4]


def test_a_window_does_not_grow_past_its_limit() -> None:
    window = Window(size=3, credit=2)
    assert window.after_success(limit=3).size == 3


def test_a_window_shrinks_at_the_first_failure_of_a_run_and_then_hesitates() -> None:
    window = Window(size=5)
    sizes = []
    for _ in range(6):
        window = window.after_failure(borne=window.size)
        sizes.append(window.size)
    assert sizes == [4, 4, 4, 4, 4, 3]


def test_a_window_falls_to_what_the_site_has_shown_to_bear() -> None:
    assert Window(size=20).after_failure(borne=3).size == 3
    assert Window(size=20).after_failure(borne=0).size == 1
    assert Window(size=1).after_failure(borne=1).size == 1


def test_after_a_failure_growth_takes_much_longer() -> None:
    window = Window(size=3).after_failure(borne=2)
    successes = 0
    while window.size == 2:
        window = window.after_success(limit=20)
        successes += 1
    assert successes == 52


@pytest.mark.parametrize(
    ("window", "failures"),
    [(Window(size=5), 4), (Window(size=2), 3), (PROBE, 3), (Window(size=20), 19)],
)
def test_a_site_is_dead_after_a_whole_round_of_failures(window: Window, failures: int) -> None:
    for _ in range(failures - 1):
        window = window.after_failure(borne=window.size)
        assert not window.is_dead
    assert window.after_failure(borne=window.size).is_dead
    assert not window.after_success(limit=20).after_failure(borne=window.size).is_dead


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Accepted(Reply(250, "", ""))], Good),
        ([refused(550, Command.RCPT), Accepted(Reply(250, "", ""))], Good),
        ([refused(421, Command.RCPT), Accepted(Reply(250, "", ""))], Good),
        ([refused(550, Command.RCPT)], Neutral),
        ([refused(450, Command.RCPT)], Neutral),  # greylisting
        ([refused(451, Command.MAIL, "4.1.8")], Neutral),  # this sender only
        ([refused(554, Command.END_OF_DATA)], Neutral),
        ([refused(452, Command.END_OF_DATA, "4.3.1")], Neutral),
        ([refused(421, Command.MAIL)], Bad),
        ([refused(421, Command.END_OF_DATA)], Bad),
        ([refused(450, Command.MAIL, "4.7.28")], Bad),
        ([refused(451, Command.MAIL, "4.3.2")], Bad),
        ([refused(552, Command.MAIL, "5.3.4")], Neutral),
        ([Unreachable(Stage.SESSION, "reset")], Bad),
        ([Ambiguous("timeout")], Bad),
        ([Unreachable(Stage.LOCAL, "no key")], Neutral),
    ],
)
def test_what_a_transaction_tells_about_the_site(outcomes: list[Outcome], expected: type) -> None:
    assert isinstance(judge(outcomes), expected)


def test_the_verdict_names_the_outcome_that_says_it_best() -> None:
    busy = refused(421, Command.RCPT)
    assert judge([refused(550, Command.RCPT), busy]) == Bad(busy)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (refused(452, Command.RCPT, "4.5.3"), True),
        (refused(452, Command.RCPT), True),
        (refused(552, Command.RCPT, "5.5.3"), True),  # RFC 5321 4.5.3.1.10: an old way to say it
        (refused(552, Command.RCPT), False),  # a full mailbox
        (refused(452, Command.RCPT, "4.2.2"), False),  # a full mailbox
        (refused(452, Command.RCPT, "4.3.1"), False),  # a full disk
        (refused(452, Command.MAIL, "4.5.3"), False),
        (refused(450, Command.RCPT, "4.5.3"), False),
        (Unreachable(Stage.SESSION, ""), False),
    ],
)
def test_too_many_recipients(outcome: Outcome, *, expected: bool) -> None:
    assert is_too_many_recipients(outcome) is expected


@pytest.mark.parametrize(("strikes", "seconds"), [(1, 30), (2, 60), (5, 480), (6, 900), (99, 900)])
def test_suspensions_double_up_to_a_quarter_of_an_hour(strikes: int, seconds: int) -> None:
    until = suspended_until(SUSPENSION, strikes=strikes, now=NOW, draw=0.0)
    assert until == NOW + timedelta(seconds=seconds)
    late = suspended_until(SUSPENSION, strikes=strikes, now=NOW, draw=0.999)
    assert until < late < NOW + timedelta(seconds=seconds * 1.25)


def test_suspensions_are_no_longer_than_retries() -> None:
    assert suspensions_within(RetrySchedule()) == SUSPENSION
    short = suspensions_within(RetrySchedule(first=SECOND, ceiling=2 * SECOND))
    assert suspended_until(short, strikes=9, now=NOW, draw=0.0) == NOW + 2 * SECOND


@pytest.mark.parametrize(
    ("load", "total", "expected"),
    [
        (Load(0, 0, FAST), 0, 1000),
        (Load(500, 500, FAST), 500, 500),
        (Load(501, 501, FAST), 501, 0),  # more than half is left: later, and then a whole batch
        # The pace decides: ten seconds of work, within bounds.
        (Load(0, 0, 0.0), 0, 100),
        (Load(0, 0, 20.0), 0, 200),
        (Load(101, 101, 20.0), 101, 0),
        (Load(0, 0, 99_999.0), 0, 1000),
        # Memory is shared: half of what is free.
        (Load(0, 0, FAST), 19_000, 500),
        (Load(100, 300, FAST), 19_000, 200),
        (Load(0, 0, FAST), 20_100, 0),
    ],
)
def test_room(load: Load, total: int, expected: int) -> None:
    assert room(load, Limits(), total_weight=total) == expected


def test_many_slow_sites_leave_room_for_another() -> None:
    limits, total = Limits(), 0
    for _ in range(200):
        total += room(Load(0, 0, FAST), limits, total_weight=total)
    assert room(Load(0, 0, FAST), limits, total_weight=total - 100) > 0


def test_weight_counts_memory() -> None:
    assert [weight_of(size) for size in (0, 4095, 4096, 262_144)] == [1, 1, 2, 65]
