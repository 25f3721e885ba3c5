"""FlushIt's templates: HTML, SendGrid's Handlebars told in Liquid, and what an AI has written.

They are published as soon as they are made, because FlushIt knows no drafts. Not here: the language
of templates (handlebars.py, mta/core/template.py).
"""

from __future__ import annotations

from typing import Any

from control_api.dialects.base import Ask, Asked, Operation, Reply, Steps
from control_api.dialects.flushit_shapes import deleted, fields_of
from control_api.dialects.handlebars import HandlebarsError, to_liquid
from control_api.dialects.whole_lists import all_of
from control_api.errors import ApiError, FieldError, invalid
from mta.core.event import JsonValue

DEFAULT = "html"
SENDGRID = "sendgrid"
TYPES = (DEFAULT, SENDGRID, "ai")
_RENAMED = {"html": "htmlContent", "text": "textContent", "kind": "type"}


def _templates(_: Asked) -> Steps:
    found = yield from all_of("/v1/templates")
    return Reply({"templates": [_shown(one) for one in found]})


def _create(asked: Asked) -> Steps:
    made = yield Ask("POST", "/v1/templates", body=to_native(asked.fields), renamed=_RENAMED)
    template = made.value
    yield Ask("POST", "/v1/templates/{id}/publish", {"id": template["id"]})
    return Reply({"template": _shown(template)})


def to_native(fields: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a template of FlushIt's as the native API takes it.

    Raises:
        ApiError: 422; there is no such type, or its Handlebars cannot be told in Liquid.
    """
    kind = fields.get("type") or DEFAULT
    if kind not in TYPES:
        message = f"Expected one of {', '.join(TYPES)}."
        raise ApiError(invalid([FieldError("type", "invalid_value", message)]))
    parts = {"subject": "subject", "html": "htmlContent", "text": "textContent"}
    read = _told if kind == SENDGRID else _as_it_is
    return {"name": fields.get("name"), "kind": kind} | {
        native: read(name, fields[name]) for native, name in parts.items() if name in fields
    }


def _as_it_is(_: str, value: JsonValue) -> JsonValue:
    return value


def _told(name: str, value: JsonValue) -> JsonValue:
    try:
        return to_liquid(value) if isinstance(value, str) else value
    except HandlebarsError as error:
        raise ApiError(invalid([FieldError(name, "unsupported_template", f"{error}.")])) from None


def _shown(one: Any) -> dict[str, Any]:
    return fields_of(one, "id", "name", "subject", createdAt="created_at") | {
        "type": one["kind"] if one["kind"] in TYPES else DEFAULT
    }


_ALL = "/api/templates"
OPERATIONS = (
    Operation("F-06", "GET", _ALL, _templates, "List templates", "The newest 10,000."),
    Operation(
        "F-07",
        "POST",
        _ALL,
        _create,
        "Make a template",
        "`html` and `ai` are Liquid, stored as given; nothing is generated here. `sendgrid` is "
        "Handlebars: `{{value}}`, `#if`, `#unless`, `#each`, `else`, `this`, `../`, `@index`; "
        "other helpers and `{{{...}}}` are refused by name.",
    ),
    Operation(
        "F-08", "DELETE", f"{_ALL}/{{id}}", deleted("/v1/templates/{id}"), "Delete a template"
    ),
)
