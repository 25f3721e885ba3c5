"""Reading what dialects have in common in requests: some fields of many, events, numbers, pages."""

from __future__ import annotations

from collections.abc import Container, Mapping

from control_api.errors import ApiError, FieldError, invalid
from control_api.paging import MAX_NUMBERED
from mta.core.event import JsonValue
from mta.core.frozen import frozen

_OPTIONS = (
    *("attachments", "bcc", "cc", "headers", "replyTo", "reply_to", "scheduledAt", "scheduled_at"),
    *("sendAt", "send_at", "template", "templateId", "template_id", "unsubscribe", "variables"),
)
"""What services of the field call that which makes another mail of a request."""


def picked(fields: Mapping[str, JsonValue], names: Mapping[str, str]) -> dict[str, JsonValue]:
    """Return the fields that are there and not null, under their native names.

    Args:
        fields: of the request; others than those named are passed over.
        names: the dialect's name -> the native one.
    """
    given = ((native, fields.get(name)) for name, native in names.items())
    return {native: value for native, value in given if value is not None}


def options(fields: Mapping[str, JsonValue], known: Container[str]) -> dict[str, JsonValue]:
    """Return the options of an email that a dialect does not know, by the caller's own names.

    Passed on as they are, the native API takes them or refuses them by name. Passed over, as other
    fields are, another mail would go out than was meant.
    """
    unknown = {name: fields.get(name) for name in _OPTIONS if name not in known}
    return {name: value for name, value in unknown.items() if value is not None}


def as_text(value: JsonValue) -> JsonValue:
    """Return a number or truth value as text; anything else as it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return value


def native_events(value: JsonValue, names: Mapping[str, str]) -> JsonValue:
    """Return events of a webhook by their native names; what is no array stays as it is.

    Args:
        value: the dialect's names.
        names: the dialect's name -> the native one.

    Raises:
        ApiError: 422; one of them is none.
    """
    if not isinstance(value, list):
        return value
    if any(not isinstance(one, str) or one not in names for one in value):
        message = f"Expected some of {', '.join(names)}."
        raise ApiError(invalid([FieldError("events", "invalid_value", message)]))
    return [names[str(one)] for one in value]


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


@frozen
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
