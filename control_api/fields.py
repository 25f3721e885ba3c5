"""Reading JSON objects field by field, collecting everything that is wrong instead of stopping.

Knows JSON types, lengths and characters; what the fields mean is up to payload.py and webhooks.py.
A null counts as a field that was left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from control_api.errors import ApiError, FieldError, invalid
from mta.core.event import JsonValue
from mta.core.json_text import JsonError, decode

MAX_INTEGER = 2**53
"""Integers beyond this do not survive clients that read numbers as doubles (RFC 8259 6)."""
MAX_DEPTH = 8
MAX_VALUES = 1000
"""Levels, and values in all, of free-form JSON such as metadata."""
MAX_BODY_VALUES = 250_000
"""Values in a request body; the largest batch has half as many."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NEVER = re.compile(r"[\x00\ud800-\udfff]")
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_json(body: bytes) -> JsonValue:
    """Return the JSON value in a request body.

    Raises:
        ApiError: 422; not JSON (lone surrogates and numbers out of range included), or an object
            that names a field twice, which two readers could take for two different requests.
    """
    skeleton = _skeleton(body)
    if skeleton is None or skeleton.count(b",") > MAX_BODY_VALUES:
        raise _unreadable("too_many", f"A body may hold {MAX_BODY_VALUES} values at most.")
    try:
        value = decode(body)
    except JsonError as error:
        raise _unreadable("invalid_json", f"Not JSON: {error}.") from None
    if skeleton.count(b":") != _count_names(value):
        raise _unreadable("duplicate_field", "An object names a field twice.")
    return value


def _skeleton(body: bytes) -> bytes | None:
    """Return JSON without what its strings hold, None when it has more strings than values may be.

    What is not JSON gives anything; up to where it stops being JSON, nothing is left out.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    quotes = 4 * (MAX_BODY_VALUES + 1)
    pieces = unescaped.split(b'"', quotes + 1)
    return None if len(pieces) > quotes + 1 else b"".join(pieces[::2])


def _unreadable(code: str, message: str) -> ApiError:
    return ApiError(invalid([FieldError("", code, message)]))


def _count_names(value: JsonValue) -> int:
    """Count the names in all objects; fewer than the text has colons means that some repeat."""
    count, pending = 0, [value]
    while pending:
        match pending.pop():
            case dict() as fields:
                count += len(fields)
                pending.extend(fields.values())
            case list() as items:
                pending.extend(items)
    return count


class Fields:
    """Takes the fields of one JSON object. Errors go to a list shared by the whole document.

    Attributes:
        errors: what was wrong so far; callers may append.
        path: of this object in the document, "" for the document itself.
    """

    def __init__(self, value: JsonValue, errors: list[FieldError], path: str = "") -> None:
        self.errors = errors
        self.path = path
        self._is_object = isinstance(value, dict)
        self._rest = dict(value) if isinstance(value, dict) else {}
        if not self._is_object:
            self.errors.append(FieldError(path, "invalid_type", "Expected an object."))

    def fail(self, name: str, code: str, message: str) -> None:
        """Note that a field is wrong; nothing more is wrong with what is not an object."""
        if self._is_object:
            self.errors.append(FieldError(name, code, message).inside(self.path))

    def has(self, name: str) -> bool:
        """Tell whether a field is there, be it null."""
        return name in self._rest

    def is_wrong(self, name: str) -> bool:
        """Tell whether something is wrong with a field, or inside it, so far."""
        path = FieldError(name, "", "").inside(self.path).field
        inside = (f"{path}.", f"{path}[")
        return any(one.field == path or one.field.startswith(inside) for one in self.errors)

    def take(self, name: str) -> JsonValue:
        """Return a field's value, None when it is not there."""
        return self._rest.pop(name, None)

    def text(self, name: str, max_length: int) -> str:
        """Return a field that is one line of text, "" when it is not there or wrong."""
        value = self.take(name)
        if value is None:
            return ""
        found = line_error(value, max_length)
        if found is None:
            return str(value)
        self.fail(name, *found)
        return ""

    def required_text(self, name: str, max_length: int) -> str:
        """Return a field like text(); one that is not there, or empty, is wrong too."""
        if self._rest.get(name) in (None, ""):
            self.take(name)
            self.fail(name, "required", "This field is required.")
            return ""
        return self.text(name, max_length)

    def block(self, name: str) -> str | None:
        """Return a field that is text of many lines, None when it is not there or wrong."""
        value = self.take(name)
        if value is not None and not isinstance(value, str):
            self.fail(name, "invalid_type", "Expected a string.")
            return None
        if value is not None and _has_never(value):
            self.fail(name, "invalid_text", "NUL characters are not allowed.")
        return value

    def object(self, name: str) -> dict[str, JsonValue]:
        """Return a field that is an object, an empty one when it is not there or wrong."""
        value = self.take(name)
        if value is not None and not isinstance(value, dict):
            self.fail(name, "invalid_type", "Expected an object.")
        return value if isinstance(value, dict) else {}

    def items(self, name: str, max_length: int) -> Iterator[tuple[str, JsonValue]]:
        """Yield path and value of each item of a field that is an array."""
        value = self.take(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.fail(name, "invalid_type", "Expected an array.")
        elif len(value) > max_length:
            self.fail(name, "too_many", f"At most {max_length} items are allowed.")
        else:
            for index, item in enumerate(value):
                yield f"{name}[{index}]", item

    def finish(self) -> None:
        """Refuse whatever was not taken."""
        for name in self._rest:
            shown = "".join(char if char.isprintable() else "?" for char in name[:100])
            self.fail(shown, "unknown_field", "There is no such field.")


def sentence(error: Exception) -> str:
    """Return what an error says as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def line_error(value: JsonValue, max_length: int) -> tuple[str, str] | None:
    """Return code and message of what keeps a value from being one line of text, None if it is one.

    Line separators of any kind, controls, and NUL are refused: such text ends up in mail headers.
    """
    if not isinstance(value, str):
        return "invalid_type", "Expected a string."
    if len(value) > max_length:
        return "too_long", f"At most {max_length} characters are allowed."
    found = _CONTROL.search(value)
    if found is not None:
        return "invalid_text", f"The character U+{ord(found[0]):04X} is not allowed."
    return None


def json_error(value: JsonValue) -> str:
    """Return what is wrong with free-form JSON, "" when it can be stored and echoed."""
    pending, count = [(value, 0)], 0
    while pending:
        item, depth = pending.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            return f"At most {MAX_DEPTH} levels and {MAX_VALUES} values are allowed."
        match item:
            case str() if _has_never(item):
                return "Text must not hold NUL characters."
            case int() if abs(item) > MAX_INTEGER:
                return "Integers beyond 2^53 lose digits in many readers; send them as strings."
            case list():
                pending.extend((child, depth + 1) for child in item)
            case dict():
                pending.extend((name, depth) for name in item)
                pending.extend((child, depth + 1) for child in item.values())
    return ""


def parse_time(text: str) -> datetime | None:
    """Return the time (aware, UTC) of RFC 3339 text; None for other text, and without an offset."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    date, time, fraction, offset = match.groups()
    microseconds = (fraction or ".")[:7].ljust(7, "0")
    local = f"{date}T{time}{microseconds}{offset.upper()}"
    try:
        return datetime.fromisoformat(local).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _has_never(text: str) -> bool:
    """Tell whether text holds what no text may; most holds neither NUL nor anything but ASCII."""
    return "\0" in text or (not text.isascii() and _NEVER.search(text) is not None)
