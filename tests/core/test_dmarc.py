"""DMARC records, the walk up the tree, alignment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.dmarc import (
    DmarcRecord,
    Walk,
    is_aligned,
    is_dmarc,
    parse_dmarc,
    walk,
    walk_names,
)
from mta.core.lookup import NoAnswer, Records


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=DMARC1; p=none", DmarcRecord("none")),
        ("v=DMARC1;p=reject;sp=quarantine", DmarcRecord("reject", "quarantine")),
        ("v=DMARC1; p=Reject; adkim=s; aspf=S", DmarcRecord("reject", "", True, True)),
        ("v=DMARC1; p=none; pct=20; ri=1; x=y", DmarcRecord("none")),  # tags of the old standard
        ("v=DMARC1; p=nothing", DmarcRecord("")),
        ("v=DMARC1", DmarcRecord("")),
        ("v=DMARC1; rua=mailto:a@b.test", DmarcRecord("none", reports_to="mailto:a@b.test")),
        ("v=DMARC1; p=none; psd=y", DmarcRecord("none", psd="y")),
    ],
)
def test_records(text: str, expected: DmarcRecord) -> None:
    assert is_dmarc(text)
    assert parse_dmarc(text) == expected


@pytest.mark.parametrize("text", ["", "v=spf1", "v=DMARC2; p=none", "v=dmarc1", "p=none; v=DMARC1"])
def test_other_texts(text: str) -> None:
    assert not is_dmarc(text)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert parse_dmarc(f"v=DMARC1;{text}").policy in {"", "none", "quarantine", "reject"}


def test_the_walk_is_eight_names_long_at_most() -> None:
    assert walk_names("a.b.test") == ("a.b.test", "b.test", "test")
    long = "a.b.c.d.e.f.g.h.i.example.test"
    names = walk_names(long)
    assert names[:2] == (long, "e.f.g.h.i.example.test")
    assert len(names) == 8


def walked(domain: str, records: Mapping[str, str]) -> Walk | NoAnswer:
    answers = {
        name: Records((records[name],) if name in records else ()) for name in walk_names(domain)
    }
    return walk(domain, answers)


@pytest.mark.parametrize(
    ("domain", "records", "organisation", "owner"),
    [
        ("a.test", {"a.test": "v=DMARC1; p=none"}, "a.test", "a.test"),
        ("mail.a.test", {"a.test": "v=DMARC1; p=none"}, "a.test", "a.test"),
        (
            "mail.a.test",
            {"mail.a.test": "v=DMARC1; p=reject", "a.test": "v=DMARC1; p=none"},
            "a.test",
            "mail.a.test",
        ),
        ("mail.a.test", {}, "mail.a.test", ""),
        # A record that says that it is the organisation's ends the walk.
        (
            "x.mail.a.test",
            {"mail.a.test": "v=DMARC1; p=none; psd=n", "a.test": "v=DMARC1; p=none"},
            "mail.a.test",
            "mail.a.test",
        ),
        # One below a public suffix.
        ("x.a.bank", {"bank": "v=DMARC1; p=reject; psd=y"}, "a.bank", ""),
        (
            "x.a.bank",
            {"a.bank": "v=DMARC1; p=none", "bank": "v=DMARC1; p=reject; psd=y"},
            "a.bank",
            "a.bank",
        ),
    ],
)
def test_the_organisational_domain(
    domain: str, records: dict[str, str], organisation: str, owner: str
) -> None:
    found = walked(domain, records)
    assert isinstance(found, Walk)
    assert (found.organisation, found.owner) == (organisation, owner)


def test_two_records_are_none() -> None:
    two = Records(("v=DMARC1; p=none", "v=DMARC1; p=reject"))
    found = walk("a.test", {"a.test": two, "test": Records()})
    assert found == Walk("a.test")


def test_no_answer_is_not_no_record() -> None:
    lost = NoAnswer("timeout")
    record = Records(("v=DMARC1; p=none",))
    assert walk("a.test", {"a.test": Records(), "test": lost}) == lost
    found = walk("a.test", {"a.test": record, "test": lost})  # it has its own
    assert isinstance(found, Walk)
    assert found.owner == "a.test"


def test_alignment() -> None:
    same, other = ("a.test", "a.test"), ("a.test", "b.test")
    assert is_aligned("a.test", "bounce.a.test", is_strict=False, organisations=same)
    assert not is_aligned("a.test", "bounce.a.test", is_strict=True, organisations=same)
    assert is_aligned("a.test", "a.test", is_strict=True, organisations=same)
    assert not is_aligned("a.test", "b.test", is_strict=False, organisations=other)
