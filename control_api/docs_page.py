"""GET /docs: the OpenAPI document as one page for people.

Plain HTML with one style sheet in it: no script, nothing from elsewhere, and a policy that forbids
both. Every text is escaped, whoever wrote it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from starlette.responses import Response

from control_api.routes import Call
from control_api.schemas.base import JSON

PATH = "/docs"
PAGE = "docs_page"
"""The name under which the application's state holds the page, as bytes."""

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #2f6f4f }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif }
nav { position: fixed; inset: 0 auto 0 0; width: 19rem; overflow: auto; padding: 1rem;
  border-right: 1px solid var(--line); font-size: .875rem }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0 }
nav a { color: inherit; text-decoration: none; display: block; padding: .1rem 0 }
nav a:hover { text-decoration: underline }
main { margin-left: 19rem; padding: 1rem 2.5rem 6rem; max-width: 64rem }
h1 { margin: 0 0 .5rem } h2 { margin: 3rem 0 0; padding-bottom: .3rem;
  border-bottom: 2px solid var(--accent) }
h3 { margin: 2.5rem 0 .3rem; font-size: 1rem } h4 { margin: 1rem 0 .3rem; font-size: .875rem }
code, pre { font: .85rem/1.45 ui-monospace, monospace }
pre { background: var(--soft); padding: .8rem 1rem; overflow: auto; border-radius: .4rem;
  max-height: 30rem; margin: .3rem 0 }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
