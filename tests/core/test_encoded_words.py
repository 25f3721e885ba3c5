"""Encoded words: short enough, whole characters, and the text comes back."""

from __future__ import annotations

import re
from email.header import decode_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.encoded_words import MAX_WORD, chunks, encode_words

WORD = re.compile(r"=\?utf-8\?(q\?[!*+/0-9A-Za-z=_-]+|b\?[0-9A-Za-z+/]+={0,2})\?=")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Zoë", ["=?utf-8?q?Zo=C3=AB?="]),
        ("a b", ["=?utf-8?q?a_b?="]),
        ("_abcdefgh=ijklm?n", ["=?utf-8?q?=5Fabcdefgh=3Dijklm=3Fn?="]),
        ("日本", ["=?utf-8?b?5pel5pys?="]),
        ("é" * 3, ["=?utf-8?b?w6nDqcOp?="]),
    ],
    ids=["Q", "space", "Q's own signs", "B", "B is shorter"],
)
def test_examples(text: str, words: list[str]) -> None:
    assert encode_words(text) == words


@given(TEXT)
def test_words_are_well_formed_and_hold_whole_characters(text: str) -> None:
    decoded = ""
    for word in encode_words(text):
        assert WORD.fullmatch(word)
        assert len(word) <= MAX_WORD
        [(octets, charset)] = decode_header(word)
        decoded += octets.decode(charset)
    assert decoded == text


@given(TEXT)
def test_no_other_encoding_would_be_shorter(text: str) -> None:
    octets = text.encode()
    safe = re.compile(rb"[A-Za-z0-9!*+/ -]")
    quoted = sum(1 if safe.fullmatch(octets[i : i + 1]) else 3 for i in range(len(octets)))
    uses_q = encode_words(text)[0].startswith("=?utf-8?q?")
    assert uses_q == (quoted <= -(-len(octets) // 3) * 4)


@given(st.text(), st.integers(min_value=4, max_value=20))
def test_chunks_are_the_text_in_pieces_that_fit(text: str, room: int) -> None:
    text = text.encode("utf-8", "replace").decode()
    pieces = list(chunks(text, room, str.encode))
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= room for piece in pieces)
