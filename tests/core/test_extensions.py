from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.extensions import Extensions


def test_all_of_them() -> None:
    lines = "PIPELINING", "SIZE 1000", "8bitmime", "SMTPUTF8", "DSN", "STARTTLS", "AUTH PLAIN LOGIN"
    assert Extensions.of("\n".join(["mx.test greets you", *lines])) == Extensions(
        size=True,
        max_size=1000,
        pipelining=True,
        eight_bit=True,
        smtputf8=True,
        dsn=True,
        starttls=True,
        auth=frozenset({"PLAIN", "LOGIN"}),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Extensions()),
        ("PIPELINING", Extensions()),  # the first line is a greeting, whatever it says
        ("x\nSIZE", Extensions(size=True)),
        ("x\nSIZE 0", Extensions(size=True)),
        ("x\nSIZE huge", Extensions(size=True)),
        ("x\nSIZE ٣", Extensions(size=True)),
        ("x\nSIZE " + "9" * 5000, Extensions(size=True)),
        ("x\n\n \nXPIPELINING\nPIPELININGX", Extensions()),
        ("x\nAUTH=LOGIN\nAUTH PLAIN", Extensions(auth=frozenset({"LOGIN", "PLAIN"}))),
        ("x\n" + "\n".join(f"X{i}" for i in range(10_000)), Extensions()),
    ],
)
def test_odd_answers(text: str, expected: Extensions) -> None:
    assert Extensions.of(text) == expected


@given(st.text())
def test_any_text_gives_extensions(text: str) -> None:
    assert isinstance(Extensions.of(text), Extensions)
