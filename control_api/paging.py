"""Pages of lists: ?limit=&after=&before= in, {"object": "list", "data", "has_more"} out.

A cursor is the id of the last (or first) item of the page before, so a page costs the same wherever
it is and does not shift when new items arrive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from control_api.fields import Fields

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_LIMIT = re.compile(r"[0-9]{1,3}")
_ID = re.compile(r"[a-z]{2,3}_[0-9A-HJKMNP-TV-Z]{26}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is asked for.

    Attributes:
        limit: items at most, 1 to MAX_LIMIT.
        after: go on after the item with this id, "" for the start.
        before: the items just before the one with this id, "" for no such wish.
    """

    limit: int
    after: str
    before: str

    @property
    def reach(self) -> int:
        """How many items to ask storage for: one more than the page tells that there are more."""
        return self.limit + 1

    def render(self, found: Sequence[T], serialize: Callable[[T], object]) -> dict[str, object]:
        """Return the list object for up to `reach` items, in the order of the list."""
        shown = found[-self.limit :] if self.before else found[: self.limit]
        return {
            "object": "list",
            "data": [serialize(item) for item in shown],
            "has_more": len(found) > self.limit,
        }


def render_walk(
    found: Sequence[T], serialize: Callable[[T], object], *, go_on: str
) -> dict[str, object]:
    """Return the list object for a page that storage has cut.

    Args:
        found: what is on the page, perhaps nothing although the list goes on.
        serialize: makes an item.
        go_on: the cursor for the next page, "" at the end of the list.
    """
    return {
        "object": "list",
        "data": [serialize(item) for item in found],
        "has_more": bool(go_on),
        "next": go_on or None,
    }


def read_page(fields: Fields) -> Page:
    """Read the paging parameters of a query."""
    limit = fields.text("limit", 10) or str(DEFAULT_LIMIT)
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= MAX_LIMIT:
        fields.fail("limit", "invalid_value", f"Expected a number from 1 to {MAX_LIMIT}.")
        limit = str(DEFAULT_LIMIT)
    after, before = (_cursor(fields, name) for name in ("after", "before"))
    if after and before:
        fields.fail("before", "conflict", "Give after or before, not both.")
    return Page(int(limit), after, before)


def wants_total(fields: Fields) -> bool:
    """Read `include`, which may ask for the total."""
    wish = fields.text("include", 100)
    if wish not in ("", "total"):
        fields.fail("include", "invalid_value", "Expected total.")
    return bool(wish)


def _cursor(fields: Fields, name: str) -> str:
    value = fields.text(name, 100)
    if value and not _ID.fullmatch(value):
        fields.fail(name, "invalid_cursor", "Expected the id of an item of this list.")
    return value
