"""The words that schemas are written in, and Spec: what is said of one operation.

Objects in answers have all their properties, null where there is nothing to tell. Fields of
requests that may be left out may be null too, with the same meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from mta.core.frozen import frozen

Schema = Mapping[str, Any]

JSON = "application/json"
ULID = "[0-9A-HJKMNP-TV-Z]{26}"


@frozen
class Parameter:
    """Something in the query or the header of a request."""

    name: str
    description: str
    schema: Schema
    place: str = "query"


@frozen
class Spec:
    """What the documentation says of an operation.

    Attributes:
        tag: the area it belongs to.
        description: what its summary leaves open, in full sentences; may be empty.
        request: media type -> schema of the body; empty: it takes none.
        needs_body: whether it does without a body.
        parameters: of query and header; those of the path are in openapi.py.
        answer: media type -> schema of the answer.
        status: of the answer.
        examples: title -> the body of a request that works, in the first media type.
        errors: statuses of errors peculiar to it.
        other_answers: status -> content, where it is not that of an error.
        is_idempotent: whether it heeds Idempotency-Key.
    """

    tag: str
    description: str = ""
    request: Mapping[str, Schema] = field(default_factory=dict)
    needs_body: bool = True
    parameters: Sequence[Parameter] = ()
    answer: Mapping[str, Schema] = field(default_factory=dict)
    status: int = 200
    examples: Mapping[str, Any] = field(default_factory=dict)
    errors: Sequence[int] = ()
    other_answers: Mapping[int, Mapping[str, Schema]] = field(default_factory=dict)
    is_idempotent: bool = False


UNDOCUMENTED = Spec("other")
"""What is said of an operation that nobody has written about; a test finds it."""


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def _said(meaning: str, schema: dict[str, Any]) -> Schema:
    return {**schema, "description": meaning} if meaning else schema


def body(schema: Schema) -> Mapping[str, Schema]:
    """Return the content of a body in JSON."""
    return {JSON: schema}


def text(meaning: str = "", **more: Any) -> Schema:
    """Return the schema of a string."""
    return _said(meaning, {"type": "string", **more})


def number(meaning: str = "", **more: Any) -> Schema:
    """Return the schema of an integer."""
    return _said(meaning, {"type": "integer", **more})


def flag(meaning: str = "") -> Schema:
    """Return the schema of a boolean."""
    return _said(meaning, {"type": "boolean"})


def one_of(values: Sequence[str], meaning: str = "") -> Schema:
    """Return the schema of a word among several."""
    return _said(meaning, {"type": "string", "enum": list(values)})


def time(meaning: str = "") -> Schema:
    """Return the schema of a time."""
    return _said(meaning, {"type": "string", "format": "date-time"})


def identifier(prefix: str, meaning: str = "") -> Schema:
    """Return the schema of an id."""
    return _said(meaning, {"type": "string", "pattern": f"^{prefix}_{ULID}$"})


def array(items: Schema, meaning: str = "", **more: Any) -> Schema:
    """Return the schema of an array."""
    return _said(meaning, {"type": "array", "items": items, **more})


def free_form(meaning: str) -> Schema:
    """Return the schema of an object with any properties."""
    return {"type": "object", "description": meaning, "additionalProperties": True}


def counts(meaning: str) -> Schema:
    """Return the schema of an object of numbers by name."""
    return {
        "type": "object",
        "description": meaning,
        "additionalProperties": {"type": "integer", "minimum": 0},
    }


def or_null(schema: Schema) -> Schema:
    """Return the schema of the same, or null."""
    kind = schema.get("type")
    if not isinstance(kind, str):
        either: dict[str, Any] = {"anyOf": [schema, {"type": "null"}]}
        return _said(schema.get("description", ""), either)
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [kind, "null"], **more}


def wish(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object in a request; others than these fields are refused."""
    properties = {**required, **{name: or_null(one) for name, one in (optional or {}).items()}}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


def given(
    properties: Mapping[str, Schema], example: Any = None, *, sometimes: Sequence[str] = ()
) -> Schema:
    """Return the schema of an object in an answer; `sometimes` names what may not be there."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in sometimes],
    }
    return {**schema, "examples": [example]} if example is not None else schema


def resource(
    kind: str,
    properties: Mapping[str, Schema],
    example: Any = None,
    *,
    sometimes: Sequence[str] = (),
) -> Schema:
    """Return the schema of an object in an answer that says in `object` what it is."""
    said = None if example is None else {"object": kind, **example}
    return given({"object": {"const": kind}, **properties}, said, sometimes=sometimes)


def listing(item: Schema, **more: Schema) -> Mapping[str, Schema]:
    """Return the content of a page of a list; `more` are properties that this list has besides."""
    properties = {
        "object": {"const": "list"},
        "data": array(item),
        "has_more": flag("Whether the list goes on."),
    }
    return body(given({**properties, **more}, sometimes=("total", "total_is_exact")))


def deleted(kind: str, name: str = "id") -> Mapping[str, Schema]:
    """Return the content that confirms a deletion."""
    return body(resource(kind, {name: text(), "deleted": {"const": True}}))


def query(name: str, description: str, schema: Schema | None = None) -> Parameter:
    """Return a parameter of the query."""
    return Parameter(name, description, schema or text(maxLength=320))


LIMIT = query(
    "limit",
    "Items at most; 20 unless given. Up to 100; with page, 500.",
    number(minimum=1, maximum=500),
)
AFTER = query("after", "Go on behind the item with this id.", text(maxLength=100))
BEFORE = query("before", "Only what comes just before the item with this id.", text(maxLength=100))
NUMBERED = query(
    "page",
    "Instead of after and before: the page with this number, from 1; page times limit is 100,000"
    " at most.",
    number(minimum=1, maximum=100_000),
)
PAGE = (LIMIT, AFTER, BEFORE, NUMBERED)
TOTAL = query("include", "Ask for `total`, the size of the whole list.", one_of(["total"]))
SINCE = query("since", "Not before this time.", time())
UNTIL = query("until", "Before this time.", time())
DOMAIN = query("domain", "Only of this recipient domain.")
TAG = query("tag", "Only with this tag.")
TAG_VALUE = query("tag_value", "Only with this value of the tag.")
