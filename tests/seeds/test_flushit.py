"""FlushIt, row by row: account, credits, contacts, domains, templates, limits and errors.

Jobs are in test_flushit_jobs.py, webhooks in test_flushit_webhooks.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.compat import Compat, CompatLimits
from control_api.dialects.flushit import DIALECT
from control_api.dialects.flushit_shapes import UNCOUNTED
from mta.core.access import Access
from mta.core.rate_limit import parse_limit
from tests.control_api.conftest import Api
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row
from tests.support.asgi import Reply

BASES = ("", "/compat/flushit")
STRANGER = "203.0.113.9"
LIMITS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
ERROR = {"error": {"code": str, "message": str, "status": int}, "message": str}


@pytest.fixture(params=BASES, ids=["root", "prefix"])
def flushit(api: Api, request: pytest.FixtureRequest) -> Service:
    return Service(api, request.param, {"X-API-Key": api.key})


def at_root(api: Api) -> Service:
    return Service(api, "", {"X-API-Key": api.key})


@row("F-01")
async def test_me(flushit: Service) -> None:
    found = await flushit.ok("GET", "/api/auth/me")
    shape = {"email": str, "role": "user", "creditBalance": int, "createdAt": str}
    assert_shape(found, {"user": {"id": str, **shape}})
    assert found["user"]["id"].startswith("usr_")


@row("F-02")
async def test_balance_while_nobody_counts(flushit: Service) -> None:
    found = await flushit.ok("GET", "/api/credits/balance")
    assert found == {"balance": UNCOUNTED, "reserved": 0, "available": UNCOUNTED}


@row("F-06", "F-07", "F-08")
async def test_templates(flushit: Service) -> None:
    wish = {
        "name": "Welcome Email",
        "type": "html",
        "subject": "Welcome to FlushIt!",
        "htmlContent": "<h1>Welcome!</h1>",
    }
    made = await flushit.ok("POST", "/api/templates", wish)
    shown = {name: wish[name] for name in ("name", "type", "subject")}
    assert_shape(made, {"template": {"id": str, "createdAt": str, **shown}})
    template = made["template"]
    assert await flushit.ok("GET", "/api/templates") == {"templates": [template]}
    native = await flushit.native_ok("GET", f"/v1/templates/{template['id']}")
    assert (native["html"], native["published_version"]) == ("<h1>Welcome!</h1>", 1)
    gone = await flushit.ok("DELETE", f"/api/templates/{template['id']}")
    assert gone == {"success": True}
    assert await flushit.ok("GET", "/api/templates") == {"templates": []}


@row("F-25")
async def test_templates_of_other_types(flushit: Service) -> None:
    wish = {
        "name": "Order",
        "type": "sendgrid",
        "subject": "Order {{number}}",
        "htmlContent": "{{#each items}}<p>{{name}}{{#if new}}!{{/if}}</p>{{/each}}",
    }
    made = (await flushit.ok("POST", "/api/templates", wish))["template"]
    assert made["type"] == "sendgrid"
    items = [{"name": "Leaf", "new": True}, {"name": "Twig"}]
    path = f"/v1/templates/{made['id']}/render"
    said = await flushit.native_ok("POST", path, {"variables": {"number": 7, "items": items}})
    assert (said["subject"], said["html"]) == ("Order 7", "<p>Leaf!</p><p>Twig</p>")
    written = await flushit.ok("POST", "/api/templates", wish | {"type": "ai", "htmlContent": "x"})
    assert written["template"]["type"] == "ai"
    made_here = {"name": "here", "html": "x", "kind": "letter"}
    await flushit.native_ok("POST", "/v1/templates", made_here)
    types = [one["type"] for one in (await flushit.ok("GET", "/api/templates"))["templates"]]
    assert types == ["html", "ai", "sendgrid"]


@row("F-25")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"type": "mjml"}, "type"),
        ({"htmlContent": '{{insert name "default=you"}}'}, "insert"),
        ({"subject": "{{{name}}}"}, "{{{name}}}"),
        ({"htmlContent": "{{#if a}}x"}, "#if"),
        ({"htmlContent": None}, "html"),
        ({"name": 7}, "name"),
    ],
)
async def test_templates_that_cannot_be(api: Api, change: dict[str, Any], named: str) -> None:
    wish = {"name": "a", "type": "sendgrid", "subject": "b", "htmlContent": "c"}
    reply = await at_root(api).call("POST", "/api/templates", wish | change)
    assert reply.status == 400
    assert named in reply.json["message"]


async def add_contacts(flushit: Service, *names: str, **more: Any) -> Any:
    contacts = [{"email": f"{name}@example.net", **more} for name in names]
    return await flushit.ok("POST", "/api/contacts", {"contacts": contacts})


@row("F-09", "F-10", "F-11")
async def test_contacts(flushit: Service) -> None:
    made = await add_contacts(flushit, "new", "ant", tags=["imported"])
    assert made == {"imported": 2, "duplicates": 0, "errors": 0}
    page = await flushit.ok("GET", "/api/contacts?search=new")
    shown = {"email": "new@example.net", "tags": ["imported"], "createdAt": str}
    assert_shape(page, {"contacts": [{"id": str, **shown}], "total": 1, "page": 1})
    second = await flushit.ok("GET", "/api/contacts?page=2&limit=1")
    assert (second["total"], second["page"]) == (2, 2)
    assert [one["email"] for one in second["contacts"]] == ["new@example.net"]
    gone = await flushit.ok("DELETE", f"/api/contacts/{page['contacts'][0]['id']}")
    assert gone == {"success": True}
    assert (await flushit.ok("GET", "/api/contacts"))["total"] == 1


@row("F-10")
async def test_one_contact_duplicates_and_errors(flushit: Service) -> None:
    one = {"email": "ant@example.net", "tags": ["a"], "unknown": 1}
    made = await flushit.ok("POST", "/api/contacts", one)
    assert made == {"imported": 1, "duplicates": 0, "errors": 0}
    mixed = [one | {"tags": ["b"]}, {"email": "nobody"}, 7, {"email": "bee@example.net"}]
    made = await flushit.ok("POST", "/api/contacts", {"contacts": mixed})
    assert made == {"imported": 1, "duplicates": 1, "errors": 2}
    [found] = (await flushit.ok("GET", "/api/contacts?q=ant"))["contacts"]
    assert found["tags"] == ["a", "b"]


@row("F-10")
async def test_more_contacts_than_a_native_request_takes(api: Api) -> None:
    names = [f"bee{number}" for number in range(1500)]
    made = await add_contacts(at_root(api), *names)
    assert made == {"imported": 1500, "duplicates": 0, "errors": 0}


@row("F-12", "F-13", "F-14")
async def test_domains(flushit: Service) -> None:
    made = await flushit.ok("POST", "/api/domains", {"domain": "yourdomain.example"})
    records = [{"type": str, "host": str, "value": str}]
    shown = {"domain": "yourdomain.example", "verified": False, "dnsRecords": records}
    assert_shape(made, {"domain": {"id": str, **shown}})
    path = f"/api/domains/{made['domain']['id']}/verify"
    for method in ("POST", "GET"):
        looked = await flushit.ok(method, path)
        assert_shape(looked, {"verified": True, "dkimConfigured": bool})
    listed = await flushit.ok("GET", "/api/domains")
    one = {"id": made["domain"]["id"], "domain": "yourdomain.example", "verified": True}
    assert_shape(listed, {"domains": [{**one, "dkimConfigured": bool, "createdAt": str}]})


@row("F-19")
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer x"}])
async def test_no_good_key_no_answer(flushit: Service, headers: dict[str, str]) -> None:
    flushit.client.headers = headers
    reply = await flushit.call("GET", "/api/credits/balance")
    assert reply.status == 401
    assert_shape(reply.json, ERROR)
    assert "X-API-Key" in reply.json["message"]


def limited(api: Api, *limits: str) -> Service:
    compat = Compat(limits=CompatLimits(flushit=tuple(map(parse_limit, limits))))
    flushit = at_root(api.with_settings(compat=compat))
    flushit.client.address = STRANGER
    return flushit


@row("F-20")
async def test_the_limits_of_the_document() -> None:
    windows = DIALECT.limits(Compat())[""]
    assert [(one.quota, one.window.total_seconds()) for one in windows] == [
        (100, 60),
        (5_000, 3_600),
        (50_000, 86_400),
    ]


@row("F-20")
@pytest.mark.parametrize("windows", [("3/m", "9/h", "9/d"), ("9/m", "3/h", "9/d")])
async def test_one_request_too_many_in_any_window(api: Api, windows: tuple[str, ...]) -> None:
    flushit = limited(api, *windows)
    for left in (2, 1, 0):
        reply = await flushit.call("GET", "/api/contacts")
        assert (reply.status, reply.headers["x-ratelimit-remaining"]) == (200, str(left))
        assert reply.headers["x-ratelimit-limit"] == "3"
    refused = await flushit.call("GET", "/api/contacts")
    assert refused.status == 429
    assert_shape(refused.json, ERROR)
    assert int(refused.headers["retry-after"]) > 0
    assert set(LIMITS) <= refused.headers.keys()


@row("F-20")
async def test_every_response_tells_the_limits(flushit: Service) -> None:
    async def tells(reply: Reply, status: int) -> None:
        assert reply.status == status
        assert all(reply.headers[name].isdigit() for name in LIMITS), reply.headers

    await tells(await flushit.call("GET", "/api/contacts"), 200)
    await tells(await flushit.call("POST", "/api/domains", {}), 400)
    await tells(await flushit.call("GET", "/api/nothing"), 404)
    await tells(await flushit.call("PUT", "/api/contacts"), 405)
    packed = {"content-encoding": "gzip", "content-type": "application/json"}
    await tells(await flushit.call("POST", "/api/contacts", b"{}", packed), 400)
    flushit.client.headers = {}
    await tells(await flushit.call("GET", "/api/contacts"), 401)


@row("F-21")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/domains", {}, 400),
        ("POST", "/api/contacts", {"contacts": "all"}, 400),
        ("POST", "/api/contacts", [1], 400),
        ("POST", "/api/contacts", {}, 400),
        ("POST", "/api/webhooks", {"url": "nowhere", "events": []}, 400),
        ("POST", "/api/send", {"type": "email"}, 400),
        ("GET", "/api/contacts?page=none", None, 400),
        ("GET", "/api/contacts?limit=501", None, 400),
        ("POST", "/api/domains/dom_0/verify", None, 404),
        ("DELETE", "/api/contacts/ct_0", None, 404),
        ("DELETE", "/api/templates/tpl_0", None, 404),
        ("DELETE", "/api/webhooks/wh_0", None, 404),
        ("GET", "/api/send/job_0", None, 404),
        ("GET", "/api/tracking/cmp_0", None, 404),
        ("GET", "/api/nothing", None, 404),
    ],
)
async def test_errors(flushit: Service, method: str, path: str, body: Any, status: int) -> None:
    reply = await flushit.call(method, path, body)
    assert (reply.status, reply.json["error"]["status"]) == (status, status)
    assert_shape(reply.json, ERROR)
    assert reply.json["message"] == reply.json["error"]["message"]


@row("F-21")
async def test_what_cannot_be_read_and_what_a_key_may_not(api: Api) -> None:
    flushit = at_root(api)
    for media, body in (("application/json", b"{"), ("text/plain", b"x")):
        reply = await flushit.call("POST", "/api/contacts", body, {"content-type": media})
        assert reply.status == 400
        assert_shape(reply.json, ERROR)
    domain = json.dumps({"domain": "twice.example"}).encode()
    twice = [await flushit.call("POST", "/api/domains", domain) for _ in range(2)]
    assert [one.status for one in twice] == [200, 400]


@row("F-21")
async def test_the_scopes_of_a_key_hold_here_too(api: Api) -> None:
    key = api.new_key(access=Access(scopes=("contacts:read",)))
    reader = Service(api, "", {"X-API-Key": key})
    assert (await reader.call("GET", "/api/contacts")).status == 200
    refused = await reader.call("POST", "/api/contacts", {"contacts": []})
    assert refused.status == 403
    assert_shape(refused.json, ERROR)
