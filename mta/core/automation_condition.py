"""Conditions on a contact: a small language without loops, functions or names of its own.

A condition is a value; whether it holds depends on nothing but the Facts. Comparing what cannot be
compared is no error: it does not hold. Not here: reading the JSON of an author
(control_api/automation_condition_payload.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import assert_never

from mta.core.contact import Status
from mta.core.event import JsonValue
from mta.core.frozen import frozen

MAX_CONDITIONS = 50
"""In one list, those inside others included."""
MAX_NESTING = 5


class Source(enum.Enum):
    """Where a value is looked up."""

    PROPERTY = "property"
    FIELD = "field"
    DATA = "data"
    """What the request said that set off the run."""
    CONTACT = "contact"


CONTACT_NAMES = ("email", "name")
"""What can be looked up in CONTACT."""


class Operator(enum.Enum):
    """How two values are compared; less and more: numbers with numbers, texts with texts."""

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    LESS = "lt"
    AT_MOST = "lte"
    MORE = "gt"
    AT_LEAST = "gte"
    CONTAINS = "contains"
    """A part of a text, or an item of a list."""
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    IN = "in"
    """The value given is a list, and has it."""
    EXISTS = "exists"
    """There is a value, and it is not null; nothing is compared."""


@frozen
class Compare:
    """A value that is known of the contact, compared with one that is given.

    Attributes:
        source, name: which value.
        operator, value: how and with what.
        audience_id: of FIELD, whose; "" the audience of the run.
    """

    source: Source
    name: str
    operator: Operator
    value: JsonValue = None
    audience_id: str = ""


@frozen
class HasTag:
    """The contact has a tag."""

    tag: str


@frozen
class IsMember:
    """The contact is in an audience ("aud_...") with this status; None: with any."""

    audience_id: str
    status: Status | None = Status.SUBSCRIBED


class Engagement(enum.Enum):
    """What people do with tracked mail."""

    OPENED = "opened"
    CLICKED = "clicked"


@frozen
class Engaged:
    """The contact did that with any mail since the run began; before there is a run: ever."""

    what: Engagement


@frozen
class AllOf:
    """All hold; also if there are none."""

    parts: tuple[Condition, ...]


@frozen
class AnyOf:
    """One holds at least."""

    parts: tuple[Condition, ...]


@frozen
class Not:
    """It does not hold."""

    part: Condition


Condition = Compare | HasTag | IsMember | Engaged | AllOf | AnyOf | Not


@frozen
class Member:
    """What is known of a contact in one audience: status, and values by tag of the field."""

    status: Status
    values: Mapping[str, JsonValue]


@frozen
class Facts:
    """What is known of a contact, and of the run it is in.

    Attributes:
        email, name, properties, tags: of the contact.
        members: "aud_..." -> what is known there, of each audience it is in.
        audience_id: of the run; "" for none.
        data: as the request gave it that set off the run.
        began_at: when the run began (aware, UTC); None: there is none yet.
        opened_at, clicked_at: when it last did so with tracked mail (aware, UTC); None: never.
    """

    email: str
    name: str = ""
    properties: Mapping[str, JsonValue] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    members: Mapping[str, Member] = field(default_factory=dict)
    audience_id: str = ""
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    began_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None


def all_hold(conditions: tuple[Condition, ...], facts: Facts) -> bool:
    """Tell whether all conditions hold; also if there are none."""
    return all(holds(one, facts) for one in conditions)


def holds(condition: Condition, facts: Facts) -> bool:  # noqa: PLR0911 - one for each kind
    """Tell whether a condition holds."""
    match condition:
        case Compare():
            return _compared(condition.operator, _value(condition, facts), condition.value)
        case HasTag():
            return condition.tag in facts.tags
        case IsMember():
            member = facts.members.get(condition.audience_id)
            return member is not None and condition.status in (None, member.status)
        case Engaged():
            return _is_engaged(condition.what, facts)
        case AllOf():
            return all_hold(condition.parts, facts)
        case AnyOf():
            return any(holds(one, facts) for one in condition.parts)
        case Not():
            return not holds(condition.part, facts)
        case other:
            assert_never(other)


def _is_engaged(what: Engagement, facts: Facts) -> bool:
    at = facts.opened_at if what is Engagement.OPENED else facts.clicked_at
    return at is not None and (facts.began_at is None or at >= facts.began_at)


def _value(condition: Compare, facts: Facts) -> JsonValue:
    """Return the value that is known; None where there is none."""
    name = condition.name
    match condition.source:
        case Source.PROPERTY:
            return facts.properties.get(name)
        case Source.FIELD:
            member = facts.members.get(condition.audience_id or facts.audience_id)
            return None if member is None else member.values.get(name)
        case Source.DATA:
            return facts.data.get(name)
        case Source.CONTACT:
            return facts.email if name == "email" else facts.name or None
        case other:
            assert_never(other)


def _compared(operator: Operator, known: JsonValue, given: JsonValue) -> bool:  # noqa: PLR0911
    match operator:
        case Operator.EXISTS:
            return known is not None
        case Operator.EQUAL:
            return _same(known, given)
        case Operator.NOT_EQUAL:
            return not _same(known, given)
        case Operator.IN:
            return isinstance(given, list) and any(_same(known, one) for one in given)
        case Operator.CONTAINS:
            if isinstance(known, list):
                return any(_same(one, given) for one in known)
            return isinstance(known, str) and isinstance(given, str) and given in known
        case Operator.STARTS_WITH | Operator.ENDS_WITH:
            if not (isinstance(known, str) and isinstance(given, str)):
                return False
            is_start = operator is Operator.STARTS_WITH
            return known.startswith(given) if is_start else known.endswith(given)
        case Operator.LESS | Operator.AT_MOST | Operator.MORE | Operator.AT_LEAST:
            order = _order(known, given)
            return order is not None and order in _ORDERS[operator]
        case other:
            assert_never(other)


_ORDERS: Mapping[Operator, tuple[int, ...]] = {
    Operator.LESS: (-1,),
    Operator.AT_MOST: (-1, 0),
    Operator.MORE: (1,),
    Operator.AT_LEAST: (0, 1),
}


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two JSON values are the same; true is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _order(one: JsonValue, other: JsonValue) -> int | None:
    """Return -1, 0 or 1 for less, equal and more; None where there is no order."""
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    numbers = (int, float)
    if isinstance(one, bool) or isinstance(other, bool):
        return None
    if isinstance(one, numbers) and isinstance(other, numbers):
        return (one > other) - (one < other)
    return None
