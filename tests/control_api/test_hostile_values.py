"""Text made to be taken for SQL, patterns, paths or ranges, wherever the API takes text.

Every route and every parameter that the OpenAPI document has is asked, so that new ones are too.
"""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import quote

import pytest

from mta.core.access import ADMIN, Access
from tests.control_api.conftest import EMAIL, Api

HOSTILE = [
    "'",
    '"',
    "'; DROP TABLE messages; --",
    "' OR '1'='1",
    "1) UNION SELECT key_hash FROM api_keys --",
    "%",
    "_",
    "*",
    "[a-z]",
    "\\",
    "\0",
    "../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "{0.__class__}",
    "9" * 400,
    "-1",
    "created_at DESC",
    "\u202e",
    "x" * 3000,
]
TABLES = ["messages", "entries", "events", "api_keys", "suppressions", "tenants", "webhooks"]


async def operations(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await api.anonymous.get("/v1/openapi.json")).json
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def names(operation: dict[str, Any], place: str) -> list[str]:
    return [one["name"] for one in operation.get("parameters", []) if one.get("in") == place]


def counts(api: Api) -> dict[str, int]:
    return {table: api.count(table) for table in TABLES}


async def test_h10_h11_h12_hostile_queries_are_values_or_refused(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL)
    client = api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))
    before, asked = counts(api), 0
    for method, path, operation in await operations(api):
        if method != "GET" or "{" in path or path.endswith(("/poll", "/events")):
            continue
        for name, value in itertools.product(names(operation, "query"), HOSTILE):
            reply = await client.get(f"{path}?{name}={quote(value)}")
            assert reply.status in {200, 400, 422}, (path, name, value, reply.body)
            assert b"Traceback" not in reply.body
            assert b"sqlite" not in reply.body.lower()
            asked += 1
    assert asked > 500
    assert counts(api) == before


async def test_h10_h12_hostile_ids_are_not_found(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL)
    before = counts(api)
    for method, path, _ in await operations(api):
        if "{" not in path:
            continue
        for value in HOSTILE:
            target = re.sub(r"{\w+}", quote(value, safe=""), path)
            body = b"{}" if method in {"POST", "PATCH", "PUT"} else b""
            reply = await api.client.request(method, target, body=body)
            assert reply.status in {200, 204, 400, 403, 404, 405, 409, 415, 422}, (method, target)
            assert b"root:" not in reply.body
    assert counts(api) == before


@pytest.mark.parametrize("value", HOSTILE)
async def test_h10_hostile_text_comes_back_as_it_was(api: Api, value: str) -> None:
    fields = {"subject": value, "tags": {"kind": value}, "metadata": {value[:40]: value}}
    reply = await api.client.post("/v1/emails", EMAIL | fields)
    if reply.status == 200:
        shown = (await api.client.get(f"/v1/emails/{reply.json['id']}")).json
        assert shown["subject"] == value
        assert shown["metadata"] == {value[:40]: value}
    else:
        assert reply.status == 422, reply.body
    assert api.count("messages") == (reply.status == 200)
    assert api.count("api_keys") == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [("_", ["a_b@x.example"]), ("%", ["a%b@x.example"]), ("a*b", []), ("a?b", []), ("\\", [])],
)
async def test_h11_wildcards_are_letters(api: Api, text: str, found: list[str]) -> None:
    for address in ("a_b@x.example", "a%b@x.example", "aXb@x.example"):
        await api.client.post("/v1/suppressions", {"email": address})
    assert api.count("suppressions") == 3
    listed = (await api.client.get(f"/v1/suppressions?q={quote(text)}")).json["data"]
    assert [one["email"] for one in listed] == found


async def test_j13_no_route_serves_ranges(api: Api) -> None:
    email_id = (await api.client.post("/v1/emails", EMAIL)).json["id"]
    bomb = "bytes=" + ",".join(["0-"] * 5000)
    for path in ("raw", "content"):
        whole = await api.client.get(f"/v1/emails/{email_id}/{path}")
        reply = await api.client.get(f"/v1/emails/{email_id}/{path}", range=bomb)
        assert (reply.status, reply.body) == (200, whole.body)
        assert "multipart" not in reply.headers["content-type"]
        assert "accept-ranges" not in reply.headers
