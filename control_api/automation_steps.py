"""Steps of automations in requests: JSON in, typed values or errors at their fields out.

Not here: conditions (automation_conditions.py), whether templates and audiences are there
(automation_references.py), what steps do (automation_runner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time, timedelta

from control_api import filters
from control_api.automation_conditions import read_conditions, read_id
from control_api.contact_payload import read_tags
from control_api.fields import Fields
from control_api.http_client import MAX_URL
from control_api.template_field import read_variables
from control_api.tracking_field import read_tracking
from mta.core.address import MAX_MAILBOX, AddressError, parse_mailbox
from mta.core.automation import (
    MAX_DEPTH,
    MAX_STEPS,
    Branch,
    ChangeTags,
    Check,
    Post,
    Send,
    Step,
    Stop,
    Transfer,
    Wait,
)
from mta.core.event import JsonValue
from mta.core.mime import Mailbox
from mta.core.template import MAX_SUBJECT

MAX_WAIT = timedelta(days=730)
LAST_YEAR = 2199
_UNITS = {
    "seconds": timedelta(seconds=1),
    "minutes": timedelta(minutes=1),
    "hours": timedelta(hours=1),
    "days": timedelta(days=1),
}


def read_steps(fields: Fields) -> tuple[Step, ...]:
    """Take `steps`, at least one."""
    value = fields.take("steps")
    if count_steps(value) > MAX_STEPS:
        fields.fail("steps", "too_many", f"At most {MAX_STEPS} steps are allowed.")
        return ()
    steps = _steps(fields, "steps", value, 1)
    if value is None or value == []:
        fields.fail("steps", "required", "Give at least one step.")
    return steps


def count_steps(value: JsonValue) -> int:
    """Count the steps in a list of them as it came, those in branches included."""
    pending, count = [value], 0
    while pending:
        match pending.pop():
            case dict() as step:
                count += 1
                pending += [step.get("then"), step.get("else")]
            case list() as items:
                pending += items
    return count


def _steps(fields: Fields, name: str, value: JsonValue, depth: int) -> tuple[Step, ...]:
    if depth > MAX_DEPTH:
        fields.fail(name, "too_deep", f"At most {MAX_DEPTH} branches may be in one another.")
        return ()
    found = []
    one = Fields({name: value}, fields.errors, fields.path)
    for path, item in one.items(name, MAX_STEPS):
        inner = Fields(item, fields.errors, f"{fields.path}.{path}" if fields.path else path)
        step = _step(inner, depth)
        inner.finish()
        if step is not None:
            found.append(step)
    return tuple(found)


def _step(fields: Fields, depth: int) -> Step | None:
    kind = fields.required_text("type", 20)
    if kind == "branch":
        return Branch(
            read_conditions(fields),
            _steps(fields, "then", fields.take("then"), depth + 1),
            _steps(fields, "else", fields.take("else"), depth + 1),
        )
    reader = _READERS.get(kind)
    if reader is None:
        if kind:
            known = ", ".join((*_READERS, "branch"))
            fields.fail("type", "invalid_value", f"Expected one of {known}.")
        return None
    return reader(fields)


def _send(fields: Fields) -> Step:
    return Send(
        template_id=read_id(fields, "template_id", "tpl"),
        from_=_mailbox(fields, "from"),
        reply_to=tuple(filter(None, (_mailbox(fields, "reply_to"),))),
        subject=fields.text("subject", MAX_SUBJECT),
        audience_id=read_id(fields, "audience_id", "aud", is_required=False),
        tracking=read_tracking(fields),
        variables=read_variables(fields),
        is_marketing=_flag(fields, "marketing", default=True),
    )


def _mailbox(fields: Fields, name: str) -> Mailbox | None:
    text = fields.text(name, MAX_MAILBOX)
    try:
        return Mailbox(*parse_mailbox(text)) if text else None
    except AddressError as error:
        fields.fail(name, "invalid_address", f"{error}.")
        return None


def _flag(fields: Fields, name: str, *, default: bool) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value if isinstance(value, bool) else default


def _wait(fields: Fields) -> Step:
    amounts = {name: read_number(fields, name, 0, _most(name)) for name in _UNITS}
    delay = sum((_UNITS[name] * amount for name, amount in amounts.items()), timedelta())
    until, wished = filters.moment(fields, "until"), read_time(fields, "time")
    if until is not None and until.year > LAST_YEAR:
        fields.fail("until", "too_far", f"The year is {LAST_YEAR} at most.")
    if delay > MAX_WAIT:
        fields.fail("", "too_long", f"A wait takes {MAX_WAIT.days} days at most.")
    if delay and until:
        fields.fail("until", "conflict", "Give until, or a span of time, not both.")
    if not (delay or until or wished) and not fields.errors:
        fields.fail("", "required", f"Give {', '.join(_UNITS)}, until or time.")
    return Wait(delay, until, wished)


def _most(unit: str) -> int:
    return int(MAX_WAIT / _UNITS[unit])


def read_number(fields: Fields, name: str, least: int, most: int) -> int:
    """Take a whole number; 0 when it is not there or wrong."""
    value = fields.take(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        fields.fail(name, "invalid_value", f"Expected a number from {least} to {most}.")
        return 0
    return value


def read_time(fields: Fields, name: str) -> time | None:
    """Take a time of the day such as "09:00", UTC; None when it is not there or wrong."""
    text = fields.text(name, 10)
    if not text:
        return None
    hours, _, minutes = text.partition(":")
    if len(text) == len("09:00") and text.isascii() and hours.isdigit() and minutes.isdigit():
        hour, minute = int(hours), int(minutes)
        if hour < 24 and minute < 60:
            return time(hour, minute)
    fields.fail(name, "invalid_time", "Expected hours and minutes, such as 09:00.")
    return None


def _tags(fields: Fields) -> Step:
    added, removed = read_tags(fields, "add"), read_tags(fields, "remove")
    if not (added or removed) and not fields.errors:
        fields.fail("", "required", "Give tags to add or to remove.")
    return ChangeTags(added, removed)


def _post(fields: Fields) -> Step:
    return Post(fields.required_text("url", MAX_URL))


def _move(fields: Fields) -> Step:
    return Transfer(
        target=read_id(fields, "to_audience_id", "aud"),
        source=read_id(fields, "from_audience_id", "aud"),
    )


def _copy(fields: Fields) -> Step:
    return Transfer(read_id(fields, "to_audience_id", "aud"))


def _check(fields: Fields) -> Step:
    return Check(read_conditions(fields))


def _stop(_fields: Fields) -> Step:
    return Stop()


_READERS: Mapping[str, Callable[[Fields], Step]] = {
    "send": _send,
    "wait": _wait,
    "tag": _tags,
    "webhook": _post,
    "move": _move,
    "copy": _copy,
    "condition": _check,
    "stop": _stop,
}
STEP_TYPES = (*_READERS, "branch")
"""What steps can be."""
