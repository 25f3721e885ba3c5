"""What reading damaged rows comes to, where one of them must not stop everybody else.

A list that is read for all tenants is read without them, and an email can be shown without its
tags. Both are logged. What asks for a single thing gets the error: there is nobody else to spare.
Damaged queue entries are held, with an event (quarantine.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, TypeVar, cast

from mta.core import json_text

T = TypeVar("T")
RowT = TypeVar("RowT", bound=tuple[Any, ...])

_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What functions that make records of rows raise for values that no release has written."""

logger = logging.getLogger(__name__)


def readable(what: str, rows: Iterable[RowT], record: Callable[[RowT], T]) -> list[T]:
    """Return what rows say, without those that cannot be read: each of these is logged, once.

    Args:
        what: of which things they are, for the log.
        rows: beginning with what tells a row from others.
        record: makes a record of a row.
    """
    found = []
    for row in rows:
        try:
            found.append(record(row))
        except _UNREADABLE as error:
            _tell(f"{what} {row[0]}: damaged, and left alone: {type(error).__name__}: {error}")
    return found


def json_or(otherwise: T, text: str) -> T:
    """Return the value of JSON text; something else for text that is damaged, which is logged."""
    try:
        return cast("T", json_text.decode(text))
    except json_text.JsonError as error:
        _tell(f"JSON of {len(text)} characters: damaged, and read as {otherwise!r}: {error}")
        return otherwise


@lru_cache(maxsize=1_000)
def _tell(text: str) -> None:
    """Log it; the cache is what keeps that from being done at each look."""
    logger.error("%s", text)
