"""Drafts that cannot become a message, and text that tries to become a header (H04, H05, H14)."""

from __future__ import annotations

import email
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.mime import Attachment, ComposeError, Draft, Mailbox, compose
from tests.core.test_mime import ANT, BEE, DRAFT, LOGO, PDF

BREAKS = ["\r", "\n", "\r\n", "\0", "\v", "\f", "\x1b", "\x1c", "\x1d", "\x1e", "\x7f"]
BREAKS += ["\x85", "\u2028", "\u2029", "\udc0a", "\t"]
USUAL = {"From", "To", "Subject", "Date", "Message-ID", "MIME-Version"}
USUAL |= {"Content-Type", "Content-Transfer-Encoding"}


def with_name(name: str) -> Mailbox:
    return replace(BEE, name=name)


def with_file(**changes: str) -> Draft:
    return replace(DRAFT, attachments=(PDF, replace(LOGO, **changes)))  # type: ignore[arg-type]


PLACES = {
    "from": lambda text: replace(DRAFT, from_=with_name(text)),
    "to[1]": lambda text: replace(DRAFT, to=(BEE, with_name(text))),
    "cc[0]": lambda text: replace(DRAFT, cc=(with_name(text),)),
    "reply_to[0]": lambda text: replace(DRAFT, reply_to=(with_name(text), BEE)),
    "subject": lambda text: replace(DRAFT, subject=text),
    "headers": lambda text: replace(DRAFT, headers=((text, "a"),)),
    "headers.X-Tag": lambda text: replace(DRAFT, headers=(("X-Tag", text),)),
    "headers.List-Unsubscribe": lambda text: replace(DRAFT, headers=(("List-Unsubscribe", text),)),
    "message_id": lambda text: replace(DRAFT, message_id=text),
    "attachments[1].filename": lambda text: with_file(filename=text),
    "attachments[1].content_type": lambda text: with_file(content_type=text),
    "attachments[1].content_id": lambda text: with_file(content_id=text),
    "attachments[1].disposition": lambda text: with_file(disposition=text),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("character", BREAKS, ids=ascii)
def test_h04_no_line_ends_and_controls_anywhere(place: str, character: str) -> None:
    for text in (f"a{character}Bcc: elk@evil.example", f"a{character}", f"{character}a"):
        with pytest.raises(ComposeError) as caught:
            compose(PLACES[place](text), boundary_seed="seed")
        assert caught.value.field == place
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", PLACES)
@given(text=st.text())
def test_h04_whatever_the_text_the_header_has_exactly_its_fields(place: str, text: str) -> None:
    draft = PLACES[place](text)
    try:
        data = compose(draft, boundary_seed="seed")
    except ComposeError:
        return
    names = email.message_from_bytes(data).keys()
    expected = USUAL | {name for name, _ in draft.headers}
    expected |= {"Cc"} if draft.cc else set()
    expected |= {"Reply-To"} if draft.reply_to else set()
    expected -= {"Content-Transfer-Encoding"} if draft.attachments else set()
    assert len(names) == len(set(names))
    assert set(names) == expected


@pytest.mark.parametrize("text", ["{0.__class__}", "%s%n", "{{7*7}}", "${7*7}", "#{7*7}", "$(id)"])
def test_h14_templates_are_only_text(text: str) -> None:
    draft = replace(DRAFT, subject=text, text=text, headers=(("X-Tag", text),))
    header, _, body = compose(draft, boundary_seed="seed").partition(b"\r\n\r\n")
    assert f"\r\nSubject: {text}\r\n".encode() in header
    assert f"\r\nX-Tag: {text}\r\n".encode() in header
    assert body == f"{text}\r\n".encode()


@pytest.mark.parametrize(
    "name",
    [
        *("From", "to", "CC", "bcc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version"),
        *("Content-Type", "content-transfer-encoding", "Content-Anything", "Received"),
        *("Return-Path", "DKIM-Signature", "DomainKey-Signature", "Authentication-Results"),
        *("Resent-From", "ARC-Seal", "X-MTA-Tag"),
    ],
)
def test_h05_protected_names(name: str) -> None:
    with pytest.raises(ComposeError, match=f"^headers.{name}: is set by the engine"):
        compose(replace(DRAFT, headers=((name, "a"),)), boundary_seed="seed")


@pytest.mark.parametrize(
    "name", ["", " ", "X Y", "X:", "X: y\r\nBcc", "Bcc\n", "-X", "Ünicode", "X.Y", "a" * 77, "(x)"]
)
def test_h05_names_outside_the_grammar(name: str) -> None:
    with pytest.raises(ComposeError, match="is not a header name") as caught:
        compose(replace(DRAFT, headers=((name, "a"),)), boundary_seed="seed")
    assert caught.value.field == "headers"


def test_h05_a_name_given_twice() -> None:
    headers = (("X-Tag", "a"), ("x-tag", "b"))
    with pytest.raises(ComposeError, match=r"^headers\.x-tag: is given twice$"):
        compose(replace(DRAFT, headers=headers), boundary_seed="seed")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("List-Unsubscribe", "<https://example.com/ü>"),
        ("References", "<ü@example.com>"),
        ("List-Unsubscribe", f"<https://example.com/{'a' * 900}>"),
    ],
)
def test_values_that_an_encoded_word_would_spoil(name: str, value: str) -> None:
    with pytest.raises(ComposeError, match=f"^headers.{name}: must be ASCII in words"):
        compose(replace(DRAFT, headers=((name, value),)), boundary_seed="seed")


