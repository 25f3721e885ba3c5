"""What FlushIt's calls have in common: fields under other names, pages, lists without pages."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from control_api.dialects.base import Act, Answer, Ask, Asked, Reply, Steps

UNCOUNTED = 1_000_000_000
"""Credits of a tenant while nobody counts them: clients compare them with what a job costs."""
PAGE_SIZE = 500
MAX_PAGES = 20
"""Pages of a list that the document shows whole: 10,000 items."""


def picked(value: Mapping[str, Any], *same: str, **renamed: str) -> dict[str, Any]:
    """Return fields of a native object: some by the same name, some (new="old") by another."""
    return {name: value[name] for name in same} | {
        name: value[native] for name, native in renamed.items()
    }


def numbered(query: Mapping[str, str]) -> dict[str, str]:
    """Return what to ask a native list for, for a page that is asked for by its number."""
    return {
        "page": query.get("page") or "1",
        "limit": query.get("limit", ""),
        "include": "total",
    }


def page_of(query: Mapping[str, str]) -> int:
    """Return the number of the page; the native API has found that it is one."""
    return int(query.get("page") or 1)


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


def deleted(path: str) -> Act:
    """Return what deletes one of a native resource; 404 for what is not there."""

    def act(asked: Asked) -> Steps:
        yield Ask("GET", path, asked.path)
        yield Ask("DELETE", path, asked.path)
        return Reply({"success": True})

    return act
