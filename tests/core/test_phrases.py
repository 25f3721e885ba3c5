"""Phrases: one form for all spellings, and linear time on the worst strings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.phrases import Family, Phrase, PhraseIndex, normal_form, without_addresses


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
        ("ipv4 * banned", "192.0.2.1 is banned", True),
        ("ipv4", "version 1.2.3.4.5", False),
        ("user ~ unknown", "user unknown", True),
        ("user ~ unknown", "user is still quite unknown", True),
        ("user ~ unknown", "user who is said to be unknown", False),
        ("user ~ unknown", "user of a user of ours, unknown", True),
        ("user ~ not ~ found", "user could not be found", True),
        ("user ~ not ~ found", "not a user found", False),
        ("user ~ un*", "user is unknown", True),
    ],
)
def test_phrases(phrase: str, text: str, *, expected: bool) -> None:
    assert Phrase.parse(phrase).is_in(normal_form(text)) is expected


@pytest.mark.parametrize("text", ["", " ", "*", "* *", "...", "_"])
def test_a_phrase_needs_a_word(text: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        Phrase.parse(text)


def test_short_gaps_are_few() -> None:
    with pytest.raises(ValueError, match="short gaps"):
        Phrase.parse("a ~ b ~ c ~ d ~ e")
    with pytest.raises(ValueError, match="short gaps"):
        Family.parse("{a} ~ b ~ c ~ d ~ e", {"a": ["x"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("our user is gone", True),
        ("our mail-box, as they say, is gone", True),
        ("our mail box has gone", True),
        ("our mail is gone", False),
        ("user is gone", False),
    ],
)
def test_a_family_is_a_phrase_for_each_choice(text: str, *, expected: bool) -> None:
    lists = {"who": ["user", "mail box"], "gone": ["is gone", "has gone"]}
    index = PhraseIndex([], [(7, Family.parse("our {who} ~ {gone}", lists))])
    assert index.owners(normal_form(text)) == ({7} if expected else set())


def test_a_family_has_no_stars_and_no_unknown_lists() -> None:
    with pytest.raises(ValueError, match="beside a list"):
        Family.parse("{who} * gone", {"who": ["user"]})
    with pytest.raises(ValueError, match="not in"):
        Family.parse("{who} gone", {})


def test_addresses_are_left_out() -> None:
    text = "User <spam-rbl@virus.test> unknown"
    assert normal_form(without_addresses(text)) == " user unknown "


WORDS = ["user unknown", "mailbox * full", "quotas", "overquota", "so", "full", "qu", "宛先不明"]


@given(st.lists(st.sampled_from(WORDS)))
def test_the_index_finds_what_each_phrase_finds(words: list[str]) -> None:
    found = ("user unknown", "mailbox * full", "user ~ full", "user ~ so ~ full")
    found += ("quota*", "qu*", "qu* so*", "*quota", "*宛先不明*")
    phrases = [Phrase.parse(word) for word in found]
    form = normal_form(" ".join(words))
    expected = {number for number, phrase in enumerate(phrases) if phrase.is_in(form)}
    assert PhraseIndex(enumerate(phrases)).owners(form) == expected


@given(st.text(max_size=300))
def test_any_text_has_a_form(text: str) -> None:
    form = normal_form(without_addresses(text))
    assert form.startswith(" ")
    assert form.endswith(" ")
    assert "  " not in form.strip()


@pytest.mark.parametrize("unit", ["a b ", "mailbox ", "is full "])
def test_short_gaps_in_a_long_text_take_no_time(unit: str) -> None:
    lists = {"who": ["mailbox", "a"], "is": ["is", "a b"]}
    family = Family.parse("{who} ~ {is} ~ b ~ full", lists)
    index = PhraseIndex([(1, Phrase.parse("mailbox ~ is* ~ a ~ full"))], [(2, family)])
    started = time.process_time()
    assert not index.owners(normal_form(unit * 100_000))
    assert not Phrase.parse("mailbox ~ is* ~ a ~ full").is_in(unit * 100_000)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("unit", ["a b ", "mailbox ", "a", "user@", "@", "ﷺ"])
def test_a_megabyte_takes_no_time(unit: str) -> None:
    phrase = Phrase.parse("mailbox * is * a * b * full")
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    assert not phrase.is_in(text)
    assert not phrase.is_in(normal_form(without_addresses(text)))
    assert time.process_time() - started < 2
