from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.ids import milliseconds, moment, new_id, number_of, numbered_id, ulid

MS = st.integers(0, (1 << 48) - 1)


def test_known_ulid() -> None:
    # The time part of the example in the ULID specification: 01ARYZ6S41.
    assert ulid(1469918176385, bytes(10)) == "01ARYZ6S41" + "0" * 16
    assert ulid((1 << 48) - 1, b"\xff" * 10) == "7" + "Z" * 25
    assert ulid(0, bytes(9) + b"\x20") == "0" * 24 + "10"


def test_bad_ulid() -> None:
    for at_ms, entropy in ((0, b"short"), (-1, bytes(10)), (1 << 48, bytes(10))):
        with pytest.raises(ValueError):
            ulid(at_ms, entropy)


@given(MS, MS)
def test_ids_sort_by_time(one: int, other: int) -> None:
    assert (ulid(one, b"\xff" * 10) < ulid(other, bytes(10))) is (one < other)


@given(st.sampled_from(["em", "dl", "dom"]), MS, st.integers(0, (1 << 63) - 1))
def test_number_round_trip(prefix: str, at_ms: int, number: int) -> None:
    assert number_of(numbered_id(prefix, at_ms, number), prefix) == number


@pytest.mark.parametrize(
    ("identifier", "reason"),
    [
        ("", "nothing"),
        ("em_", "no ULID"),
        ("dl_" + "0" * 26, "another prefix"),
        ("EM_" + "0" * 26, "prefixes are lower case"),
        ("em_" + "0" * 25, "short"),
        ("em_" + "0" * 27, "long"),
        ("em_" + "0" * 25 + "U", "not in the alphabet"),
        ("em_" + "0" * 25 + "a", "lower case"),
        ("em_" + "0" * 25 + "\n", "line end"),
        ("em-" + "0" * 26, "no underscore"),
        (new_id("em", 0, b"\xff" * 10), "random: no row has that number"),
        (numbered_id("em", 0, 1 << 63), "beyond what SQLite holds"),
    ],
)
def test_not_a_numbered_id(identifier: str, reason: str) -> None:
    assert number_of(identifier, "em") is None, reason


@given(st.text())
def test_any_text_is_a_number_or_none(text: str) -> None:
    for identifier in (text, "em_" + text, ("em_" + text + "0" * 26)[:29]):
        assert number_of(identifier, "em") is None or len(identifier) == 29


@given(MS)
def test_time_round_trip(ms: int) -> None:
    if ms < 253_402_300_800_000:  # the year 10000, where datetime ends
        assert milliseconds(moment(ms)) == ms


def test_milliseconds() -> None:
    at = datetime(2030, 1, 1, 12, 0, 0, 123_999, UTC)
    assert milliseconds(at) == 1_893_499_200_123
    assert milliseconds(at.astimezone(timezone(timedelta(hours=5)))) == 1_893_499_200_123
    assert moment(1_893_499_200_123) == at.replace(microsecond=123_000)
