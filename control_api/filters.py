"""Reading query parameters that stand for times, domains, tags and ranges."""

from __future__ import annotations

import re
from datetime import datetime

from starlette.requests import Request

from control_api.errors import ApiError, invalid
from control_api.fields import Fields, parse_time
from mta.core.address import AddressError, to_ascii_domain

MAX_TEXT = 320

_STATUS = re.compile(r"([1-5])xx|([1-5]\d\d)")


def query_fields(request: Request) -> Fields:
    """Return the query of a request, to be read field by field."""
    return Fields(dict(request.query_params), [])


def finish(fields: Fields) -> None:
    """Refuse what was not taken, and whatever was wrong.

    Raises:
        ApiError: 422.
    """
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))


def moment(fields: Fields, name: str) -> datetime | None:
    """Take a time (aware, UTC); None when it is not given."""
    text = fields.text(name, MAX_TEXT)
    at = parse_time(text)
    if text and at is None:
        fields.fail(name, "invalid_time", "Expected RFC 3339 with an offset.")
    return at


def domain(fields: Fields, name: str) -> str:
    """Take a domain as its A-label, "" when it is not given."""
    text = fields.text(name, MAX_TEXT)
    try:
        return to_ascii_domain(text) if text else ""
    except AddressError as error:
        fields.fail(name, "invalid_value", f"{error}.")
        return ""


def tag(fields: Fields) -> tuple[str, str] | None:
    """Take `tag` and `tag_value`; None when they are not given."""
    name, value = fields.text("tag", MAX_TEXT), fields.text("tag_value", MAX_TEXT)
    if value and not name:
        fields.fail("tag", "required", "Give the name of the tag too.")
    return (name, value) if name else None


def status_range(fields: Fields, name: str) -> tuple[int, int] | None:
    """Take an HTTP status such as "404", or a class of them such as "4xx"."""
    text = fields.text(name, MAX_TEXT)
    if not text:
        return None
    match = _STATUS.fullmatch(text)
    if match is None:
        fields.fail(name, "invalid_value", "Expected a status such as 404, or a class such as 4xx.")
        return None
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    return int(match[2]), int(match[2])


def flag(fields: Fields, name: str) -> bool | None:
    """Take "true" or "false"; None when it is not given."""
    text = fields.text(name, 10)
    if text not in ("", "true", "false"):
        fields.fail(name, "invalid_value", "Expected true or false.")
    return text == "true" if text else None
