"""Conditions: what holds of whom, and that no values make them fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.automation_condition import (
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Engaged,
    Engagement,
    Facts,
    HasTag,
    IsMember,
    Member,
    Not,
    Operator,
    Source,
    all_hold,
    holds,
)
from mta.core.contact import Status
from mta.core.event import JsonValue

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FACTS = Facts(
    email="bee@dest.test",
    properties={"plan": "pro", "n": 3, "since": "2024-05-01", "words": ["a", 1], "is": True},
    tags=frozenset({"vip"}),
    members={
        "aud_1": Member(Status.SUBSCRIBED, {"FNAME": "Bee"}),
        "aud_2": Member(Status.UNSUBSCRIBED, {}),
    },
    audience_id="aud_1",
    data={"n": 7},
    began_at=NOW,
    opened_at=NOW + timedelta(hours=1),
    clicked_at=NOW - timedelta(hours=1),
)


def having(name: str, operator: Operator, value: JsonValue = None) -> Compare:
    return Compare(Source.PROPERTY, name, operator, value)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (having("plan", Operator.EQUAL, "pro"), True),
        (having("plan", Operator.EQUAL, "Pro"), False),
        (having("plan", Operator.NOT_EQUAL, "free"), True),
        (having("none", Operator.NOT_EQUAL, "free"), True),  # no value is another value
        (having("none", Operator.EQUAL, None), True),
        (having("is", Operator.EQUAL, 1), False),  # true is not 1
        (having("n", Operator.EQUAL, 3.0), True),
        (having("n", Operator.LESS, 4), True),
        (having("n", Operator.LESS, 3), False),
        (having("n", Operator.AT_MOST, 3), True),
        (having("n", Operator.MORE, 2.5), True),
        (having("n", Operator.AT_LEAST, 4), False),
        (having("n", Operator.MORE, "2"), False),  # texts and numbers have no order
        (having("is", Operator.MORE, 0), False),
        (having("none", Operator.LESS, 1), False),
        (having("since", Operator.LESS, "2025-01-01"), True),
        (having("plan", Operator.CONTAINS, "r"), True),
        (having("words", Operator.CONTAINS, 1), True),
        (having("words", Operator.CONTAINS, True), False),
        (having("n", Operator.CONTAINS, "3"), False),
        (having("plan", Operator.STARTS_WITH, "p"), True),
        (having("plan", Operator.ENDS_WITH, "ro"), True),
        (having("n", Operator.ENDS_WITH, "3"), False),
        (having("plan", Operator.IN, ["free", "pro"]), True),
        (having("plan", Operator.IN, "pro"), False),
        (having("none", Operator.EXISTS), False),
        (having("is", Operator.EXISTS), True),
        (Compare(Source.FIELD, "FNAME", Operator.EQUAL, "Bee"), True),
        (Compare(Source.FIELD, "FNAME", Operator.EQUAL, "Bee", "aud_2"), False),
        (Compare(Source.FIELD, "FNAME", Operator.EXISTS, None, "aud_9"), False),
        (Compare(Source.DATA, "n", Operator.EQUAL, 7), True),
        (Compare(Source.CONTACT, "email", Operator.ENDS_WITH, "@dest.test"), True),
        (Compare(Source.CONTACT, "name", Operator.EXISTS), False),  # it has none
        (HasTag("vip"), True),
        (HasTag("other"), False),
        (IsMember("aud_1"), True),
        (IsMember("aud_2"), False),
        (IsMember("aud_2", Status.UNSUBSCRIBED), True),
        (IsMember("aud_2", None), True),
        (IsMember("aud_9", None), False),
        (Engaged(Engagement.OPENED), True),
        (Engaged(Engagement.CLICKED), False),  # before the run began
        (Not(HasTag("vip")), False),
        (AllOf(()), True),
        (AnyOf(()), False),
        (AllOf((HasTag("vip"), HasTag("other"))), False),
        (AnyOf((HasTag("other"), HasTag("vip"))), True),
    ],
)
def test_what_holds(condition: Condition, expected: bool) -> None:
    assert holds(condition, FACTS) is expected
    assert holds(Not(condition), FACTS) is not expected


def test_before_a_run_there_is_engagement_at_any_time() -> None:
    facts = Facts("x", opened_at=NOW)
    assert all_hold((Engaged(Engagement.OPENED),), facts)
    assert not all_hold((Engaged(Engagement.CLICKED),), facts)


values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(Operator), values, values)
def test_no_values_make_a_comparison_fail(
    operator: Operator, known: JsonValue, given_: JsonValue
) -> None:
    facts = Facts("x", properties={"v": known})
    assert holds(having("v", operator, given_), facts) in (True, False)


@given(values, values)
def test_order_and_equality_agree(one: JsonValue, other: JsonValue) -> None:
    facts = Facts("x", properties={"v": one})
    less, more = (
        holds(having("v", operator, other), facts) for operator in (Operator.LESS, Operator.MORE)
    )
    same = holds(having("v", Operator.EQUAL, other), facts)
    assert less + more + same <= 1
