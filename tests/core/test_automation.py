"""Programs of automations: every run of every program ends, and goes where its conditions say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.automation import (
    TRIGGER_KINDS,
    Branch,
    ChangeTags,
    Check,
    Program,
    Step,
    Stop,
    Trigger,
    TriggerType,
    Wait,
    flattened,
)
from mta.core.automation_condition import Facts, HasTag
from mta.core.automation_plan import (
    CATCH_UP,
    WEBHOOK_RETRIES,
    first_look,
    next_look,
    next_place,
    wait_until,
    wanted_days,
    webhook_retry,
)
from mta.core.event import EventKind

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TAGS = ("a", "b")
FACTS = [Facts("x", tags=frozenset(tags)) for tags in ((), ("a",), ("b",), TAGS)]

conditions = st.lists(st.sampled_from([HasTag(tag) for tag in TAGS]), max_size=2).map(tuple)
leaves: st.SearchStrategy[Step] = st.one_of(
    st.builds(ChangeTags, st.tuples(st.text("xyz", min_size=1, max_size=3))),
    st.builds(Check, conditions),
    st.just(Stop()),
)


def lists_of(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(inner, max_size=4).map(tuple)


steps = lists_of(
    st.recursive(
        leaves, lambda inner: st.builds(Branch, conditions, lists_of(inner), lists_of(inner))
    )
)


def walked(program: Program, facts: Facts) -> list[str]:
    """Return the tags that a run adds, going from place to place."""
    found: list[str] = []
    position = 0
    while (place := next_place(program, position, facts)) is not None:
        assert place.position >= position
        assert isinstance(place.effect, ChangeTags)
        found += place.effect.added
        position = place.position + 1
    return found


class _AtEndError(Exception):
    """The run is at its end."""


def told(steps: tuple[Step, ...], facts: Facts) -> Iterator[str]:
    """Yield the same by the meaning of the words, without a program."""
    for step in steps:
        match step:
            case ChangeTags():
                yield from step.added
            case Check() if not _hold(step, facts):
                raise _AtEndError
            case Stop():
                raise _AtEndError
            case Branch():
                yield from told(step.then if _hold(step, facts) else step.otherwise, facts)
            case _:
                continue


def _hold(step: Check | Branch, facts: Facts) -> bool:
    return all(isinstance(one, HasTag) and one.tag in facts.tags for one in step.conditions)


@given(steps, st.sampled_from(FACTS))
def test_a_program_does_what_its_steps_say(steps: tuple[Step, ...], facts: Facts) -> None:
    expected: list[str] = []
    try:
        for tag in told(steps, facts):
            expected.append(tag)  # noqa: PERF402 - what came before an end counts
    except _AtEndError:
        pass
    assert walked(flattened(steps), facts) == expected


def test_places_know_their_steps() -> None:
    tags = ChangeTags(("x",))
    branch = Branch((HasTag("a"),), (tags, tags), (tags,))
    program = flattened((branch, tags))
    paths = [one.path for one in program if isinstance(one.action, ChangeTags)]
    assert paths == ["steps[0].then[0]", "steps[0].then[1]", "steps[0].else[0]", "steps[1]"]


@pytest.mark.parametrize(
    ("wait", "until"),
    [
        (Wait(timedelta(days=2)), NOW + timedelta(days=2)),
        (Wait(until=NOW + timedelta(hours=1)), NOW + timedelta(hours=1)),
        (Wait(until=NOW - timedelta(hours=1)), NOW),  # past already
        (Wait(time=time(12, 0)), NOW),
        (Wait(time=time(11, 59)), datetime(2026, 3, 2, 11, 59, tzinfo=UTC)),
        (Wait(timedelta(hours=13), time=time(9)), datetime(2026, 3, 2, 9, 0, tzinfo=UTC)),
    ],
)
def test_waits(wait: Wait, until: datetime) -> None:
    assert wait_until(wait, NOW) == until


def dates(offset: int = 0, *, yearly: bool = False) -> Trigger:
    return Trigger(
        TriggerType.DATE, property="due", offset=timedelta(days=offset), is_yearly=yearly
    )


@pytest.mark.parametrize(
    ("trigger", "at", "days"),
    [
        (dates(), NOW, ("2026-03-01",)),
        (dates(-7), NOW, ("2026-03-08",)),
        (dates(1), NOW, ("2026-02-28",)),
        (dates(yearly=True), NOW, ("03-01",)),
        (dates(1, yearly=True), NOW, ("02-28", "02-29")),  # 2026 has no 29 February
        (dates(1, yearly=True), datetime(2028, 3, 1, tzinfo=UTC), ("02-29",)),
        (dates(2, yearly=True), datetime(2028, 3, 1, tzinfo=UTC), ("02-28",)),
    ],
)
def test_days_that_a_look_meets(trigger: Trigger, at: datetime, days: tuple[str, ...]) -> None:
    assert wanted_days(trigger, at) == days


def test_dates_are_looked_at_once_a_day() -> None:
    first = first_look(dates(), NOW)
    assert first == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    second = next_look(dates(), first, first + timedelta(minutes=1))
    assert second == first + timedelta(days=1)
    # Off for two days: the look that was missed comes next, not the one of today.
    assert next_look(dates(), first, first + timedelta(days=2)) == second


@given(st.integers(0, 500))
def test_looks_that_were_missed_for_long_are_left_out(days: int) -> None:
    first = first_look(dates(), NOW)
    now = first + timedelta(days=days, minutes=5)
    following = next_look(dates(), first, now)
    assert following.time() == time(9)
    assert following > first
    assert now - following <= CATCH_UP


def test_webhooks_are_repeated_a_few_times() -> None:
    for attempts, wait in enumerate(WEBHOOK_RETRIES, start=1):
        assert webhook_retry(attempts, NOW, timedelta(), 0) == NOW + wait
    assert webhook_retry(1, NOW, timedelta(hours=3), 0.5) == NOW + timedelta(hours=3)
    assert webhook_retry(len(WEBHOOK_RETRIES) + 1, NOW, timedelta(), 0) is None


@pytest.mark.parametrize("kind", list(TRIGGER_KINDS))
def test_events_and_triggers_have_the_same_names(kind: EventKind) -> None:
    assert TRIGGER_KINDS[kind].value == kind.webhook_type
