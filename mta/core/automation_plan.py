"""What a run of an automation does next, and when; when dates are looked at; retries of webhooks.

Pure: places of a program, facts and the time come in, values go out. Not here: doing it
(control_api/automation_runner.py).
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta

from mta.core.automation import Effect, Jump, Program, Test, Trigger, Wait
from mta.core.automation_condition import Facts, all_hold
from mta.core.frozen import frozen

WEBHOOK_RETRIES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
)
"""Waits after the first failed post, the second, ...; when the post after the last fails too, the
run has failed."""
JITTER = 0.1
"""Share of a wait that may be added."""
CATCH_UP = timedelta(days=7)
"""Looks at dates that were missed for longer than this, with the server off, are left out."""
MAX_ENTRIES = 10
ENTRY_WINDOW = timedelta(days=1)
"""How often events let one contact enter one automation in a while: what an automation does may set
it off again."""


@frozen
class Place:
    """The next effect of a run: where it is in the program, the path of its step, and what."""

    position: int
    path: str
    effect: Effect


def next_place(program: Program, position: int, facts: Facts) -> Place | None:
    """Return what a run does next that has got to a position; None: it is at its end."""
    while position < len(program):
        instruction = program[position]
        match instruction.action:
            case Jump():
                position = instruction.action.target
            case Test():
                test = instruction.action
                position = position + 1 if all_hold(test.conditions, facts) else test.otherwise
            case effect:
                return Place(position, instruction.path, effect)
    return None


def wait_until(wait: Wait, now: datetime) -> datetime:
    """Return when a wait that begins now ends (aware, UTC)."""
    at = now + wait.delay if wait.until is None else max(now, wait.until)
    return at if wait.time is None else _at_time(at, wait.time)


def _at_time(at: datetime, wished: time) -> datetime:
    """Return the first moment, not before `at`, with this time of the day in UTC."""
    same_day = datetime.combine(at.astimezone(UTC).date(), wished, UTC)
    return same_day if same_day >= at else same_day + timedelta(days=1)


def first_look(trigger: Trigger, now: datetime) -> datetime:
    """Return when the dates of a trigger are looked at first (aware, UTC)."""
    return _at_time(now, trigger.time)


def next_look(trigger: Trigger, last: datetime, now: datetime) -> datetime:
    """Return when they are looked at after the look that was due at `last` (aware, UTC).

    Each day has its look, also those during which the server was off, CATCH_UP at most.
    """
    following = _at_time(last + timedelta(microseconds=1), trigger.time)
    return following if now - following < CATCH_UP else _at_time(now - CATCH_UP, trigger.time)


def wanted_days(trigger: Trigger, look_at: datetime) -> tuple[str, ...]:
    """Return which dates are met by a look that is due at this time: "MM-DD" when yearly.

    Otherwise "YYYY-MM-DD". Who was born on 29 February has a birthday on the 28th in other years.
    """
    day: date = (look_at - trigger.offset).astimezone(UTC).date()
    if not trigger.is_yearly:
        return (day.isoformat(),)
    shown = f"{day:%m-%d}"
    return (shown, "02-29") if shown == "02-28" and not calendar.isleap(day.year) else (shown,)


def webhook_retry(attempts: int, now: datetime, wish: timedelta, draw: float) -> datetime | None:
    """Return when to repeat a post that has failed; None when it is given up.

    Args:
        attempts: failed posts so far, at least 1.
        now: aware, UTC.
        wish: how long the endpoint asks to be left alone.
        draw: uniform in [0, 1), for the jitter.
    """
    if attempts > len(WEBHOOK_RETRIES):
        return None
    return now + max(WEBHOOK_RETRIES[attempts - 1] * (1 + JITTER * draw), wish)