def test_values_that_only_look_encoded_stay_as_they_are() -> None:
    headers = (("List-Unsubscribe", "<https://example.com/?a=?b>"),)
    data = compose(replace(DRAFT, headers=headers), boundary_seed="seed")
    assert b"\r\nList-Unsubscribe: <https://example.com/?a=?b>\r\n" in data


@pytest.mark.parametrize(
    ("field", "draft"),
    [
        ("text", replace(DRAFT, text=None)),
        ("text", replace(DRAFT, text=None, attachments=(PDF,))),
        ("text", replace(DRAFT, text="a\ud800")),
        ("html", replace(DRAFT, html="a\udfff")),
        ("message_id", replace(DRAFT, message_id="1@example.com")),
        ("message_id", replace(DRAFT, message_id="<1>")),
        ("message_id", replace(DRAFT, message_id=f"<{'1' * 900}@example.com>")),
        ("attachments[1].content_type", with_file(content_type="png")),
        ("attachments[1].content_type", with_file(content_type="a/b; c")),
        ("attachments[1].content_type", with_file(content_type="multipart/mixed")),
        ("attachments[1].content_type", with_file(content_type="a/" + "b" * 300)),
        ("attachments[1].content_id", with_file(content_id="a b")),
        ("attachments[1].content_id", with_file(content_id="<a>\r\n")),
        ("attachments[1].content_id", with_file(content_id="a" * 201)),
        ("attachments[1].disposition", with_file(disposition="form-data")),
        ("attachments[1].filename", with_file(filename="a" * 256)),
        ("headers", replace(DRAFT, subject="a " * 60_000)),
        ("headers", replace(DRAFT, headers=tuple((f"X-{n}", "a") for n in range(1000)))),
    ],
)
def test_what_else_is_refused(field: str, draft: Draft) -> None:
    with pytest.raises(ComposeError) as caught:
        compose(draft, boundary_seed="seed")
    assert caught.value.field == field


def test_the_longest_that_is_allowed() -> None:
    draft = replace(
        DRAFT,
        from_=Mailbox("Ä" * 2000, ANT.address),
        subject="日" * 2000,
        headers=(("X-" + "a" * 74, "b" * 2000),),
        attachments=(Attachment("本" * 255, b"", "application/" + "x" * 240),),
    )
    data = compose(draft, boundary_seed="seed")
    assert max(map(len, data.split(b"\r\n"))) <= 998
