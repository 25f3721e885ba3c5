"""Native lists read whole, for documents that show lists without pages."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from control_api.dialects.base import Answer, Ask

PAGE_SIZE = 500
MAX_PAGES = 20
"""Pages of a list that are read: 10,000 items."""


def all_of(path: str, params: Mapping[str, str] | None = None) -> Generator[Ask, Answer, list[Any]]:
    """Ask for a whole native list, 10,000 items at most."""
    found: list[Any] = []
    for number in range(1, MAX_PAGES + 1):
        query = {"page": str(number), "limit": str(PAGE_SIZE)}
        answer = yield Ask("GET", path, params or {}, query)
        found += answer.value["data"]
        if not answer.value["has_more"]:
            break
    return found
