"""What FlushIt's calls have in common: fields under other names, and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.dialects.base import Act, Ask, Asked, Reply, Steps

UNCOUNTED = 1_000_000_000
"""Credits of a tenant while nobody counts them: clients compare them with what a job costs."""


def fields_of(value: Mapping[str, Any], *same: str, **renamed: str) -> dict[str, Any]:
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


def deleted(path: str) -> Act:
    """Return what deletes one of a native resource; 404 for what is not there."""

    def act(asked: Asked) -> Steps:
        yield Ask("GET", path, asked.path)
        yield Ask("DELETE", path, asked.path)
        return Reply({"success": True})

    return act
