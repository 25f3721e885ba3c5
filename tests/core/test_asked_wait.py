"""How long texts ask to wait, in their many ways of saying so."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.asked_wait import DISTANT, asked_wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("try again in 5 minutes", 300),
        ("Greylisted for 300s", 300),
        ("try again in 1 hour(s) 25 minute(s) and see", 5100),
        ("come back in 4m30s", 270),
        ("please try again in 0 hours 14 minutes", 840),
        ("retry in 2 hours, 5 minutes and 1 second", 7501),
        ("retry in 5-10 minutes", 600),
        ("try again after 00:14:59", 899),
        ("please try again 15min later", 900),
        ("retry 300 seconds later", 300),
        ("Bitte versuchen Sie es in 5 Minuten erneut", 300),
        ("nach 2 Stunden", 7200),
        ("réessayez dans 10 minutes", 600),
        ("intente de nuevo en 30 segundos", 30),
        ("riprovare tra 2 ore", 7200),
        ("повторите через 15 минут", 900),
        ("повторите через 2 часа", 7200),
        ("in 3 days", None),
        ("in 99 hours", None),
        ("99 hours later", None),
        ("in 0 seconds", None),
        ("in 12:34", None),
        ("in 5 messages", None),
        ("in 5 milliseconds", None),
        ("more than 500 per hour", None),
        ("see you later", None),
        ("", None),
    ],
)
def test_asked_wait(text: str, seconds: int | None) -> None:
    assert asked_wait(text) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(alphabet="in 0123456789:-smh,.later(ч)", max_size=200))
def test_a_wait_is_some_time_and_not_distant(text: str) -> None:
    wait = asked_wait(text)
    assert wait is None or timedelta() < wait <= DISTANT


@pytest.mark.parametrize("unit", ["in 1", "in 5 ", "1 m", "in 00:", "1-2-", "9" * 50])
def test_a_long_text_takes_no_time(unit: str) -> None:
    started = time.process_time()
    asked_wait(unit * 100_000)
    assert time.process_time() - started < 2