td { border-top: 1px solid var(--line); padding: .3rem .8rem .3rem 0; vertical-align: top }
td:first-child { white-space: nowrap } td:nth-child(2) { color: #888; max-width: 16rem }
.method { display: inline-block; min-width: 3.6rem; font-weight: 700; color: var(--accent) }
.path { font: 1rem ui-monospace, monospace; overflow-wrap: anywhere }
summary { cursor: pointer; font-size: .875rem; font-weight: 700; margin-top: .8rem }
@media (max-width: 60rem) { nav { position: static; width: auto; border: 0 }
  main { margin: 0; padding: 1rem } td:first-child { white-space: normal }
  td code { overflow-wrap: anywhere } }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
_NULL = re.compile(r" or null$| or null(?= up to)| \| null")

Json = Mapping[str, Any]


async def get_page(call: Call) -> Response:
    """GET /docs."""
    page: bytes = getattr(call.request.app.state, PAGE)
    return Response(page, media_type="text/html; charset=utf-8", headers=_HEADERS)


def render(document: Json) -> bytes:
    """Return the page for an OpenAPI document."""
    return "".join(_Page(document).parts()).encode()


class _Page:
    """The page of one document, piece by piece."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]
        self._by_tag: dict[str, list[tuple[str, str, Json]]] = {}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                found = self._by_tag.setdefault(operation["tags"][0], [])
                found.append((method.upper(), path, operation))

    def parts(self) -> Iterator[str]:
        """Give the page."""
        info = self._document["info"]
        title = f"{escape(info['title'])} API"
        yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        yield f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        yield f"<style>{_STYLE}</style></head><body>"
        yield from self._navigation(title)
        yield f"<main><h1>{title}</h1><p>Version {escape(info['version'])} · "
        yield '<a href="/v1/openapi.json">OpenAPI document</a></p>'
        yield _paragraphs(info["description"])
        for tag, operations in self._by_tag.items():
            yield f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>'
            for method, path, operation in operations:
                yield from self._operation(method, path, operation)
        yield from self._webhooks()
        yield "</main></body></html>\n"

    def _navigation(self, title: str) -> Iterator[str]:
        yield f'<nav aria-label="Operations"><p><strong>{title}</strong></p>'
        for tag, operations in self._by_tag.items():
            yield f'<a href="#{_anchor(tag)}"><strong>{escape(tag)}</strong></a><ul>'
            for _, _, one in operations:
                yield f'<li><a href="#{one["operationId"]}">{escape(one["summary"])}</a></li>'
            yield "</ul>"
        yield '<a href="#posts"><strong>Posts to webhooks</strong></a></nav>'

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        yield f'<section><h3 id="{operation["operationId"]}"><span class="method">{method}</span> '
        yield f'<span class="path">{escape(path)}</span></h3>'
        yield f"<p><strong>{escape(operation['summary'])}.</strong></p>"
        yield _paragraphs(operation["description"])
        parameters = operation["parameters"]
        if parameters:
            rows = [(f"{one['name']}", one["schema"], one["description"]) for one in parameters]
            yield "<h4>Path, query, headers</h4>" + _table(
                _row(name, _kind(schema), meaning) for name, schema, meaning in rows
            )
        yield from self._request(operation.get("requestBody", {}).get("content", {}))
        yield from self._answers(operation["responses"])
        yield "</section>"

    def _request(self, content: Json) -> Iterator[str]:
        for media, one in content.items():
            yield f"<h4>Body, {escape(media)}</h4>" + self._fields(one["schema"])
            for example in one.get("examples", {}).values():
                value = example["value"]
                shown = _pretty(value) if media == JSON else str(value)
                yield f"<h4>{escape(example['summary'])}</h4><pre>{escape(shown)}</pre>"

    def _answers(self, responses: Json) -> Iterator[str]:
        for status, response in responses.items():
            for media, one in response["content"].items():
                if one["schema"].get("$ref", "").endswith("/Problem"):
                    continue
                yield f"<details><summary>Answer {status}, {escape(media)}</summary>"
                yield self._fields(one["schema"])
                example = self._resolved(one["schema"]).get("examples", [None])[0]
                yield f"<pre>{escape(_pretty(example))}</pre>" if example else ""
                yield "</details>"
        errors = (
            f"{status} {one['description']}"
            for status, one in responses.items()
            if status.isdigit() and int(status) >= 400
        )
        shown = escape(", ".join(errors))
        yield f"<p>Errors: {shown}.</p>" if shown else ""

    def _webhooks(self) -> Iterator[str]:
        yield '<h2 id="posts">Posts to webhooks</h2>'
        yield "<p>Signed after Standard Webhooks 1.0. Answer with any 2xx.</p>"
        for name, item in self._document["webhooks"].items():
            operation = item["post"]
            example = operation["requestBody"]["content"][JSON]["example"]
            yield f"<details><summary><code>{escape(name)}</code> {escape(operation['summary'])}"
            yield f"</summary><pre>{escape(_pretty(example))}</pre></details>"

    def _resolved(self, schema: Json) -> Json:
        name = schema.get("$ref", "").rpartition("/")[2]
        return self._schemas[name] if name else schema

    def _fields(self, schema: Json) -> str:
        """Return the table of an object's fields, nested ones with their whole path."""
        rows = list(self._rows(schema, "", set()))
        return _table(rows) if rows else f"<p>{_inline(schema.get('description', ''))}</p>"

    def _rows(self, schema: Json, prefix: str, seen: set[str]) -> Iterator[str]:
        """Give a row for each field; what several fields refer to is shown the first time."""
        if schema.get("$ref") in seen:
            return
        if "$ref" in schema:
            seen.add(schema["$ref"])
        schema = self._resolved(schema)
        for one in schema.get("anyOf", ()):
            yield from self._rows(one, prefix, seen)
        if "items" in schema:
            yield from self._rows(schema["items"], f"{prefix}[]", seen)
        is_wish = schema.get("additionalProperties") is False
        required = schema.get("required", ())
        for name, one in schema.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            kind = _kind(one)
            if is_wish:  # null is as good as leaving a field out: no word of it
                kind = _NULL.sub("", kind) + (", required" if name in required else "")
            meaning = one.get("description") or self._resolved(one).get("description", "")
            yield _row(path, kind, meaning)
            yield from self._rows(one, path, seen)


def _kind(schema: Json) -> str:
    """Return what values a schema allows, in a few words."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join("null" if one is None else str(one) for one in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    kinds = schema.get("type", "any")
    words = " or ".join([kinds] if isinstance(kinds, str) else kinds)
    if schema.get("format") == "date-time":
        words = words.replace("string", "time")
    if "items" in schema:
        words = words.replace("array", f"array of {_kind(schema['items'])}")
    bounds = (f"{mark}{schema[key]}" for key, mark in _BOUNDS.items() if key in schema)
    return " ".join((words, *bounds))


_BOUNDS = {"minimum": "≥", "maximum": "≤", "maxLength": "up to ", "maxItems": "up to "}


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _table(rows: Iterator[str] | list[str]) -> str:
    return f"<table>{''.join(rows)}</table>"


def _row(name: str, kind: str, meaning: str) -> str:
    cells = (f"<code>{escape(name)}</code>", escape(kind), _inline(meaning))
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(one)}</p>" for one in text.split("\n\n"))


def _inline(text: str) -> str:
    """Return text as HTML, with the two marks of Markdown that are used here."""
    marked = _CODE.sub(r"<code>\1</code>", escape(text))
    return _BOLD.sub(r"<strong>\1</strong>", marked)


def _anchor(tag: str) -> str:
    return escape(tag.lower().replace(" ", "-"))
