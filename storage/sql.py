"""Small pieces of SQL text for lists of values. Values themselves are always parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from mta.core import json_text

T = TypeVar("T")

CHUNK = 500
"""Values in one IN (...): far below what any SQL database allows."""


def marks(values: Sequence[object]) -> str:
    """Return "?, ?, ?": a parameter mark for each value."""
    return ", ".join("?" * len(values))


def given(rows: Sequence[object]) -> str:
    """Return the one parameter of `json_each(?) AS given`: values, or tuples of columns.

    A statement then takes as many rows as there are, `given.value ->> 0` being the first column.

    Raises:
        ValueError: text with a lone surrogate.
    """
    return json_text.encode(rows).decode()


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the values in slices of at most CHUNK; nothing when there are none."""
    for start in range(0, len(values), CHUNK):
        yield values[start : start + CHUNK]
