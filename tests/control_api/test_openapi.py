"""The document against the application: every route, field and example is in it, and is true."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from config.api import Login
from control_api import openapi
from control_api.app import ROUTES, build_app
from control_api.docs_page import render
from control_api.fields import Fields
from control_api.logins import Logins
from control_api.routes import Route
from control_api.schemas import stats as stats_schemas
from control_api.schemas.base import JSON, UNDOCUMENTED
from control_api.stats import METRICS
from control_api.tracker import Tracker
from mta.core.access import ADMIN, Access
from mta.core.api_key import key_hash, last4
from storage import tenants
from storage.stats import Group
from tests.control_api.conftest import EMAIL, NOW, Api, random_key
from tests.control_api.test_domains import FakeWork
from tests.support.asgi import Client, Reply

DOCUMENT = json.loads(json.dumps(openapi.document(ROUTES, "")))
EMAIL_ID = "em_01KJMQ0R00000000000000000E"
"""The email of the examples; here it is one that there is."""
TEMPLATE_ID = "tpl_01KJMQ0R000000000000000001"
"""The template of the examples, likewise."""
AUDIENCE_ID = "aud_01KJMQ0R00000000000000000A"
"""The audience of the examples, likewise."""
CAMPAIGN = {"name": "c", "recipients": ["x@example.net"], "from": "s@sender.example", "text": "Hi"}
AUTOMATION = {"name": "a", "trigger": {"type": "api"}, "steps": [{"type": "wait", "days": 1}]}
LISTENER = "https://127.0.0.1:8443"
"""Stands for the app's server in the examples; it is only looked up."""
TEMPLATE = {"name": "order", "subject": "Order {{ number }}", "text": "Thank you."}
USER = {"email": "ant@shop.example", "password": "correct horse battery", "role": "owner"}
OTHERWISE = {
    "POST /v1/mail/send": (422, "nobody carries letters"),
    "POST /v1/mail": (422, "nobody carries letters"),
    "POST /v1/sms": (422, "nobody carries text messages"),
    "GET /v1/mail/{id}": (404, "there are no letters"),
    "POST /v1/mail/{id}/cancel": (404, "there are no letters"),
    "GET /v1/sms/{id}": (404, "there are no text messages"),
    "DELETE /v1/contacts/{id}/tags": (422, "no tag is named"),
    "POST /v1/audiences/{id}/contacts/{contact}/subscribe": (409, "the address is suppressed"),
    "POST /v1/audiences/{id}/contacts/{contact}/resend-confirmation": (409, "nobody is asked"),
    "POST /v1/emails/{id}/retry": (409, "nothing of it has failed"),
    "POST /v1/batches/{id}/cancel": (409, "nothing of it waits: the address is suppressed"),
    "POST /v1/campaigns/{id}/pause": (409, "it is a draft"),
    "POST /v1/campaigns/{id}/resume": (409, "likewise"),
    "POST /v1/campaigns/{id}/cancel": (409, "likewise"),
    "POST /v1/logout": (409, "a key is nobody's session"),
    "POST /v1/me/password": (409, "a key has no password"),
    "POST /login/{token}": (404, "a made-up token"),
    "POST /v1/automations/{id}/execute": (409, "a run for the contact is under way"),
    "GET /u/{token}": (404, "a made-up token"),
    "POST /u/{token}": (404, "a made-up token"),
    "GET /c/{token}": (404, "a made-up token"),
    "POST /c/{token}": (404, "a made-up token"),
    "GET /t/c/{token}/{target}": (404, "a made-up token"),
    "POST /v1/webhooks/{id}/test": (200, "nobody listens, which is told in the body"),
}
"""Where the example cannot succeed, what comes instead."""


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def operation(route: Route) -> Any:
    return DOCUMENT["paths"][route.path][route.method.lower()]


