"""Tokens that confirm a membership."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.confirmation import LIFETIME, Confirmation, read_token, token
from mta.core.unsubscribe import Unsubscribe
from mta.core.unsubscribe import token as unsubscribe_token

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32
WISH = Confirmation(7, NOW)


@given(st.integers(0, 2**48 - 1), st.datetimes(datetime(1971, 1, 1), datetime(2400, 1, 1)))  # noqa: DTZ001
def test_there_and_back(row: int, at: datetime) -> None:
    asked = Confirmation(row, at.replace(tzinfo=UTC, microsecond=0))
    assert read_token(token(asked, NEW), [NEW]) == asked


def test_tokens_of_an_older_secret_work() -> None:
    assert read_token(token(WISH, OLD), [NEW, OLD]) == WISH
    assert read_token(token(WISH, OLD), [NEW]) is None


def test_tokens_are_for_links() -> None:
    text = token(WISH, NEW)
    assert len(text) == 36
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.integers(0, 35), st.characters(codec="ascii"))
def test_another_letter_is_another_token(place: int, letter: str) -> None:
    text = token(WISH, NEW)
    changed = text[:place] + letter + text[place + 1 :]
    assert (read_token(changed, [NEW]) is None) is (changed != text)


@given(st.text(max_size=50))
def test_any_text_is_read(text: str) -> None:
    assert read_token(text, [NEW]) is None


def test_tokens_of_other_links_are_none() -> None:
    assert read_token(unsubscribe_token(Unsubscribe(1, 7), NEW), [NEW]) is None
    assert read_token(unsubscribe_token(Unsubscribe(1, 7, "x"), NEW), [NEW]) is None


def test_links_end() -> None:
    assert not WISH.is_over(NOW + LIFETIME)
    assert WISH.is_over(NOW + LIFETIME + timedelta(seconds=1))


@pytest.mark.parametrize("row", [-1, 2**48])
def test_numbers_out_of_range(row: int) -> None:
    with pytest.raises(ValueError, match="range"):
        token(Confirmation(row, NOW), NEW)
