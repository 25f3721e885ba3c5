import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4, looks_like_key

KEY = format_key(bytes(range(ENTROPY_SIZE)))


def test_form() -> None:
    assert KEY.startswith("mta_live_")
    assert len(KEY) == len("mta_live_") + 32 + 6
    assert format_key(bytes(ENTROPY_SIZE), is_test=True).startswith("mta_test_" + "0" * 32)
    assert last4(KEY) == KEY[-4:]
    assert key_hash(KEY) == hashlib.sha256(KEY.encode()).digest()


@given(st.binary(min_size=ENTROPY_SIZE, max_size=ENTROPY_SIZE), st.booleans())
def test_every_key_looks_like_one(entropy: bytes, is_test: bool) -> None:
    assert looks_like_key(format_key(entropy, is_test=is_test))


@given(st.integers(0, len(KEY) - 1), st.characters())
def test_one_wrong_character_is_noticed(position: int, character: str) -> None:
    typed = KEY[:position] + character + KEY[position + 1 :]
    assert looks_like_key(typed) is (typed == KEY)


def test_other_texts() -> None:
    for text in ("", KEY[:-1], KEY + "0", KEY + "\n", " " + KEY, KEY.replace("live", "test")):
        assert not looks_like_key(text)


@given(st.text(max_size=60))
def test_any_text_has_a_hash(text: str) -> None:
    assert len(key_hash(text)) == 32


def test_wrong_entropy() -> None:
    with pytest.raises(ValueError):
        format_key(b"short")
