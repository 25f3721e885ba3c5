"""What the cells of a list of contacts mean."""

from __future__ import annotations

import codecs

import pytest

from mta.core.contact_csv import (
    CODECS,
    MAX_COLUMNS,
    LayoutError,
    codec_of,
    delimiter_of,
    object_of,
    targets_of,
)

TAGS = ("FIRST_NAME", "AGE")


@pytest.mark.parametrize(
    ("name", "head", "codec"),
    [
        ("", b"email", "utf-8-sig"),
        ("", codecs.BOM_UTF8 + b"email", "utf-8-sig"),
        ("", codecs.BOM_UTF16_LE + b"e\0", "utf-16"),
        ("", codecs.BOM_UTF16_BE + b"\0e", "utf-16"),
        ("UTF-8", b"", "utf-8-sig"),
        ("Windows-1252", b"", "cp1252"),
        ("latin-1", codecs.BOM_UTF16_LE, "latin-1"),
    ],
)
def test_encodings(name: str, head: bytes, codec: str) -> None:
    assert codec_of(name, head) == codec


def test_every_codec_exists() -> None:
    for codec in CODECS.values():
        assert codecs.lookup(codec)


@pytest.mark.parametrize("name", ["rot13", "utf-7", "idna", "../x"])
def test_other_encodings_are_refused(name: str) -> None:
    with pytest.raises(LayoutError, match="Expected one of") as error:
        codec_of(name, b"")
    assert error.value.field == "encoding"


@pytest.mark.parametrize(
    ("name", "header", "delimiter"),
    [
        ("", "email,name", ","),
        ("", "email;name", ";"),
        ("", "email\tname", "\t"),
        ("", "email|name", "|"),
        ("", "email", ","),
        ("", '"a,b,c";email', ";"),
        ("tab", "a;b", "\t"),
        ("|", "a;b", "|"),
    ],
)
def test_delimiters(name: str, header: str, delimiter: str) -> None:
    assert delimiter_of(name, header) == delimiter


def test_other_delimiters_are_refused() -> None:
    with pytest.raises(LayoutError):
        delimiter_of("x", "axb")


@pytest.mark.parametrize(
    ("header", "mapping", "targets"),
    [
        (["Email", "NAME"], {}, ("email", "name")),
        (["E-Mail", "First Name"], {}, ("email", "fields.FIRST_NAME")),
        (["EMAIL", "first_name", "age", "x"], {}, ("email", "fields.FIRST_NAME", "fields.AGE", "")),
        (["email", "Surname"], {}, ("email", "last_name")),
        (["a", "b"], {"B": "email"}, ("", "email")),
        (["email", "b"], {"b": "properties.City"}, ("email", "properties.City")),
        (["email", "b"], {"b": "AGE"}, ("email", "fields.AGE")),
        (["email", "b"], {"b": "fields.age"}, ("email", "fields.AGE")),
        (["email", "mail"], {"mail": ""}, ("email", "")),
        (["email", "name"], {"name": ""}, ("email", "")),
        (["email", ""], {}, ("email", "")),
    ],
)
def test_columns(header: list[str], mapping: dict[str, str], targets: tuple[str, ...]) -> None:
    assert targets_of(header, mapping, TAGS) == targets


@pytest.mark.parametrize(
    ("header", "mapping", "code"),
    [
        (["name"], {}, "no_email_column"),
        ([], {}, "no_email_column"),
        (["email"], {"x": "name"}, "unknown_column"),
        (["email", "x"], {"x": "CITY"}, "unknown_field"),
        (["email", "x"], {"x": "properties."}, "unknown_field"),
        (["email", "mail"], {}, "duplicate_column"),
        (["email"] + ["x"] * MAX_COLUMNS, {}, "too_many"),
    ],
)
def test_columns_that_cannot_be(header: list[str], mapping: dict[str, str], code: str) -> None:
    with pytest.raises(LayoutError) as error:
        targets_of(header, mapping, TAGS)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("targets", "cells", "expected"),
    [
        (["email", "name"], [" a@x.test ", ""], {"email": "a@x.test"}),
        (["email", "name"], ["a@x.test"], {"email": "a@x.test"}),
        (["email"], ["a@x.test", "more"], {"email": "a@x.test"}),
        (["email", "first_name", "last_name"], ["", "Ant", "Hill"], {"name": "Ant Hill"}),
        (["name", "first_name"], ["A. Hill", "Ant"], {"name": "A. Hill"}),
        (["tags"], ["vip; new|old,"], {"tags": ["vip", "new", "old"]}),
        (["status"], ["Unsubscribed"], {"status": "unsubscribed"}),
        (
            ["fields.AGE", "fields.FIRST_NAME"],
            ["7", "7"],
            {"fields": {"AGE": 7, "FIRST_NAME": "7"}},
        ),
        (["fields.AGE"], ["-7.50"], {"fields": {"AGE": -7.5}}),
        (["fields.AGE"], ["007"], {"fields": {"AGE": "007"}}),
        (["fields.AGE"], ["1e99"], {"fields": {"AGE": "1e99"}}),
        (["properties.city", ""], ["Ulm", "x"], {"properties": {"city": "Ulm"}}),
        (["name"], ["'=1+1"], {"name": "=1+1"}),
    ],
)
def test_rows(targets: list[str], cells: list[str], expected: dict[str, object]) -> None:
    assert object_of(cells, targets, frozenset({"AGE"})) == expected