def closed(schema: Any) -> Any:
    """Return a schema that allows no property which it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(one) for key, one in schema.items()}
    if "properties" in inner and inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


COMPONENTS = {
    **DOCUMENT["components"],
    "schemas": {key: closed(one) for key, one in DOCUMENT["components"]["schemas"].items()},
}


def assert_valid(value: Any, schema: Any) -> None:
    validator = Draft202012Validator({**closed(schema), "components": COMPONENTS})
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, f"{errors}\n{json.dumps(value, indent=1)}"


class World:
    """An installation with something of everything, asked with an admin key."""

    def __init__(self, api: Api) -> None:
        served = replace(api.settings.api, public_url="https://mail.sender.test")
        api.services = replace(
            api.services,
            domain_work=FakeWork(api),
            settings=replace(api.settings, api=served),
            tracker=Tracker(api.database, served.public_url),
        )
        api.services.gate.logins = Logins(Login(enabled=True), api.clock)
        api.app = build_app(api.services)
        api.client = api.client_with(self._admin_key(api))
        self.client = api.client
        self.ids: dict[str, str] = {}

    @staticmethod
    def _admin_key(api: Api) -> str:
        """Put a key with the scope admin in the place of the one that the application came with."""
        key, key_id = random_key(), api.services.new_id("key")
        api.database.write_now(lambda db: tenants.revoke_key(db, api.key_id(api.key), NOW))
        api.database.write_now(
            lambda db: tenants.create_key(
                db,
                tenant_id=1,
                name="admin",
                key_id=key_id,
                key_hash=key_hash(key),
                last4=last4(key),
                now=NOW,
                access=Access(scopes=(ADMIN,)),
            )
        )
        return key

    async def prepare(self) -> None:
        mail = EMAIL | {"to": "ant@example.net", "send_at": "in 2 hours"}
        made = {
            "webhooks": await self.client.post("/v1/webhooks", {"url": LISTENER}),
            "domains": await self.client.post("/v1/domains", {"name": "sender.example"}),
            "api-keys": await self.client.post("/v1/api-keys", {"name": "other"}),
            "tenants": await self.client.post("/v1/tenants", {"name": "other"}),
            "emails": await self.client.post("/v1/emails", mail),
            "suppressions": await self.client.post("/v1/suppressions", {"email": "x@example.net"}),
            "templates": await self.client.post("/v1/templates", TEMPLATE),
            "users": await self.client.post("/v1/users", USER),
            "campaigns": await self.client.post("/v1/campaigns", CAMPAIGN),
            "automations": await self.client.post("/v1/automations", AUTOMATION),
        }
        person = {"email": "x@example.net"}
        made["contacts"] = await self.client.post("/v1/contacts", person)
        made["audiences"] = await self.client.post("/v1/audiences", {"name": "News"})
        members = f"/v1/audiences/{made['audiences'].json['id']}/contacts"
        made["memberships"] = await self.client.post(members, person)
        queued = await self.client.post(members.replace("/contacts", "/imports"), {"contacts": []})
        assert queued.status == 202
        batch = [EMAIL | {"to": "x@example.net"}]
        made["batches"] = await self.client.post("/v1/emails/batch", batch)
        assert all(one.status == 200 for one in made.values()), made
        self.ids = {area: reply.json["id"] for area, reply in made.items()}
        self.ids["imports"] = queued.json["id"]
        published = await self.client.post(f"/v1/templates/{self.ids['templates']}/publish")
        assert published.status == 200
        events = (await self.client.get(f"/v1/emails/{self.ids['emails']}/events")).json
        self.event_id = events["data"][0]["id"]
        runs = f"/v1/automations/{self.ids['automations']}"
        begun = await self.client.post(f"{runs}/execute", person)
        assert begun.status == 200, begun.json
        self.run_id = begun.json["id"]

    def target(self, route: Route) -> str:
        area = route.path.removeprefix("/v1/").partition("/")[0]
        values = {
            "id": self.ids.get(area, ""),
            "event_id": self.event_id,
            "run_id": self.run_id,
            "token": "x" * 40,
            "target": "x",
            "contact": "x@example.net",
            "tag": "FNAME",
            "log": "tracking",
        }
        return route.path.format(email="x@example.net", **values)

    async def ask(self, route: Route, example: Any = None, media: str = JSON) -> Reply:
        text = example if isinstance(example, str) else json.dumps(example)
        text = text.replace(EMAIL_ID, self.ids["emails"]).replace(
            TEMPLATE_ID, self.ids["templates"]
        )
        text = text.replace(AUDIENCE_ID, self.ids["audiences"])
        text = text.replace("https://shop.example.com/hooks", f"{LISTENER}/hooks")
        body = b"" if example is None else text.encode()
        headers = {"Content-Type": media} if body else {}
        return await self.client.request(
            route.method, self.target(route), body=body, headers=headers
        )


@pytest.fixture
async def world(api: Api) -> World:
    world = World(api)
    await world.prepare()
    return world


def test_every_route_is_in_it_and_nothing_else() -> None:
    assert not [name(route) for route in ROUTES if route.spec is UNDOCUMENTED]
    documented = {
        f"{method.upper()} {path}" for path, one in DOCUMENT["paths"].items() for method in one
    }
    assert documented == {name(route) for route in ROUTES} == openapi.SPECS.keys()


def test_it_is_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    ids = [operation(route)["operationId"] for route in ROUTES]
    assert len(set(ids)) == len(ids)
    for route in ROUTES:
        inside = {one["name"] for one in operation(route)["parameters"] if one["in"] == "path"}
        assert inside == set(re.findall(r"{(\w+)}", route.path))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert names == DOCUMENT["components"]["schemas"].keys()


def _schemas(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        for one in value.values():
            yield from _schemas(one)
    elif isinstance(value, list):
        for one in value:
            yield from _schemas(one)


def test_every_schema_is_one() -> None:
    schemas = [*_schemas(DOCUMENT), *DOCUMENT["components"]["schemas"].values()]
    assert len(schemas) > len(ROUTES)
    for schema in schemas:
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("component", sorted(DOCUMENT["components"]["schemas"]))
def test_examples_of_components_are_valid(component: str) -> None:
    schema = DOCUMENT["components"]["schemas"][component]
    for example in schema.get("examples", ()):
        assert_valid(example, schema)


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_examples_of_requests_are_valid(route: Route) -> None:
    for media, content in operation(route).get("requestBody", {}).get("content", {}).items():
        for example in content.get("examples", {}).values():
            if media == JSON:
                assert_valid(example["value"], content["schema"])


@pytest.mark.parametrize("route", ROUTES, ids=name)
async def test_examples_work_and_answers_are_as_described(world: World, route: Route) -> None:
    media = next(iter(route.spec.request), JSON)
    expected, _ = OTHERWISE.get(name(route), (route.spec.status, ""))
    for example in [*route.spec.examples.values()] or [None]:
        reply = await world.ask(route, example, media)
        assert reply.status == expected, reply.body
        response = operation(route)["responses"][str(reply.status)]
        answered = reply.headers["content-type"].partition(";")[0]
        if answered == JSON:
            assert_valid(reply.json, response["content"][JSON]["schema"])
        assert answered in response["content"]


@pytest.mark.parametrize("route", [one for one in ROUTES if "{id}" in one.path], ids=name)
async def test_errors_are_as_described(world: World, route: Route) -> None:
    target = route.path.format(
        id="no-such", event_id="no-such", run_id="x", contact="no-such", tag="x", log="x"
    )
    example = next(iter(route.spec.examples.values()), None)
    body = b"" if example is None else json.dumps(example).encode()
    reply = await world.client.request(route.method, target, body=body)
    assert reply.status == 404 or (reply.status == 200 and route.method == "DELETE")
    response = operation(route)["responses"][str(reply.status)]
    assert_valid(reply.json, response["content"][JSON]["schema"])


# --- Fields: what handlers take is what the document names ---------------------------------------


class Taken:
    """Notes which fields are asked for, by the path of their object."""

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = defaultdict(set)

    def note(self, fields: Fields, name: str) -> None:
        self.names[re.sub(r"\[\d+\]", "[]", fields.path)].add(name)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Taken:
    """Fields that keep a record: the readers have no other place to look into them."""
    taken, take = Taken(), Fields.take

    def noting(fields: Fields, name: str) -> Any:
        taken.note(fields, name)
        return take(fields, name)

    monkeypatch.setattr(Fields, "take", noting)
    return taken


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield the path of each object in a schema, and the properties that it may have."""
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for one in schema.get("anyOf", ()):
        yield from properties(one, path)
    if "items" in schema:
        yield from properties(schema["items"], f"{path}[]")
    if schema.get("additionalProperties") is False:
        yield path, set(schema["properties"])
        for key, one in schema["properties"].items():
            yield from properties(one, f"{path}.{key}" if path else key)


