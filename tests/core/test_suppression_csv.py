"""Lists of suppressed addresses as CSV."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.suppression_csv import (
    MAX_ROW,
    BadRow,
    CsvError,
    Listed,
    Reader,
    csv_line,
    guarded,
    header,
    unguarded,
)


def read(text: str | bytes, size: int = 0) -> list[Listed | BadRow]:
    """Read a whole list, in pieces of so many bytes (0: all at once)."""
    data = text if isinstance(text, bytes) else text.encode()
    reader, found = Reader(), []
    for start in range(0, len(data), size or len(data) or 1):
        found += reader.feed(data[start : start + (size or len(data))])
    return found + reader.feed(b"", is_last=True)


def addresses(rows: list[Listed | BadRow]) -> list[str]:
    return [str(row.address) for row in rows if isinstance(row, Listed)]


@pytest.mark.parametrize(
    "text",
    [
        "email\na@b.test\nc@d.test\n",
        "email\r\na@b.test\r\nc@d.test",  # no line end at the end
        "\ufeffEmail\na@b.test\nc@d.test\n",  # as spreadsheets save it
        "a@b.test\nc@d.test\n",  # no header
        "name,Email Address\nAnn,a@b.test\nCid,c@d.test\n",
        'email,note\n"a@b.test","two\nlines"\n\n ,\nc@d.test,"a ""b"""\n',
        "email\n a@b.test \nc@D.test\n",
    ],
)
@pytest.mark.parametrize("size", [0, 1, 7])
def test_lists_of_many_forms_say_the_same(text: str, size: int) -> None:
    assert addresses(read(text, size)) == ["a@b.test", "c@d.test"]


def test_reason_and_end_are_read() -> None:
    text = (
        "expires_at,email,reason\n"
        "2030-01-01T00:00:00+01:00,a@b.test,Complaint\n"
        ",c@d.test,\n"
        "2030-01-01,e@f.test,\n"
        ",g@h.test,two words\n"
    )
    first, second, third, fourth = read(text)
    assert isinstance(first, Listed)
    assert (first.reason, first.expires_at) == (
        "complaint",
        datetime(2029, 12, 31, 23, tzinfo=UTC),
    )
    assert isinstance(second, Listed)
    assert (second.reason, second.expires_at) == ("manual", None)
    assert third == BadRow(3, "expires_at is not RFC 3339 with an offset.")
    assert fourth == BadRow(4, "the reason is not a word.")


def test_bad_rows_are_named_and_the_others_count() -> None:
    rows = read("email\na@b.test\nnonsense\n\nc@d.test\n")
    assert addresses(rows) == ["a@b.test", "c@d.test"]
    assert [row.row for row in rows if isinstance(row, BadRow)] == [2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"email\n\xff@b.test\n", "UTF-8"),
        (b"email\n\xc3", "UTF-8"),
        (b"name,phone\nx,1\n", "no column is called email"),
        (b'email\n"a@b.test\n', "do not end"),
        (b'email\n"' + b"x\n" * MAX_ROW, "do not end"),
        (b"email\n" + b"x" * (MAX_ROW + 1), "longer than"),
        (b"a\rb\rc", "no column"),
    ],
)
def test_what_is_no_list_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(CsvError, match=message):
        read(text, 1000)


def test_an_empty_list_is_one() -> None:
    assert read("") == read("email\n") == read("\n\n") == []


@pytest.mark.parametrize("cell", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "'=x", "'x"])
def test_no_cell_is_a_formula(cell: str) -> None:
    assert guarded(cell)[0] == "'"
    assert unguarded(guarded(cell)) == cell


@given(st.text())
def test_guarding_can_always_be_undone(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_rows_are_read_back_by_other_readers(cells: list[str]) -> None:
    [found] = list(csv.reader(StringIO(csv_line(cells), newline=""))) or [[]]
    assert found == ([guarded(cell) for cell in cells])


def test_what_is_written_can_be_read() -> None:
    odd = ["=1+1@b.test", "'quoted@b.test", '"a,b"@b.test', "-x@b.test", "jürgen@bücher.test"]
    text = header() + "".join(csv_line([one, "bounce"]) for one in odd)
    assert addresses(read(text)) == [
        one.replace("bücher.test", "xn--bcher-kva.test") for one in odd
    ]


@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_give_rows_or_our_error(data: bytes, size: int) -> None:
    reader = Reader()
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        reader.feed(b"", is_last=True)
    except CsvError:
        return
