"""What POST /v1/emails takes and refuses, field by field."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api.errors import ApiError, FieldError
from control_api.fields import MAX_BODY_VALUES, read_json
from control_api.payload import MAX_RECIPIENTS, Email, parse_email
from mta.core.envelope import Priority
from mta.core.event import JsonValue
from mta.core.json_text import encode

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINIMAL: dict[str, Any] = {"from": "ant@sender.example", "to": "bee@example.net", "text": "Hi"}


def parse(**fields: Any) -> Email:
    email = parse_email({**MINIMAL, **fields}, now=NOW)
    assert isinstance(email, Email), email
    return email


def errors_of(**fields: Any) -> list[tuple[str, str]]:
    found = parse_email({**MINIMAL, **fields}, now=NOW)
    assert isinstance(found, tuple), "nothing was wrong"
    return [(error.field, error.code) for error in found]


def shown(mailboxes: Any) -> list[tuple[str, str]]:
    return [(box.name, str(box.address)) for box in mailboxes]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.example", [("", "a@b.example")]),
        ("Ant <a@b.example>", [("Ant", "a@b.example")]),
        (["a@b.example"], [("", "a@b.example")]),
        ({"email": "a@b.example"}, [("", "a@b.example")]),
        ({"email": "a@b.example", "name": "Ant, Sr."}, [("Ant, Sr.", "a@b.example")]),
        ({"email": "a@b.example", "name": None}, [("", "a@b.example")]),
        (
            ["a@b.example", {"email": "c@d.example", "name": "C"}],
            [("", "a@b.example"), ("C", "c@d.example")],
        ),
        ("x@bücher.example", [("", "x@xn--bcher-kva.example")]),
    ],
)
def test_addresses_in_all_forms(value: JsonValue, expected: list[tuple[str, str]]) -> None:
    email = parse(to=value, cc=value, bcc=value, reply_to=value)
    for field in (email.to, email.cc, email.bcc, email.reply_to):
        assert shown(field) == expected


def test_minimal_email_has_defaults() -> None:
    email = parse()
    assert shown([email.from_]) == [("", "ant@sender.example")]
    assert (email.subject, email.text, email.html) == ("", "Hi", None)
    assert email.priority is Priority.TRANSACTIONAL
    assert email.send_at is None
    assert not any((email.cc, email.headers, email.attachments, email.tags, email.metadata))


def test_null_is_left_out() -> None:
    names = "cc bcc reply_to subject html headers attachments tags metadata send_at scheduled_at"
    nulls = dict.fromkeys([*names.split(), "priority"])
    assert parse(**nulls) == parse()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"from": None}, [("from", "required")]),
        ({"from": ""}, [("from", "invalid_address")]),
        ({"from": []}, [("from", "invalid_type")]),
        ({"from": ["a@b.example"]}, [("from", "invalid_type")]),
        ({"from": 5}, [("from", "invalid_type")]),
        ({"from": "nobody"}, [("from", "invalid_address")]),
        ({"from": "a@b.example, c@d.example"}, [("from", "invalid_address")]),
        ({"to": None}, [("to", "required")]),
        ({"to": []}, [("to", "required")]),
        ({"to": {}}, [("to.email", "required")]),
        ({"to": [[]]}, [("to[0]", "invalid_type")]),
        ({"to": [None]}, [("to[0]", "invalid_type")]),
        ({"to": True}, [("to", "invalid_type")]),
        ({"to": ["a@b.example", "x"]}, [("to[1]", "invalid_address")]),
        ({"to": ["x", 1]}, [("to[0]", "invalid_address"), ("to[1]", "invalid_type")]),
        ({"to": {"email": "a@b.example", "role": "x"}}, [("to.role", "unknown_field")]),
        ({"to": [{"email": "a@b.example", "name": 1}]}, [("to[0].name", "invalid_type")]),
        ({"to": [{"email": 1}]}, [("to[0].email", "invalid_type")]),
        ({"to": ["a@b.example"] * (MAX_RECIPIENTS + 1)}, [("to", "too_many")]),
        ({"to": ["a@b.example"] * 60, "cc": ["a@b.example"] * 41}, [("to", "too_many")]),
        ({"cc": "x"}, [("cc", "invalid_address")]),
        ({"bcc": ["x"]}, [("bcc[0]", "invalid_address")]),
        ({"reply_to": "<>"}, [("reply_to", "invalid_address")]),
        ({"subject": 1}, [("subject", "invalid_type")]),
        ({"subject": "x" * 999}, [("subject", "too_long")]),
        ({"text": None}, [("html", "required")]),
        ({"text": ""}, [("html", "required")]),
        ({"text": 1}, [("text", "invalid_type")]),
        ({"text": "a\0b"}, [("text", "invalid_text")]),
        ({"html": ["x"]}, [("html", "invalid_type")]),
        ({"headers": []}, [("headers", "invalid_type")]),
        ({"headers": {"X-A": 1}}, [("headers.X-A", "invalid_type")]),
        ({"headers": {"X-A": "x\ny"}}, [("headers.X-A", "invalid_text")]),
        ({"headers": {f"X-{n}": "" for n in range(51)}}, [("headers", "too_many")]),
        ({"attachments": {}}, [("attachments", "invalid_type")]),
        ({"attachments": ["x"]}, [("attachments[0]", "invalid_type")]),
        ({"attachments": [{}] * 101}, [("attachments", "too_many")]),
        ({"tags": "x"}, [("tags", "invalid_type")]),
        ({"tags": ["x"]}, [("tags[0]", "invalid_type")]),
        ({"tags": [{"name": "a", "value": 1}]}, [("tags[0].value", "invalid_type")]),
        ({"tags": [{"value": "a"}]}, [("tags[0].name", "required")]),
        ({"tags": {"a": 1}}, [("tags.a", "invalid_type")]),
        ({"tags": {"": "x"}}, [("tags", "invalid_text")]),
        ({"tags": {"a\n": "x"}}, [("tags", "invalid_text")]),
        ({"tags": {str(n): "" for n in range(21)}}, [("tags", "too_many")]),
        ({"metadata": []}, [("metadata", "invalid_type")]),
        ({"metadata": {"a": 2**53 + 1}}, [("metadata", "invalid_value")]),
        ({"metadata": {"a": [{"b": "\0"}]}}, [("metadata", "invalid_value")]),
        ({"metadata": {"\0": 1}}, [("metadata", "invalid_value")]),
        ({"metadata": {"a": list(range(1000))}}, [("metadata", "invalid_value")]),
        ({"metadata": {"a": [[[[[[[[[]]]]]]]]]}}, [("metadata", "invalid_value")]),
        ({"send_at": 5}, [("send_at", "invalid_time")]),
        ({"send_at": "tomorrow"}, [("send_at", "invalid_time")]),
        ({"send_at": "2026-03-01T12:00:00"}, [("send_at", "invalid_time")]),
        ({"send_at": "2026-13-01T12:00:00Z"}, [("send_at", "invalid_time")]),
        ({"send_at": "0001-01-01T00:00:00+23:00"}, [("send_at", "invalid_time")]),
        ({"send_at": "2026-03-31T12:00:01Z"}, [("send_at", "too_far")]),
        ({"send_at": "in 31 days"}, [("send_at", "too_far")]),
        ({"send_at": "in 999999 days"}, [("send_at", "too_far")]),
        ({"send_at": "in 5 min", "scheduled_at": "in 5 min"}, [("scheduled_at", "conflict")]),
        ({"scheduled_at": "x"}, [("scheduled_at", "invalid_time")]),
        ({"priority": "high"}, [("priority", "invalid_value")]),
        ({"priority": 1}, [("priority", "invalid_type")]),
        ({"tenant_id": 2}, [("tenant_id", "unknown_field")]),
        ({"html_body": "x"}, [("html_body", "unknown_field")]),
        ({"\x1b[31m": 1}, [("?[31m", "unknown_field")]),
        ({"template": {"id": "tpl_1"}}, [("text", "conflict")]),
    ],
)  # fmt: skip
def test_j10_wrong_fields_are_named(
    fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert errors_of(**fields) == expected


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        ({"filename": "a"}, [("content", "required")]),
        ({"content": ""}, [("filename", "required")]),
        ({"filename": "a", "content": "%%"}, [("content", "invalid_base64")]),
        ({"filename": "a", "content": "YQ"}, [("content", "invalid_base64")]),
        ({"filename": "a", "content": "YQ==YQ=="}, [("content", "invalid_base64")]),
        ({"filename": "a", "content": "YQ-_"}, [("content", "invalid_base64")]),
        ({"filename": "a", "content": "ÄÄ=="}, [("content", "invalid_base64")]),
        ({"filename": "a", "content": 5}, [("content", "required")]),
        ({"filename": "a", "path": "https://x.example/a"}, [("path", "unsupported")]),
        ({"filename": "a\nb", "content": ""}, [("filename", "invalid_text")]),
        ({"filename": 1, "content": ""}, [("filename", "invalid_type")]),
        ({"filename": "a", "content": "", "content_id": 1}, [("content_id", "invalid_type")]),
        ({"filename": "a", "content": "", "x": 1}, [("x", "unknown_field")]),
    ],
)
def test_wrong_attachments_are_named(
    attachment: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    fine = {"filename": "a", "content": ""}
    named = [(f"attachments[1].{field}", code) for field, code in expected]
    assert errors_of(attachments=[fine, attachment]) == named


def test_all_errors_are_collected() -> None:
    found = parse_email({"to": ["x", "y"], "subject": 1, "nonsense": 2}, now=NOW)
    assert isinstance(found, tuple)
    assert [error.field for error in found] == ["from", "to[0]", "to[1]", "subject", "nonsense"]
    assert all(error.message.endswith(".") for error in found)


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_body_must_be_an_object(value: JsonValue) -> None:
    found = parse_email(value, now=NOW)
    assert found == (FieldError("", "invalid_type", "Expected an object."),)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T12:30:00Z", NOW + timedelta(minutes=30)),
        ("2026-03-01 13:30:00.250+01:00", NOW + timedelta(minutes=30, milliseconds=250)),
        ("2026-03-01t12:30:00.123456789z", NOW + timedelta(minutes=30, microseconds=123456)),
        ("2026-03-01T11:59:59Z", None),
        ("2026-03-01T12:00:00Z", None),
        ("in 1 minute", NOW + timedelta(minutes=1)),
        ("in 5 min", NOW + timedelta(minutes=5)),
        ("In 2 Hours", NOW + timedelta(hours=2)),
        ("in 30 days", NOW + timedelta(days=30)),
        ("in 0 minutes", None),
    ],
)
def test_send_at(value: str, expected: datetime | None) -> None:
    assert parse(send_at=value).send_at == expected
    assert parse(scheduled_at=value).send_at == expected


def test_tags_in_both_forms() -> None:
    expected = (("campaign", "spring"), ("a", ""))
    assert parse(tags={"campaign": "spring", "a": ""}).tags == expected
    listed = [{"name": "campaign", "value": "spring"}, {"name": "a"}]
    assert parse(tags=listed).tags == expected


def test_metadata_is_kept_as_it_is() -> None:
    metadata = {"a": [1, -(2**53), 1.5, True, None, {"ü": "\n"}]}
    assert parse(metadata=metadata).metadata == metadata


def test_attachment_defaults() -> None:
    [plain, inline, wrapped] = parse(
        attachments=[
            {"filename": "a.pdf", "content": "YQ=="},
            {"content": "YQ==", "content_id": "logo", "content_type": "image/png"},
            {"filename": "x", "content": "YW\r\nJj\n", "disposition": "inline"},
        ]
    ).attachments
    assert (plain.content_type, plain.disposition, plain.content) == (
        "application/pdf",
        "attachment",
        b"a",
    )
    assert (inline.content_type, inline.disposition, inline.content_id) == (
        "image/png",
        "inline",
        "logo",
    )
    assert (wrapped.content_type, wrapped.disposition, wrapped.content) == (
        "application/octet-stream",
        "inline",
        b"abc",
    )


def test_priority() -> None:
    assert parse(priority="bulk").priority is Priority.BULK
    assert parse(priority="Transactional").priority is Priority.TRANSACTIONAL


class TestReadJson:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "invalid_json"),
            (b"{", "invalid_json"),
            (b"{}x", "invalid_json"),
            (b'{"a":NaN}', "invalid_json"),
            (b'{"a":Infinity}', "invalid_json"),
            (b'{"a":1e400}', "invalid_json"),
            (b'{"a":' + b"1" * 100_000 + b"}", "invalid_json"),
            (b'{"a":"\\ud800"}', "invalid_json"),
            (b'{"a":"\\udc00\\ud800"}', "invalid_json"),
            (b'{"a":"\xed\xa0\x80"}', "invalid_json"),
            (b'{"a":"\xff"}', "invalid_json"),
            (b"\xef\xbb\xbf{}", "invalid_json"),
            ("{}".encode("utf-16"), "invalid_json"),
            (b"[" * 100_000, "invalid_json"),
            (b'{"a":' * 100_000, "invalid_json"),
            (b'{"a":1,"a":2}', "duplicate_field"),
            (b'{"a":1,"\\u0061":2}', "duplicate_field"),
            (b'[{"b":{"a":1,"a":1}}]', "duplicate_field"),
            (b"[1" + b",1" * (MAX_BODY_VALUES + 1) + b"]", "too_many"),
            (b"[{}" + b",{}" * (MAX_BODY_VALUES + 1) + b"]", "too_many"),
        ],
        ids=lambda value: repr(value)[:30],
    )
    def test_h15_j03_refused(self, body: bytes, code: str) -> None:
        with pytest.raises(ApiError) as caught:
            read_json(body)
        problem = caught.value.problem
        assert (problem.status, problem.errors[0].code) == (422, code)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"a":"' + b"x,:\\\\" * 1_000_000 + b'"}',
            b'{"a":"' + b'\\"' * 1_000_000,
            b'{"a":"' + b'\\"' * 1_000_000 + b"\\",
            b'"' * 1_000_001,
            b'{"a' * 500_000,
        ],
        ids=["long", "no end", "no end after a backslash", "quotes", "braces"],
    )
    def test_j03_strings_take_linear_time(self, body: bytes) -> None:
        started = time.perf_counter()
        with suppress(ApiError):
            read_json(body)
        assert time.perf_counter() - started < 2

    @given(st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    ))  # fmt: skip
    def test_all_json_comes_through(self, value: JsonValue) -> None:
        assert read_json(encode(value)) == value
        assert read_json(json.dumps(value, indent=2).encode()) == value

    @given(st.binary())
    def test_any_bytes_give_a_value_or_an_error(self, body: bytes) -> None:
        try:
            read_json(body)
        except ApiError:
            return


@given(st.dictionaries(
    st.sampled_from([*MINIMAL, "cc", "headers", "attachments", "tags", "metadata", "send_at"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda children: st.lists(children)
        | st.dictionaries(st.sampled_from(["email", "name", "content", "value", "x"]), children),
        max_leaves=10,
    ),
))  # fmt: skip
def test_any_value_gives_an_email_or_errors(fields: dict[str, Any]) -> None:
    found = parse_email({**MINIMAL, **fields}, now=NOW)
    assert isinstance(found, Email) or all(error.message for error in found)
