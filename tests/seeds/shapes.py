"""Comparing answers with what a document shows of them: keys and types, nested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


def row(*ids: str) -> pytest.MarkDecorator:
    """Mark a test as proof of rows."""
    return pytest.mark.row(*ids)


def assert_shape(value: Any, shape: Any, where: str = "answer") -> None:
    """Check that a value has every key that the shape names, with a value of its type.

    A shape is a type, a tuple of types, a value that is meant exactly, an object of shapes, or a
    list with the one shape that all items have (then there is at least one item). Keys that a
    shape does not name may be there.
    """
    match shape:
        case Mapping():
            assert isinstance(value, dict), f"{where} is {value!r}"
            for key, inner in shape.items():
                assert key in value, f"{where} has no {key}: {value}"
                assert_shape(value[key], inner, f"{where}.{key}")
        case [inner]:
            assert isinstance(value, list), f"{where} is {value!r}"
            assert value, f"{where} is empty"
            for index, item in enumerate(value):
                assert_shape(item, inner, f"{where}[{index}]")
        case type() | tuple():
            assert isinstance(value, shape), f"{where} is {value!r}"
            if bool not in (shape if isinstance(shape, tuple) else (shape,)):
                assert not isinstance(value, bool), f"{where} is {value!r}"
        case _:
            assert value == shape, f"{where} is {value!r}"
