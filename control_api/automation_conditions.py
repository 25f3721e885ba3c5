"""Conditions of automations in requests: JSON in, typed values or errors at their fields out.

An object says what it is by the name it has: {"tag": "vip"}, {"property": "plan", "op": "eq",
"value": "pro"}, {"any": [...]}. What they mean is core/automation_condition.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from control_api.contact_payload import MAX_TAG
from control_api.fields import Fields, json_error
from mta.core import ids
from mta.core.automation_condition import (
    CONTACT_NAMES,
    MAX_CONDITIONS,
    MAX_NESTING,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Engaged,
    Engagement,
    HasTag,
    IsMember,
    Not,
    Operator,
    Source,
)
from mta.core.contact import STATUSES, Status
from mta.core.event import JsonValue
from mta.core.json_text import encode

ANY_STATUS = "any"
MAX_NAME = 100
"""Characters of the name of a property or field."""
MAX_VALUE = 2_000
"""Bytes of a value to compare with, as JSON."""
_ID_LENGTH = 64


def read_conditions(fields: Fields, name: str = "conditions") -> tuple[Condition, ...]:
    """Take a list of conditions, () when there is none; all of them are to hold."""
    value = fields.take(name)
    if _count(value) > MAX_CONDITIONS:
        fields.fail(name, "too_many", f"At most {MAX_CONDITIONS} conditions are allowed.")
        return ()
    return tuple(_each(fields, name, value, 1))


def _count(value: JsonValue) -> int:
    """Count the objects in JSON, some more than there are conditions."""
    pending, count = [value], 0
    while pending:
        match pending.pop():
            case dict() as inner:
                count += 1
                pending += [inner.get(name) for name in ("all", "any", "not")]
            case list() as items:
                pending += items
    return count


def _each(fields: Fields, name: str, value: JsonValue, depth: int) -> Iterator[Condition]:
    """Read each item of an array that was taken from a field."""
    inner = Fields({name: value}, fields.errors, fields.path)
    for path, item in inner.items(name, MAX_CONDITIONS):
        found = _condition(Fields(item, fields.errors, _inside(fields, path)), depth)
        if found is not None:
            yield found


def _inside(fields: Fields, path: str) -> str:
    return f"{fields.path}.{path}" if fields.path else path


def _condition(fields: Fields, depth: int) -> Condition | None:
    named = [name for name in _READERS if fields.has(name)]
    if depth > MAX_NESTING:
        fields.fail("", "too_deep", f"At most {MAX_NESTING} levels are allowed.")
        return None
    if len(named) != 1:
        if not fields.errors or fields.errors[-1].field != fields.path:
            message = f"Give exactly one of {', '.join(_READERS)}."
            fields.fail("", "invalid_condition", message)
        return None
    found = _READERS[named[0]](fields, named[0], depth)
    fields.finish()
    return found


def _several(fields: Fields, name: str, depth: int) -> Condition:
    parts = tuple(_each(fields, name, fields.take(name), depth + 1))
    return AllOf(parts) if name == "all" else AnyOf(parts)


def _negated(fields: Fields, name: str, depth: int) -> Condition | None:
    inner = Fields(fields.take(name), fields.errors, _inside(fields, name))
    part = _condition(inner, depth + 1)
    return None if part is None else Not(part)


def _tag(fields: Fields, name: str, _depth: int) -> Condition:
    return HasTag(fields.required_text(name, MAX_TAG))


def _member(fields: Fields, name: str, _depth: int) -> Condition:
    audience_id = read_id(fields, name, "aud")
    word = fields.text("status", 20) or Status.SUBSCRIBED.value
    if word not in (*STATUSES, ANY_STATUS):
        known = ", ".join((*STATUSES, ANY_STATUS))
        fields.fail("status", "invalid_value", f"Expected one of {known}.")
        word = ANY_STATUS
    return IsMember(audience_id, None if word == ANY_STATUS else Status(word))


def _engaged(fields: Fields, name: str, _depth: int) -> Condition | None:
    word = fields.text(name, 20)
    if word not in _ENGAGEMENTS:
        fields.fail(name, "invalid_value", f"Expected one of {', '.join(_ENGAGEMENTS)}.")
        return None
    return Engaged(Engagement(word))


def _compare(fields: Fields, source: str, _depth: int) -> Condition:
    name = fields.required_text(source, MAX_NAME)
    if source == Source.CONTACT.value and name not in ("", *CONTACT_NAMES):
        fields.fail(source, "invalid_value", f"Expected one of {', '.join(CONTACT_NAMES)}.")
    is_field = source == Source.FIELD.value
    audience_id = read_id(fields, "audience_id", "aud", is_required=False) if is_field else ""
    word = fields.text("op", 20) or Operator.EQUAL.value
    if word not in _OPERATORS:
        fields.fail("op", "invalid_value", f"Expected one of {', '.join(_OPERATORS)}.")
        word = Operator.EQUAL.value
    operator = Operator(word)
    value = _value(fields, operator)
    return Compare(Source(source), name, operator, value, audience_id)


def _value(fields: Fields, operator: Operator) -> JsonValue:
    if operator is Operator.EXISTS:
        return None  # one that is given is refused as unknown
    is_given, value = fields.has("value"), fields.take("value")
    if not is_given:
        fields.fail("value", "required", "Give a value to compare with; null is one.")
    elif json_error(value) or len(encode(value)) > MAX_VALUE:
        fields.fail("value", "too_long", f"At most {MAX_VALUE} bytes of JSON are allowed.")
    elif operator is Operator.IN and not isinstance(value, list):
        fields.fail("value", "invalid_type", "Expected an array.")
    return value


def read_id(fields: Fields, name: str, prefix: str, *, is_required: bool = True) -> str:
    """Take the id of something; whether it is there is asked of storage later."""
    take = fields.required_text if is_required else fields.text
    found = take(name, _ID_LENGTH)
    if found and ids.number_of(found, prefix) is None:
        fields.fail(name, "invalid_id", f"Expected an id that begins with {prefix}_.")
        return ""
    return found


_ENGAGEMENTS = tuple(one.value for one in Engagement)
_OPERATORS = tuple(one.value for one in Operator)
_READERS: Mapping[str, Callable[[Fields, str, int], Condition | None]] = {
    "property": _compare,
    "field": _compare,
    "data": _compare,
    "contact": _compare,
    "tag": _tag,
    "member": _member,
    "engaged": _engaged,
    "all": _several,
    "any": _several,
    "not": _negated,
}