REFUSED = {"path"}
"""Fields that are asked for to say better why they are refused."""
STORED = {"POST /v1/automations/{id}/execute": {"trigger", "conditions", "steps", "reentry"}}
"""Fields of what storage has kept, where the same reader reads it again."""
BODIES = [
    route for route in ROUTES if JSON in route.spec.request and route.path != "/v1/emails/batch"
]
QUERIES = [route for route in ROUTES if route.method == "GET" and route.spec.parameters]


@pytest.mark.parametrize("route", BODIES, ids=name)
async def test_every_field_of_a_body_is_described(world: World, taken: Taken, route: Route) -> None:
    described: dict[str, set[str]] = defaultdict(set)
    for path, names in properties(operation(route)["requestBody"]["content"][JSON]["schema"]):
        described[path] |= names
    taken.names.clear()
    for example in [*route.spec.examples.values(), {}]:
        await world.ask(route, example)
    for path, names in taken.names.items():
        if path in described:
            assert names - REFUSED - STORED.get(name(route), set()) == described[path], path
    assert taken.names[""], "nothing was read"


@pytest.mark.parametrize("route", QUERIES, ids=name)
async def test_every_parameter_is_described(world: World, taken: Taken, route: Route) -> None:
    taken.names.clear()
    await world.ask(route)
    described = {one.name for one in route.spec.parameters if one.place == "query"}
    refused = {"before"} if "before" not in described else set()
    assert taken.names[""] - refused == described


