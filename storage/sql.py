"""Small pieces of SQL text for lists of values. Values themselves are always parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from mta.core import json_text

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar("T")

CHUNK = 500
"""Values in one IN (...): far below what any SQL database allows."""
MAX_ROWS = 64
"""Rows of one INSERT. Fewer go in powers of two, so that there are few statements to prepare."""


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


def insert(
    connection: Connection,
    table: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
) -> int:
    """Insert rows, in their order, with few statements; return the row id of the first.

    The others have the numbers that follow, where the table has row ids and the rows do not give
    them: each is one more than the largest (sqlite.org/autoinc.html). For no rows the return value
    says nothing.

    Args:
        connection: of a write.
        table: its name.
        columns: names of the columns that each row gives.
        rows: a value for each column.
    """
    start = last = 0
    while left := len(rows) - start:
        count = min(MAX_ROWS, 1 << left.bit_length() - 1)
        some = rows[start : start + count]
        values = tuple(chain.from_iterable(some))
        last = connection.execute(_insertion(table, columns, count), values).lastrowid or 0
        start += count
    return last - len(rows) + 1


@lru_cache(maxsize=128)
def _insertion(table: str, columns: tuple[str, ...], count: int) -> str:
    row = f"({marks(columns)})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * count)}"  # noqa: S608
