"""What EmailFlow's calls have in common: uids, words of forms, pages, and how errors are told.

A uid is the part of our ids behind the prefix, because the document shows ids without one; jobs of
imports keep the prefix that it shows for them, "job_". Whoever sends a whole id is understood too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from control_api.dialects.base import Refused, Reply
from control_api.errors import NOT_FOUND, ApiError, FieldError, invalid
from mta.core.event import JsonValue

MAX_PER_PAGE = 500
DEFAULT_PER_PAGE = 10
JOB = "job_"
"""What the ids of jobs begin with; natively "imp_"."""
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off", "")
_FORBIDDEN = (400, 402, 403, 409, 413, 415, 422)
"""Statuses of the native API that are a 403 here."""
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2})(:[0-9]{2})?")
_ROOT = "request"
"""Where errors are told of that are about no field."""


def uid_of(identifier: str) -> str:
    """Return the uid of "aud_01K9..."."""
    return identifier.partition("_")[2]


def id_of(prefix: str, uid: str) -> str:
    """Return the id that a uid, or an id, stands for."""
    return f"{prefix}_{uid.rpartition('_')[2].upper()}"


def job_uid_of(import_id: str) -> str:
    """Return the uid of the job that is an import."""
    return JOB + uid_of(import_id)


def text_of(value: JsonValue) -> str:
    """Return a value of a form or of JSON as text, "" for none and for what has parts."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value).strip()
        case _:
            return ""


def moment_of(text: str) -> str:
    """Return a time of day as databases write it, "2026-03-01 12:00:00", in RFC 3339 as UTC."""
    match = _MOMENT.fullmatch(text)
    return f"{match[1]}T{match[2]}{match[3] or ':00'}Z" if match else text


def words_of(value: JsonValue) -> list[str]:
    """Return words given as "a,b" or as an array."""
    parts = value if isinstance(value, list) else text_of(value).split(",")
    return list(dict.fromkeys(word for part in parts if (word := text_of(part))))


def flag_of(fields: Mapping[str, JsonValue], name: str) -> bool | None:
    """Return a yes or no; None when it is not given.

    Raises:
        ApiError: 422; it is another word.
    """
    if fields.get(name) is None:
        return None
    word = text_of(fields[name]).lower()
    if word not in (*_TRUE, *_FALSE):
        raise refusal(name, "invalid_type", f"The {spoken(name)} field must be true or false.")
    return word in _TRUE


def wanted_page(query: Mapping[str, str], per_page: int = DEFAULT_PER_PAGE) -> dict[str, str]:
    """Return what to ask a native list for; numbers that are none count as not given."""
    page = _number(query.get("page", ""), 1)
    size = min(_number(query.get("per_page", ""), per_page), MAX_PER_PAGE)
    return {"page": str(page), "limit": str(size)}


def _number(text: str, default: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 7 and int(text) > 0
    return int(text) if is_number else default


def required(fields: Mapping[str, JsonValue], names: Sequence[str]) -> None:
    """Check that fields are there and not empty.

    Raises:
        ApiError: 422 that names all that are not.
    """
    missing = [
        FieldError(name, "required", f"The {spoken(name)} field is required.")
        for name in names
        if not text_of(fields.get(name))
    ]
    if missing:
        raise ApiError(invalid(missing))


def refusal(field: str, code: str, message: str) -> ApiError:
    """Return the error for one field."""
    return ApiError(invalid([FieldError(field, code, message)]))


def not_found() -> ApiError:
    """Return the error for what is not there."""
    return ApiError(NOT_FOUND)


def spoken(name: str) -> str:
    """Return the name of a field as sentences have it: "from email" for "from_email"."""
    return name.replace("_", " ")


def done(message: str, status: int = 200, **more: Any) -> Reply:
    """Return what calls answer that have changed something."""
    return Reply({"status": 1, "message": message, **more}, status)


def render_error(refused: Refused) -> Reply:
    """Return an error: what is wrong field by field as a bare map, anything else as a message."""
    problem = refused.problem
    status = 403 if problem.status in _FORBIDDEN else problem.status
    if problem.errors and status == 403:
        return Reply(_by_field(problem.errors), status)
    return Reply({"status": 0, "message": problem.message, "code": problem.code}, status)


def _by_field(errors: Sequence[FieldError]) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for one in errors:
        told.setdefault(one.field or _ROOT, []).append(_sentence(one))
    return told


def _sentence(error: FieldError) -> str:
    name = spoken(error.field or _ROOT)
    match error.code:
        case "required":
            return f"The {name} field is required."
        case "invalid_address":
            return f"The {name} must be a valid email address."
        case _:
            return error.message
