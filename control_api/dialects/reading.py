"""Reading what dialects have in common in requests: some fields of many, numbers, pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_api.errors import ApiError, FieldError, invalid
from control_api.paging import MAX_NUMBERED
from mta.core.event import JsonValue


def picked(fields: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return the fields that are there and not null, under their native names.

    Args:
        fields: of the request; others than those named are passed over.
        names: the dialect's name -> the native one.
    """
    given = ((native, fields.get(name)) for name, native in names.items())
    return {native: value for native, value in given if value is not None}


def required(fields: Mapping[str, JsonValue], *names: str) -> list[str]:
    """Return fields that must be text with something in it, in this order.

    Raises:
        ApiError: 422 with all that is wrong.
    """
    errors = []
    for name in names:
        value = fields.get(name)
        if value in (None, ""):
            errors.append(FieldError(name, "required", "This field is required."))
        elif not isinstance(value, str):
            errors.append(FieldError(name, "invalid_type", "Expected a string."))
    if errors:
        raise ApiError(invalid(errors))
    return [str(fields[name]) for name in names]


@dataclass(frozen=True, slots=True)
class Paging:
    """The page that a request asks for.

    Attributes:
        page: from 1.
        size: items.
    """

    page: int
    size: int

    @property
    def query(self) -> dict[str, str]:
        """The native query for the page, with the total."""
        return {"page": str(self.page), "limit": str(self.size), "include": "total"}

    def pages(self, total: int) -> int:
        """Return how many pages there are."""
        return -(-total // self.size)


def read_paging(
    fields: Mapping[str, object], *, size: str = "limit", default: int = 20, page: str = "page"
) -> Paging:
    """Read the number of a page, and how many items it has, under a dialect's names.

    Raises:
        ApiError: 422; they are no numbers, or too large.
    """
    return Paging(
        read_number(fields, page, 1, 100_000), read_number(fields, size, default, MAX_NUMBERED)
    )


def read_number(fields: Mapping[str, object], name: str, default: int, most: int) -> int:
    """Return a number from 1 to `most`, `default` when it is not there.

    Raises:
        ApiError: 422.
    """
    text = str(fields.get(name) or default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        error = FieldError(name, "invalid_value", f"Expected a number from 1 to {most}.")
        raise ApiError(invalid([error]))
    return int(text)
