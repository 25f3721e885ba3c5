"""Automations in requests and in storage: JSON in, a definition or errors at their fields out.

What a request says is kept as it came, and read anew from storage. Not here: single steps and
conditions (automation_steps.py, automation_conditions.py), what must be there besides
(automation_references.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time, timedelta

from control_api.automation_conditions import read_conditions, read_id
from control_api.automation_steps import read_number, read_steps, read_time
from control_api.contact_payload import MAX_TAG
from control_api.errors import FieldError
from control_api.fields import Fields
from mta.core.automation import Definition, Reentry, Trigger, TriggerType
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import encode
from storage.automations import ACTIVE, EVERY_NAME, PAUSED

MAX_NAME = 256
MAX_DEFINITION = 65_536
"""Bytes of what an automation says, as JSON."""
MAX_OFFSET = 366
"""Days before or after a date."""
_MORNING = time(9)
_DATE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_TYPES = tuple(one.value for one in TriggerType)
_REENTRIES = tuple(one.value for one in Reentry)


@frozen
class Wish:
    """What a request says of an automation: name, status, and what it does, typed and as given."""

    name: str
    status: str
    definition: Definition
    given: Mapping[str, JsonValue]


def read_automation(value: JsonValue) -> Wish | tuple[FieldError, ...]:
    """Return the automation that a whole JSON object describes, or all that is wrong with it."""
    fields = Fields(value, [])
    given = {name: value.get(name) for name in EVERY_NAME} if isinstance(value, dict) else {}
    name = fields.required_text("name", MAX_NAME)
    status = fields.text("status", 20) or ACTIVE
    if status not in (ACTIVE, PAUSED):
        fields.fail("status", "invalid_value", f"Expected {ACTIVE} or {PAUSED}.")
    definition = _definition(fields)
    fields.finish()
    if not fields.errors and len(encode(given)) > MAX_DEFINITION:
        fields.fail("steps", "too_long", f"At most {MAX_DEFINITION} bytes are allowed.")
    if fields.errors:
        return tuple(fields.errors)
    given = {key: one for key, one in given.items() if one is not None}
    return Wish(name, status, definition, given)


def read_definition(given: Mapping[str, JsonValue]) -> Definition:
    """Read what storage has kept.

    Raises:
        ValueError: it is not what read_automation has let through.
    """
    fields = Fields(dict(given), [])
    definition = _definition(fields)
    if fields.errors:
        raise ValueError(f"a stored automation cannot be read: {fields.errors[0]}")
    return definition


def _definition(fields: Fields) -> Definition:
    trigger = _trigger(Fields(fields.take("trigger") or {}, fields.errors, "trigger"))
    word = fields.text("reentry", 20) or Reentry.AFTER_END.value
    if word not in _REENTRIES:
        fields.fail("reentry", "invalid_value", f"Expected one of {', '.join(_REENTRIES)}.")
        word = Reentry.AFTER_END.value
    return Definition(trigger, read_conditions(fields), read_steps(fields), Reentry(word))


def _trigger(fields: Fields) -> Trigger:
    word = fields.required_text("type", 40)
    if word and word not in _TYPES:
        fields.fail("type", "invalid_value", f"Expected one of {', '.join(_TYPES)}.")
    kind = TriggerType(word) if word in _TYPES else TriggerType.API
    audience_id = read_id(fields, "audience_id", "aud", is_required=False)
    trigger = Trigger(kind, audience_id)
    if kind is TriggerType.TAGGED:
        trigger = Trigger(kind, audience_id, tag=fields.required_text("tag", MAX_TAG))
    elif kind is TriggerType.DATE:
        trigger = _dates(fields, audience_id)
    fields.finish()
    return trigger


def _dates(fields: Fields, audience_id: str) -> Trigger:
    names = {name: fields.text(name, MAX_NAME) for name in ("property", "field")}
    for name, value in names.items():
        if value and not _DATE_NAME.fullmatch(value):
            fields.fail(name, "invalid_value", "Expected letters, digits and _, a letter first.")
    if all(names.values()) or not any(names.values()):
        fields.fail("property", "required", "Give property or field, not both.")
    if names["field"] and not audience_id:
        fields.fail("audience_id", "required", "Give the audience that has this field.")
    offset = read_number(fields, "offset_days", -MAX_OFFSET, MAX_OFFSET)
    yearly = fields.take("yearly")
    if yearly is not None and not isinstance(yearly, bool):
        fields.fail("yearly", "invalid_type", "Expected true or false.")
    return Trigger(
        TriggerType.DATE,
        audience_id,
        **names,
        offset=timedelta(days=offset),
        time=read_time(fields, "time") or _MORNING,
        is_yearly=yearly is True,
    )
