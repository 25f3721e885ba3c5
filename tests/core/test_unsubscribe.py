"""Unsubscribe tokens and header fields (L02, L04)."""

from __future__ import annotations

import base64
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import parse_address
from mta.core.header import Field
from mta.core.header_writer import header_block, plain
from mta.core.return_path import Purpose, ReturnPath, encode
from mta.core.seal import seal
from mta.core.unsubscribe import (
    MAX_SCOPE,
    MAX_URL,
    Unsubscribe,
    header_fields,
    read_token,
    token,
)

NEW, OLD, FOREIGN = b"new secret of 20 oct", b"old secret of 20 oct", b"somebody else's, 24 oct."
DAY = date(2030, 1, 1)
WISH = Unsubscribe(tenant_id=3, entry_number=4711, scope="newsletter")
TOKEN = token(WISH, NEW)

wishes = st.builds(
    Unsubscribe,
    tenant_id=st.integers(0, 2**32 - 1),
    entry_number=st.integers(0, 2**48 - 1),
    scope=st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_SCOPE // 4),
)


@given(wishes)
def test_round_trip(wish: Unsubscribe) -> None:
    text = token(wish, NEW)
    assert re.fullmatch(r"[A-Za-z0-9_-]{35,206}", text)
    assert read_token(text, [OLD, NEW]) == wish
    assert read_token(text, [OLD]) is None
    assert read_token(text, []) is None


def test_longest_scope() -> None:
    wish = Unsubscribe(2**32 - 1, 2**48 - 1, "x" * MAX_SCOPE)
    assert read_token(token(wish, NEW), [NEW]) == wish


@given(wishes, st.data())
def test_one_other_character_is_refused(wish: Unsubscribe, data: st.DataObject) -> None:
    text = token(wish, NEW)
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters() | st.sampled_from("ABCDwxyz0189-_"))
    changed = text[:position] + letter + text[position + 1 :]
    assert (read_token(changed, [NEW]) is None) == (changed != text)


@given(wishes, st.data())
def test_truncated(wish: Unsubscribe, data: st.DataObject) -> None:
    text = token(wish, NEW)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    assert (read_token(text[start:end], [NEW]) is None) == (text[start:end] != text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN + "=",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN + "A",
        TOKEN.swapcase(),
        TOKEN * 9,
        "A" * 1_000_000,
        token(WISH, FOREIGN),
        encode(ReturnPath(4711, 3, DAY), NEW),
    ],
)
def test_every_bad_token_gets_the_one_answer(text: str) -> None:
    assert read_token(text, [NEW]) is None


def test_tokens_of_other_tenants_entries_and_scopes_do_not_mix() -> None:
    sealed = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    for payload in (b"\0\0\0\4" + sealed[20:], sealed[16:] + b"s", sealed[16:-1]):
        forged = base64.urlsafe_b64encode(sealed[:16] + payload).decode().rstrip("=")
        assert read_token(forged, [NEW]) is None


def test_the_seal_of_an_address_is_none_of_a_link() -> None:
    payload = bytes(10)
    mac = seal(NEW, b"return path u", payload, 16)
    assert read_token(base64.urlsafe_b64encode(mac + payload).decode().rstrip("="), [NEW]) is None


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_-]{35,206}", fullmatch=True))
def test_any_text_has_an_answer(text: str) -> None:
    assert read_token(text, [NEW]) is None


@pytest.mark.parametrize(
    "wish",
    [
        Unsubscribe(-1, 1),
        Unsubscribe(2**32, 1),
        Unsubscribe(1, -1),
        Unsubscribe(1, 2**48),
        Unsubscribe(1, 1, "x" * (MAX_SCOPE + 1)),
        Unsubscribe(1, 1, "é" * (MAX_SCOPE // 2 + 1)),
        Unsubscribe(1, 1, "\ud800"),
    ],
)
def test_out_of_range(wish: Unsubscribe) -> None:
    with pytest.raises(ValueError):
        token(wish, NEW)


def test_header_fields_for_one_click() -> None:
    link, mailto = "https://mail.example.com/u/abc", parse_address("u-abc@bounce.example.com")
    assert header_fields(link, mailto) == (
        (
            "List-Unsubscribe",
            f"<{link}>, <mailto:u-abc@bounce.example.com?subject=unsubscribe>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


def test_header_fields_without_an_address() -> None:
    assert header_fields("https://mail.example.com/u/abc", None)[0] == (
        "List-Unsubscribe",
        "<https://mail.example.com/u/abc>",
    )


def test_one_click_needs_https() -> None:
    names = [name for name, _ in header_fields("http://127.0.0.1:8025/u/abc", None)]
    assert names == ["List-Unsubscribe"]


@pytest.mark.parametrize(
    ("local", "encoded"),
    [('"a b"', "%22a%20b%22"), ("zoë", "zo%C3%AB"), ("a?b&c", "a%3Fb%26c"), ("a%b", "a%25b")],
)
def test_the_address_is_percent_encoded(local: str, encoded: str) -> None:
    fields = header_fields("https://a.example/", parse_address(f"{local}@example.com"))
    assert f"<mailto:{encoded}@example.com?subject=unsubscribe>" in fields[0][1]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "mailto:a@example.com",
        "javascript:alert(1)",
        "HTTPS://a.example/",
        "//a.example/u",
        "https://a.example/u\r\nBcc: x@example.com",
        "https://a.example/u\n",
        "https://a.example/>,<mailto:x@example.com",
        "https://a.example/a,b",
        "https://a.example/a b",
        "https://a.example/(a)",
        "https://a.example/é",
        "https://user:password@a.example/",
        "https://a.example/u#top",
        "https://a.example/" + "x" * MAX_URL,
    ],
)
def test_what_is_no_link(url: str) -> None:
    with pytest.raises(ValueError, match="List-Unsubscribe"):
        header_fields(url, None)


@given(wishes)
def test_the_fields_fit_into_a_header(wish: Unsubscribe) -> None:
    link = f"https://{'a' * 60}.example/u/{token(wish, NEW)}"
    local = encode(
        ReturnPath(wish.entry_number, wish.tenant_id, DAY),
        NEW,
        purpose=Purpose.UNSUBSCRIBE,
    )
    fields = header_fields(link, parse_address(f"{local}@bounce.example.com"))
    block = header_block([(name, plain(value)) for name, value in fields])
    assert block.replace(b"\r\n ", b" ").count(b"\r\n") == 2
    for name, value in fields:
        assert Field.of(name.encode(), value.encode()).value.decode() == value
