"""Phrases: one form for all spellings, and linear time on the worst strings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.phrases import Phrase, PhraseIndex, normal_form, without_addresses


@pytest.mark.parametrize(
    ("phrase", "text", "expected"),
    [
        ("user unknown", "550 User Unknown.", True),
        ("user unknown", "USER_UNKNOWN", True),
        ("user unknown", "user is unknown", False),
        ("user * unknown", "user is unknown", True),
        ("user * unknown", "user unknown", True),
        ("user * unknown", "unknown user", False),
        ("full", "mailbox fully loaded", False),
        ("quota*", "overquota", False),
        ("quota*", "quotas exceeded", True),
        ("*quota", "overquota", True),
        ("5.7.1", "550 5.7.1 no", True),
        ("5.7.1", "550 5.7.10 no", False),
        ("boite pleine", "Boîte pleine", True),
        ("*宛先不明*", "エラー:宛先不明です", True),
        ("S3150", "block list (S3150)", True),
    ],
)
def test_phrases(phrase: str, text: str, *, expected: bool) -> None:
    assert Phrase.parse(phrase).is_in(normal_form(text)) is expected


@pytest.mark.parametrize("text", ["", " ", "*", "* *", "...", "_"])
def test_a_phrase_needs_a_word(text: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        Phrase.parse(text)


def test_addresses_are_left_out() -> None:
    text = "User <spam-rbl@virus.test> unknown"
    assert normal_form(without_addresses(text)) == " user unknown "


@given(st.lists(st.sampled_from(["user unknown", "mailbox * full", "quota*", "*quota", "5.1.1"])))
def test_the_index_finds_what_each_phrase_finds(words: list[str]) -> None:
    phrases = [Phrase.parse(word) for word in ("user unknown", "mailbox * full", "quota*")]
    form = normal_form(" ".join(words))
    expected = {number for number, phrase in enumerate(phrases) if phrase.is_in(form)}
    assert PhraseIndex(enumerate(phrases)).owners(form) == expected


@given(st.text(max_size=300))
def test_any_text_has_a_form(text: str) -> None:
    form = normal_form(without_addresses(text))
    assert form.startswith(" ")
    assert form.endswith(" ")
    assert "  " not in form.strip()


@pytest.mark.parametrize("unit", ["a b ", "mailbox ", "a", "user@", "@", "ﷺ"])
def test_a_megabyte_takes_no_time(unit: str) -> None:
    phrase = Phrase.parse("mailbox * is * a * b * full")
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    assert not phrase.is_in(text)
    assert not phrase.is_in(normal_form(without_addresses(text)))
    assert time.process_time() - started < 2
