"""Names with brackets, as PHP reads them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api.dialects.bodies import MAX_DEPTH, nested
from control_api.errors import ApiError


@pytest.mark.parametrize(
    ("pairs", "value"),
    [
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("a[b]", "1"), ("a[c]", "2")], {"a": {"b": "1", "c": "2"}}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[0][b]", "1"), ("a[1][b]", "2")], {"a": [{"b": "1"}, {"b": "2"}]}),
        ([("a[1]", "1")], {"a": {"1": "1"}}),  # no array begins with 1
        ([("a[1]", "1"), ("a[0]", "0")], {"a": {"1": "1", "0": "0"}}),
        ([("a[b]", "1"), ("a", "2")], {"a": "2"}),
        ([("a[b", "1"), ("]", "2"), ("", "3")], {"a[b": "1", "]": "2", "": "3"}),
        ([("a b[c.d]", "1")], {"a b": {"c.d": "1"}}),
        ([], {}),
    ],
)
def test_nested(pairs: list[tuple[str, str]], value: Any) -> None:
    assert nested(pairs) == value


@pytest.mark.parametrize(
    "pairs",
    [[("a", "1"), ("a[b]", "2")], [("a" + "[b]" * (MAX_DEPTH + 1), "1")]],
    ids=["a value and an object", "too deep"],
)
def test_what_cannot_be_read(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError):
        nested(pairs)


@given(st.lists(st.tuples(st.text("ab01[]", max_size=12), st.text(max_size=3)), max_size=20))
def test_any_names_are_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    with suppress(ApiError):
        found = nested(pairs)
        assert json.loads(json.dumps(found)) == found
