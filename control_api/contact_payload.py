"""Contacts and values of audience fields in requests: JSON in, typed values or errors out.

Not here: the routes (contacts.py, audiences.py, memberships.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from control_api.fields import Fields, json_error, line_error, parse_time, sentence
from mta.core.address import Address, AddressError, parse_address
from mta.core.contact import STATUSES, Status
from mta.core.event import JsonValue
from mta.core.json_text import encode
from storage.audiences import AudienceField
from storage.contacts import NewContact
from storage.joining import Joiner

MAX_NAME = 256
MAX_TAG = 100
MAX_TAGS = 50
"""Tags in one request, and of a contact that a request makes."""
MAX_PROPERTIES = 16_384
"""Bytes of the properties in a request, as JSON."""
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
MAX_VALUE = 1_000
"""Characters of a field's value."""


def read_contact(fields: Fields) -> NewContact | None:
    """Take `email`, `name`, `properties` and `tags`; None when the address is wrong."""
    address = read_address(fields)
    name = fields.text("name", MAX_NAME)
    properties, tags = read_properties(fields), read_tags(fields)
    if address is None:
        return None
    return NewContact(address.key, str(address), name, properties, tags)


def read_joiner(
    fields: Fields, known: Mapping[str, AudienceField], status: Status = Status.SUBSCRIBED
) -> Joiner | None:
    """Take a whole object that says who joins an audience with these fields; None when it is wrong.

    Args:
        fields: the object.
        known: fields of the audience.
        status: the one of whoever names none.
    """
    contact, wished = read_contact(fields), read_status(fields)
    values = read_values(fields, known, is_new=True)
    fields.finish()
    return None if contact is None else Joiner(contact, wished or status, values)


def read_address(fields: Fields, name: str = "email") -> Address | None:
    """Take an address that must be there; None when it is wrong."""
    text = fields.required_text(name, 320)
    try:
        return parse_address(text) if text else None
    except AddressError as error:
        fields.fail(name, "invalid_address", sentence(error))
        return None


def read_properties(fields: Fields, name: str = "properties") -> Mapping[str, JsonValue]:
    """Take `properties`, or another field that is free-form; {} when there are none."""
    properties = fields.object(name)
    if message := json_error(properties):
        fields.fail(name, "invalid_value", message)
    elif len(encode(properties)) > MAX_PROPERTIES:
        fields.fail(name, "too_long", f"At most {MAX_PROPERTIES} bytes are allowed.")
    else:
        return properties
    return {}


def read_tags(fields: Fields, name: str = "tags") -> tuple[str, ...]:
    """Take `tags`, or another field that has such words in an array."""
    found = []
    for path, value in fields.items(name, MAX_TAGS):
        wrong = line_error(value, MAX_TAG)
        if wrong is None and not str(value).strip():
            wrong = "required", "A tag has at least one character."
        if wrong is not None:
            fields.fail(path, *wrong)
        else:
            found.append(str(value).strip())
    return tuple(found)


def read_status(fields: Fields) -> Status | None:
    """Take `status`, None when it is not given."""
    word = fields.text("status", 20)
    if word and word not in STATUSES:
        fields.fail("status", "invalid_value", f"Expected one of {', '.join(STATUSES)}.")
        return None
    return Status(word) if word else None


def read_values(
    fields: Fields, known: Mapping[str, AudienceField], *, is_new: bool
) -> Mapping[str, JsonValue]:
    """Take `fields`, values by tag; of new members the required ones must be there."""
    values = fields.object("fields")
    for tag, value in values.items():
        if tag not in known:
            shown = "".join(char if char.isprintable() else "?" for char in tag[:100])
            fields.fail(f"fields.{shown}", "unknown_field", "The audience has no such field.")
        elif value is not None and (message := _value_error(known[tag], value)):
            fields.fail(f"fields.{tag}", "invalid_value", message)
    for tag, one in known.items():
        is_missing = values.get(tag) in (None, "")
        if one.is_required and is_missing and (is_new or tag in values):
            fields.fail(f"fields.{tag}", "required", "This field is required.")
    return values


def default_error(field: AudienceField) -> str:
    """Return what is wrong with the default of a field, "" when it fits, or there is none."""
    text = field.default_value
    if field.type == "number" and text:
        return "" if _NUMBER.fullmatch(text) else "Expected a number."
    return _value_error(field, text) if text else ""


def _value_error(field: AudienceField, value: JsonValue) -> str:
    """Return what is wrong with a value, "" when it fits the field."""
    match field.type:
        case "number":
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return "" if is_number and not json_error(value) else "Expected a number."
        case "datetime":
            is_time = isinstance(value, str) and (parse_time(value) or _is_date(value))
            return "" if is_time else "Expected a date, or RFC 3339 with an offset."
        case _:
            wrong = line_error(value, MAX_VALUE)
            return wrong[1] if wrong else ""


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2026-01-01") and bool(date.fromisoformat(text))
    except ValueError:
        return False
