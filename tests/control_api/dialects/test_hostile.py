"""Whatever is sent to a dialect, it answers in its own form, and never with an error of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from control_api.app import DIALECTS
from control_api.dialects import emailflow
from control_api.dialects.base import Dialect, Media
from tests.control_api.conftest import Api
from tests.seeds.emailflow_client import EmailFlow
from tests.seeds.services import Service

WORD = "\u2028{{ x }}' OR 1=1 --\x7f"
VALUES: tuple[Any, ...] = (None, True, 0, -1, 2**70, 1.5, "", WORD, "x" * 2000, [], {}, [[]], [{}])
FIELDS = (
    *("EMAIL", "FIRST_NAME", "api_token", "appId", "contact", "contacts", "content", "data"),
    *("delivery_at", "description", "domain", "email", "emailAddress", "emails", "events", "from"),
    *("from_email", "from_name", "html", "htmlContent", "label", "list_uid", "listId", "mapping"),
    *("message_id", "mode", "name", "password", "recipients", "status", "subject", "subscribers"),
    *("tag", "tags", "to", "track_open", "trackOpens", "type", "url", "body", "text"),
)
RAW = (b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b"[" * 50, b'{"a":1,"a":2}')
FORMS = ("a[b]=1&a=2", "a[b][c][d][e][f][g][h]=1", "=&&==", "%ff=%00", "a[]=1&a[x]=2", "[]=1")
JSON = {"content-type": "application/json"}


def paths(dialect: Dialect, **known: str) -> list[tuple[str, str]]:
    """Return method and path of every call, with names that nothing has but for those known."""
    unknown = dict.fromkeys(
        ("id", "uid", "jobId", "job_uid", "list_uid", "email"), "ab%2612%27%20%C3%A9"
    )
    return [(one.method, one.path.format(**unknown | known)) for one in dialect.operations]


@pytest.fixture(params=DIALECTS, ids=lambda one: one.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


def service(api: Api, dialect: Dialect) -> Service:
    headers = {"Authorization": f"Bearer {api.key}", "X-API-Key": api.key}
    return Service(api, f"/compat/{dialect.name}", headers)


async def test_values_of_every_type(api: Api, dialect: Dialect) -> None:
    asked = service(api, dialect)
    for method, path in paths(dialect):
        for value in VALUES:
            body = json.dumps(dict.fromkeys(FIELDS, value)).encode()
            reply = await asked.call(method, path, body, JSON)
            assert reply.status < 500, (method, path, value, reply.body)
            assert isinstance(reply.json, (dict, list))


async def test_values_for_what_is_there(api: Api) -> None:
    flow = EmailFlow(api)
    uid = await flow.new_list("FIRST_NAME")
    campaign = {"list_uid": uid, "name": "n", "subject": "s"}
    sender = {"from_email": "ant@sender.example", "from_name": "Ant"}
    made = await flow.form("POST", "/campaigns", 201, **campaign, **sender)
    calls = {
        (method, path.replace("/api/v1", "", 1))
        for name in (uid, made["campaign_uid"])
        for method, path in paths(emailflow.DIALECT, uid=name, list_uid=uid, id="ant@example.net")
        if method in ("POST", "PATCH")
    }
    for value in VALUES:
        await flow.form("POST", "/subscribers", 201, list_uid=uid, EMAIL="ant@example.net")
        for method, path in calls:
            body = {**dict.fromkeys(FIELDS, value), "EMAIL": "ant@example.net", "list_uid": uid}
            reply = await flow.call(method, path, body)
            assert reply.status < 500, (method, path, value, reply.body)


async def test_bodies_that_cannot_be_read(api: Api, dialect: Dialect) -> None:
    asked = service(api, dialect)
    for method, path in paths(dialect):
        for raw in RAW:
            reply = await asked.call(method, path, raw, JSON)
            assert reply.status < 500, (method, path, raw, reply.body)
        if Media.FORM in dialect.bodies:
            for form in FORMS:
                media = {"content-type": "application/x-www-form-urlencoded"}
                reply = await asked.call(method, path, form.encode(), media)
                assert reply.status < 500, (method, path, form, reply.body)


async def test_queries_that_make_no_sense(api: Api, dialect: Dialect) -> None:
    asked = service(api, dialect)
    names = ("page", "limit", "per_page", "pageSize", "open", "click", "list_uid", "q", "appId")
    for method, path in paths(dialect):
        for value in ("0", "-1", "9" * 30, "\u0663", WORD, "%00"):
            query = urlencode(dict.fromkeys(names, value))
            reply = await asked.call(method, f"{path}?{query}")
            assert reply.status < 500, (method, path, value, reply.body)
