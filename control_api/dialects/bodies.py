"""Bodies of dialects: JSON, and forms with PHP's brackets, as one JSON value and files.

"contact[company]=Ants&tags[]=a&tags[]=b" is {"contact": {"company": "Ants"}, "tags": ["a", "b"]}.
Form values are text; what they stand for is up to the dialect. Bounded in names, depth and files;
the size of the whole body is the body guard's concern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from control_api.body_guard import require_media
from control_api.dialects.aside import aside
from control_api.dialects.base import Media, Upload
from control_api.errors import ApiError, FieldError, invalid
from control_api.fields import read_json
from mta.core.event import JsonValue
from mta.core.frozen import frozen

MAX_FIELDS = 20_000
"""Fields of a form: a thousand subscribers with twenty each."""
MAX_FILES = 10
MAX_DEPTH = 5
"""Brackets in one name."""

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


@frozen
class Body:
    """A body, read.

    Attributes:
        value: JSON; {} when there is no body.
        files: by field name.
    """

    value: JsonValue
    files: Mapping[str, Upload] = field(default_factory=dict)


async def read_body(request: Request, accepted: Sequence[Media], *, is_loose: bool = False) -> Body:
    """Return the body of a request.

    Args:
        request: whose body has not been read yet.
        accepted: how it may be written; one that does not say is JSON where that is accepted.
        is_loose: read it as a form, whatever it says that it is.

    Raises:
        ApiError: 415 for another media type, 422 for what cannot be read.
    """
    if is_loose:
        request = _as_form(request)
    else:
        require_media(request, [one.value for one in accepted])
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = media in (Media.FORM.value, Media.MULTIPART.value)
    if is_form or Media.JSON not in accepted:
        return await _read_form(request)
    body = await request.body()
    return Body(await aside(request, lambda: read_json(body)) if body.strip() else {})


def _as_form(request: Request) -> Request:
    others = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    form = (b"content-type", Media.FORM.value.encode())
    return Request({**request.scope, "headers": [*others, form]}, request.receive)


async def _read_form(request: Request) -> Body:
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS) as form:
            pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
            files = {
                name: Upload(
                    await value.read(), value.content_type or "", filename=value.filename or ""
                )
                for name, value in form.multi_items()
                if isinstance(value, UploadFile)
            }
    except HTTPException as error:  # starlette's word for a form that cannot be read
        raise _unreadable("", f"Not a form: {error.detail}") from None
    if len(pairs) > MAX_FIELDS:
        raise _unreadable("", f"A form may have {MAX_FIELDS} fields at most.")
    return Body(nested(pairs), files)


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, JsonValue]:
    """Return the object that a form's names with brackets spell; of equal names the last counts.

    Raises:
        ApiError: 422; a name is nested too deeply, or is a value and an object at once.
    """
    found: dict[str, JsonValue] = {}
    for name, value in pairs:
        _put(found, _steps(name), value)
    return {name: _listed(value) for name, value in found.items()}


def _steps(name: str) -> list[str]:
    """Return "a[b][]" as ["a", "b", ""]; a name of another form stands for itself."""
    match = _NAME.fullmatch(name)
    steps = [match[1], *_BRACKETS.findall(match[2])] if match else [name]
    if len(steps) > MAX_DEPTH + 1:
        raise _unreadable(steps[0], f"At most {MAX_DEPTH} levels are allowed.")
    return steps


def _put(into: dict[str, JsonValue], steps: list[str], value: str) -> None:
    first = steps[0]
    for step in steps[1:]:
        inner = into.setdefault(first, {})
        if not isinstance(inner, dict):
            raise _unreadable(steps[0], "This is one value, and an object too.")
        into, first = inner, step or str(len(inner))
    into[first] = value


def _listed(value: JsonValue) -> JsonValue:
    """Return a value in which objects named 0, 1, 2, ... have become arrays."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    if list(inner) == [str(number) for number in range(len(inner))]:
        return list(inner.values())
    return inner


def _unreadable(name: str, message: str) -> ApiError:
    return ApiError(invalid([FieldError(name[:100], "invalid_form", message)]))
