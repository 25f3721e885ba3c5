from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.json_text import JsonError, decode, encode

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_round_trip(value: object) -> None:
    assert decode(encode(value)) == value


def test_encode() -> None:
    assert encode({"a": [1, None, "é"]}) == '{"a":[1,null,"é"]}'.encode()
    assert encode(datetime(2030, 1, 1, tzinfo=UTC)) == b'"2030-01-01T00:00:00Z"'
    for value in ("\udcff", object()):
        with pytest.raises((ValueError, TypeError)):
            encode(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "nothing"),
        (b"{", "cut"),
        (b"{} x", "more than one value"),
        (b"{'a':1}", "quotes of another language"),
        (b"[1,]", "trailing comma"),
        (b"NaN", "not JSON"),
        (b"1e999", "beyond a double"),
        (b'"\xff"', "not UTF-8"),
        (b'"\\ud800"', "half a surrogate pair"),
        ('"\ud800"', "half a surrogate pair"),
        (b"[" * 100_000, "depth"),
        (b'{"a":' * 100_000, "depth"),
    ],
)
def test_not_json(text: bytes | str, reason: str) -> None:
    with pytest.raises(JsonError) as caught:
        decode(text)
    assert str(caught.value).isprintable(), reason


@given(st.one_of(st.binary(), st.text(), st.text(alphabet='[]{}",:\\u0d8 ')))
def test_any_text_is_a_value_or_our_error(text: bytes | str) -> None:
    try:
        encode(decode(text))
    except JsonError:
        return
