"""Pages of lists: ?limit=&after=&before= in, {"object": "list", "data", "has_more"} out.

A cursor is the id of the last (or first) item of the page before, so a page costs the same wherever
it is and does not shift when new items arrive. ?page= numbers pages instead, for clients that know
no cursors: its cost grows with the number, so it ends at MAX_OFFSET items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from control_api.fields import Fields
from mta.core.frozen import frozen

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
MAX_NUMBERED = 500
"""Items on a page that is asked for by its number."""
MAX_OFFSET = 100_000
"""Items up to the end of the last page that has a number."""

_NUMBER = re.compile(r"[0-9]{1,6}")
_ID = re.compile(r"[a-z]{2,3}_[0-9A-HJKMNP-TV-Z]{26}")

T = TypeVar("T")


@frozen
class Page:
    """Which part of a list is asked for.

    Attributes:
        limit: items at most, 1 to MAX_LIMIT; to MAX_NUMBERED when the page has a number.
        after: go on after the item with this id, "" for the start.
        before: the items just before the one with this id, "" for no such wish.
        skip: items in front of a page that has a number.
        is_numbered: whether it has one.
    """

    limit: int
    after: str
    before: str
    skip: int = 0
    is_numbered: bool = False

    @property
    def reach(self) -> int:
        """How many items to ask storage for: one more than the page tells that there are more.

        For storage that cannot skip: what is in front of the page counts, render() leaves it out.
        """
        return self.skip + self.limit + 1

    @property
    def reach_skipped(self) -> int:
        """How many items to ask storage for that has left out `skip` itself; cheaper by those."""
        return self.limit + 1

    def render(
        self, found: Sequence[T], serialize: Callable[[T], object], *, skipped: int = 0
    ) -> dict[str, object]:
        """Return the list object for what storage has found, in the order of the list.

        Args:
            found: up to `reach` items, or `reach_skipped`.
            serialize: makes an item.
            skipped: how many storage has left out in front: 0 or `skip`.
        """
        start = self.skip - skipped
        shown = found[-self.limit :] if self.before else found[start : start + self.limit]
        return {
            "object": "list",
            "data": [serialize(item) for item in shown],
            "has_more": len(found) > start + self.limit,
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
    is_numbered = fields.has("page")
    limit = _number(fields, "limit", DEFAULT_LIMIT, MAX_NUMBERED if is_numbered else MAX_LIMIT)
    number = _number(fields, "page", 1, MAX_OFFSET)
    after, before = (_cursor(fields, name) for name in ("after", "before"))
    if after and before:
        fields.fail("before", "conflict", "Give after or before, not both.")
    if is_numbered and (after or before):
        fields.fail("page", "conflict", "Give page, or after or before, not both.")
    if number * limit > MAX_OFFSET:
        message = f"Pages with numbers reach {MAX_OFFSET} items; go on with after."
        fields.fail("page", "too_far", message)
        number = 1
    return Page(limit, after, before, (number - 1) * limit, is_numbered)


def _number(fields: Fields, name: str, default: int, most: int) -> int:
    text = fields.text(name, 10) or str(default)
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        fields.fail(name, "invalid_value", f"Expected a number from 1 to {most}.")
        return default
    return int(text)


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
