"""What reaches the terminal, and in which form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.cli.output import (
    Styled,
    clock,
    distance,
    print_fields,
    print_line,
    print_table,
    printable,
    span,
    stamp,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, 123000, tzinfo=UTC)


@given(st.text())
def test_printable_text_is_one_line_without_controls(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Grüße", "Grüße"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202eevil", "\\u202eevil"),  # turns the rest of the line around
        ("\udcff", "\\udcff"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (timedelta(), "now"),
        (timedelta(milliseconds=900), "now"),
        (timedelta(seconds=90), "in 90 s"),
        (timedelta(minutes=5), "in 5 min"),
        (timedelta(hours=-4), "4 h ago"),
        (timedelta(days=-3), "3 d ago"),
    ],
)
def test_distances(away: timedelta, expected: str) -> None:
    assert distance(NOW + away, NOW) == expected


def test_times() -> None:
    assert span(timedelta(days=4)) == "4 d"
    assert clock(NOW) == "2026-11-20 12:00:00Z"
    assert clock(None) == "-"
    assert stamp(NOW) == "2026-11-20T12:00:00.123Z"
    assert stamp(None) is None


def test_without_a_terminal_nothing_is_folded_or_coloured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "x" * 300
    print_table(("NAME", "NUMBER>"), [(Styled(long, "bad"), "1"), ("[b]y[/b]", "22")])
    print_fields([("name", long)])
    print_line(Styled("good", "good"), long)
    assert capsys.readouterr().out.splitlines() == [
        "NAME" + " " * 298 + "NUMBER",
        long + " " * 7 + "1",
        "[b]y[/b]" + " " * 298 + "22",
        "name  " + long,
        "good " + long,
    ]