def test_words_that_are_listed_twice_are_the_same() -> None:
    assert tuple(METRICS) == stats_schemas.METRICS
    assert tuple(one.value for one in Group) == stats_schemas.GROUPS


# --- Served --------------------------------------------------------------------------------------


async def test_document_is_served_to_everybody(api: Api) -> None:
    reply = await api.anonymous.get("/v1/openapi.json", host="evil.example")
    assert (reply.status, reply.headers["content-type"]) == (200, JSON)
    assert reply.json == DOCUMENT
    assert b"evil" not in reply.body


async def test_servers_name_the_configured_url_only(api: Api) -> None:
    settings = replace(api.settings.api, public_url="https://mail.sender.test")
    api = api.with_settings(api=settings)
    reply = await api.anonymous.get("/v1/openapi.json")
    assert reply.json["servers"] == [{"url": "https://mail.sender.test"}]


class _Assets(HTMLParser):
    """Collects what a page would load, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.add(value or "")
            elif key == "href" and tag == "a":
                self.links.append(value or "")
            elif key in {"src", "href", "style", "action"} or key.startswith("on"):
                self.loads.append(f"{tag} {key}={value}")


async def test_page_for_people_names_every_operation_and_loads_nothing(api: Api) -> None:
    reply = await api.anonymous.get("/docs")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    page = reply.body.decode()
    for route in ROUTES:
        assert f'<span class="path">{route.path}</span>' in page
    parser = _Assets()
    parser.feed(page)
    assert parser.loads == []
    assert not parser.tags & {"script", "img", "link", "iframe", "form"}
    assert {link[1:] for link in parser.links if link.startswith("#")} <= parser.ids
    assert [link for link in parser.links if not link.startswith("#")] == ["/v1/openapi.json"]


def test_page_escapes_what_is_in_the_document() -> None:
    evil = json.loads(json.dumps(DOCUMENT).replace("Send an email", "<script>alert(1)</script>"))
    assert b"<script>" not in render(evil)


# --- Media types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("application/json; charset=utf-16", 415),
        ('application/json; charset="latin-1"', 415),
    ],
)
async def test_media_types(api: Api, media: str, status: int) -> None:
    reply = await api.client.request(
        "POST", "/v1/emails", body=json.dumps(EMAIL).encode(), headers={"Content-Type": media}
    )
    assert reply.status == status


async def test_media_type_may_be_left_out_and_means_nothing_without_a_body(api: Api) -> None:
    assert (await api.client.post("/v1/emails", EMAIL)).status == 200
    client = Client(api.app, {**api.client.headers, "Content-Type": "text/plain"})
    assert (await client.get("/v1/emails")).status == 200
