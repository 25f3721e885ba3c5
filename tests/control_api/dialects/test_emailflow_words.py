"""What EmailFlow's forms say, told natively, and back; without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api.dialects.base import Refused
from control_api.dialects.emailflow_campaigns import to_campaign
from control_api.dialects.emailflow_people import (
    full_name,
    names_of,
    subscriber_json,
    tags_of,
    to_member,
    values_of,
)
from control_api.dialects.emailflow_shapes import (
    flag_of,
    id_of,
    render_error,
    text_of,
    uid_of,
    wanted_page,
    words_of,
)
from control_api.errors import ApiError, FieldError, Problem, invalid
from tests.control_api.conftest import NOW

ULID = "01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"
LIST = {
    "fields": [
        {"tag": "CITY", "type": "text"},
        {"tag": "AGE", "type": "number"},
        {"tag": "SINCE", "type": "datetime"},
    ]
}


@pytest.mark.parametrize("uid", [ULID, ULID.lower(), f"aud_{ULID}", f"job_{ULID}"])
def test_ids(uid: str) -> None:
    assert id_of("aud", uid) == f"aud_{ULID}"
    assert uid_of(f"aud_{ULID}") == ULID


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("a ", "a"), (7, "7"), (1.5, "1.5"), (True, "true"), ([1], ""), ({}, "")],
)
def test_text(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("vip, newsletter,,vip", ["vip", "newsletter"]),
        (["vip", " a ", "", ["x"]], ["vip", "a"]),
        (None, []),
        (7, ["7"]),
    ],
)
def test_words(value: Any, words: list[str]) -> None:
    assert words_of(value) == words


@pytest.mark.parametrize(
    ("value", "flag"),
    [("true", True), ("1", True), (True, True), ("false", False), ("", False), (None, None)],
)
def test_flags(value: Any, flag: bool | None) -> None:
    assert flag_of({"track_open": value}, "track_open") is flag


def test_other_words_are_no_flags() -> None:
    with pytest.raises(ApiError) as refused:
        flag_of({"track_open": "perhaps"}, "track_open")
    [error] = refused.value.problem.errors
    assert error.message == "The track open field must be true or false."


@pytest.mark.parametrize(
    ("query", "page", "limit"),
    [
        ({}, "1", "10"),
        ({"page": "3", "per_page": "4"}, "3", "4"),
        ({"page": "0", "per_page": "-1"}, "1", "10"),
        ({"page": "x", "per_page": "900"}, "1", "500"),
        ({"page": "9" * 9, "per_page": "\u0663"}, "1", "10"),
    ],
)
def test_pages(query: dict[str, str], page: str, limit: str) -> None:
    assert wanted_page(query) == {"page": page, "limit": limit}


def test_a_subscriber_becomes_a_member() -> None:
    fields = {
        "EMAIL": "ant@example.net",
        "FIRST_NAME": "Ant",
        "LAST_NAME": "Hill",
        "CITY": "Antville",
        "AGE": "42",
        "SINCE": "",
        "OTHER": "x",
        "tag": "a,b",
        "tags": ["b", "c"],
        "status": "Subscribed",
    }
    assert to_member(fields, LIST) == {
        "email": "ant@example.net",
        "name": "Ant Hill",
        "tags": ["a", "b", "c"],
        "status": "subscribed",
        "fields": {"CITY": "Antville", "AGE": 42, "SINCE": None},
    }
    assert to_member({"email": "bee@example.net"}, LIST) == {"email": "bee@example.net"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("42", 42), ("-1.5", -1.5), ("old", "old"), ("nan", "nan"), ("9" * 16, "9" * 16)],
)
def test_numbers(text: str, value: Any) -> None:
    assert values_of({"AGE": text}, LIST) == {"AGE": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2001-02-03 04:05:06", "2001-02-03T04:05:06Z"),
        ("2001-02-03 04:05", "2001-02-03T04:05:00Z"),
        ("2001-02-03T04:05:06+01:00", "2001-02-03T04:05:06+01:00"),
        ("2001-02-03", "2001-02-03"),
        ("long ago", "long ago"),
    ],
)
def test_times(text: str, value: str) -> None:
    assert values_of({"SINCE": text}, LIST) == {"SINCE": value}


def test_a_member_becomes_a_subscriber() -> None:
    member = {
        "id": f"mem_{ULID}",
        "audience_id": f"aud_{ULID}",
        "email": "ant@example.net",
        "name": "Ant Hill",
        "status": "bounced",
        "fields": {"CITY": "Antville", "AGE": None, "FIRST_NAME": "Antonia"},
        "created_at": "2026-03-01T12:00:00.000Z",
    }
    shown = subscriber_json(member)
    assert (shown["id"], shown["list_uid"]) == (ULID, ULID)
    assert (shown["status"], shown["status_detail"]) == ("unsubscribed", "bounced")
    assert (shown["FIRST_NAME"], shown["LAST_NAME"], shown["CITY"]) == (
        "Antonia",
        "Hill",
        "Antville",
    )
    assert not {"AGE", "tags"} & shown.keys()
    assert subscriber_json(member, ["a"])["tags"] == ["a"]


@pytest.mark.parametrize(("first", "last"), [("Ant", "Hill"), ("Ant", ""), ("Ant", "of the Hill")])
def test_names_come_back(first: str, last: str) -> None:
    assert names_of(full_name(first, last)) == (first, last)


def test_a_campaign_says_only_what_the_form_says() -> None:
    assert to_campaign({"subject": "s", "track_open": "true", "html": "", "plain": "p"}) == {
        "subject": "s",
        "tracking": {"opens": True},
        "text": "p",
    }
    both = to_campaign({"list_uid": ULID, "from_email": "a@a.example", "from_name": "A"})
    assert both == {
        "audience_id": f"aud_{ULID}",
        "from": {"email": "a@a.example", "name": "A"},
    }


@pytest.mark.parametrize(
    ("problem", "status", "told"),
    [
        (
            invalid([FieldError("from_email", "invalid_address", "x")]),
            403,
            {"from_email": ["The from email must be a valid email address."]},
        ),
        (
            invalid([FieldError("a", "x", "One."), FieldError("a", "y", "Two.")]),
            403,
            {"a": ["One.", "Two."]},
        ),
        (invalid([FieldError("", "invalid_json", "No.")]), 403, {"request": ["No."]}),
        (Problem(402, "c", "m"), 403, {"status": 0, "message": "m", "code": "c"}),
        (Problem(404, "c", "m"), 404, {"status": 0, "message": "m", "code": "c"}),
        (Problem(429, "c", "m"), 429, {"status": 0, "message": "m", "code": "c"}),
        (Problem(500, "c", "m"), 500, {"status": 0, "message": "m", "code": "c"}),
    ],
)
def test_errors(problem: Problem, status: int, told: Any) -> None:
    reply = render_error(Refused(problem, "req_1", NOW))
    assert (reply.status, reply.value) == (status, told)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["EMAIL", "email", "FIRST_NAME", "AGE", "CITY", "tag", "tags", "status"])


@given(st.dictionaries(NAMES, VALUES))
def test_whatever_a_row_holds_it_becomes_a_member(fields: dict[str, Any]) -> None:
    member = to_member(fields, LIST)
    assert isinstance(member["email"], str)
    assert all(isinstance(tag, str) for tag in tags_of(fields))
