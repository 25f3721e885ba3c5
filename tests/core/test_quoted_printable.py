"""Quoted-printable, read back with the standard library's decoder."""

from __future__ import annotations

from binascii import a2b_qp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.quoted_printable import encode, is_literal, least_size

ASCII = st.text(st.sampled_from("ab= \t.3D"), max_size=200)
ANY = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))


@given(st.lists(ASCII | ANY))
def test_lines_come_back_as_they_were(lines: list[str]) -> None:
    text = "".join(f"{line}\r\n" for line in lines).encode()
    encoded = encode(text)
    assert a2b_qp(encoded) == text
    assert encoded.isascii()
    unbroken = encoded.replace(b"=\r\n", b"")
    assert unbroken.count(b"\r\n") == len(lines)
    assert len(text) <= least_size(text) <= len(unbroken)
    for line in encoded.split(b"\r\n"):
        assert len(line) <= 76
        assert not line.endswith((b" ", b"\t"))


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        (b"", b""),
        (b"1 + 1 = 2\r\n", b"1 + 1 =3D 2\r\n"),
        (b"a" * 76 + b"\r\n", b"a" * 76 + b"\r\n"),
        (b"a" * 77 + b"\r\n", b"a" * 75 + b"=\r\naa\r\n"),
        (b"a" * 74 + b"==\r\n", b"a" * 74 + b"=\r\n=3D=3D\r\n"),
        (b"a" * 72 + b"=bb\r\n", b"a" * 72 + b"=3D=\r\nbb\r\n"),
        (b"two  \r\n\ttabs\t\t\r\n", b"two =20\r\n\ttabs\t=09\r\n"),
        (b"bell \a\r\n", b"bell =07\r\n"),
        ("café\r\n".encode(), b"caf=C3=A9\r\n"),
    ],
)
def test_encoded(text: bytes, encoded: bytes) -> None:
    assert encode(text) == encoded


@pytest.mark.parametrize(
    ("text", "is_it"),
    [(b"", True), (b"a ~\t=\r\n", True), (b"\x00", False), (b"\x7f", False), (b"\xe9", False)],
)
def test_is_literal(text: bytes, *, is_it: bool) -> None:
    assert is_literal(text) is is_it
