"""A sixth dialect, as CONTRIBUTING.md tells how to make one; and what holds for all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from config.loader import SettingsError
from config.settings import ApiLimits
from control_api.app import ROUTES
from control_api.body_guard import BodyGuard
from control_api.dialects.base import (
    Ask,
    Asked,
    Dialect,
    KeyPlace,
    Media,
    Operation,
    Refused,
    Reply,
    Steps,
)
from control_api.dialects.doors import Doors
from control_api.dialects.limits import DialectLimits
from control_api.dialects.reading import picked
from control_api.dialects.server import DialectRoute, Named
from control_api.errors import ApiError, problem_of, render
from control_api.middleware import RequestId, Unexpected
from control_api.rate_limits import RateLimitHeaders
from control_api.request_meter import Metered
from mta.core.access import Access
from mta.core.rate_limit import parse_limit
from storage.errors import StorageError
from tests.control_api.conftest import Api, parsed
from tests.support.asgi import Client
from tests.support.asgi import Reply as Answer


def send(asked: Asked) -> Steps:
    wish = picked(asked.fields, {"sender": "from", "rcpt": "to", "body": "text"})
    made = yield Ask("POST", "/v1/emails", body=wish, renamed={"from": "sender", "to": "rcpt"})
    return Reply({"ok": True, "id": made.value["id"]}, 201)


def twice(asked: Asked) -> Steps:
    wish = {"from": "ant@sender.example", "to": "bee@example.net", "text": "Hi"}
    first = yield Ask("POST", "/v1/emails", body=dict(wish))
    second = yield Ask("POST", "/v1/emails", body=wish | {"text": "Ho"})
    return Reply({"ids": [first.value["id"], second.value["id"]]})


def try_domain(_: Asked) -> Steps:
    try:
        yield Ask("GET", "/v1/domains/{id}", {"id": "dom_0"})
    except ApiError as refused:
        return Reply({"status": refused.problem.status})
    return Reply({})


def echo(asked: Asked) -> Steps:
    files = {name: [one.filename, one.data.decode()] for name, one in asked.files.items()}
    return Reply({"body": asked.body, "path": asked.path, "query": asked.query, "files": files})
    yield  # nothing is asked


def broken(asked: Asked) -> Steps:
    yield Ask("GET", "/v1/me")
    raise RuntimeError(str(asked.path))


def told(refused: Refused) -> Reply:
    problem = refused.problem
    return Reply({"buzz": problem.code, "why": problem.message}, problem.status)


BEES = Dialect(
    name="bees",
    title="Bees",
    operations=(
        Operation("B-01", "POST", "/hive/send", send, "Send"),
        Operation("B-02", "POST", "/hive/twice", twice, "Send two"),
        Operation("B-03", "GET", "/hive/domain", try_domain, "Look"),
        Operation("B-04", "POST", "/hive/echo/{id}", echo, "Say", bucket="echo"),
        Operation("B-05", "POST", "/hive/shared", echo, "Share", marks=frozenset({"honey"})),
        Operation("B-06", "GET", "/hive/public", echo, "Say to all", is_public=True),
        Operation("B-07", "GET", "/hive/broken", broken, "Fail"),
        Operation("B-08", "GET", "/hive/loose", echo, "Read anything", loose_body=True),
    ),
    render_error=told,
    root="/hive",
    keys=(KeyPlace.BEARER, KeyPlace.X_API_KEY, KeyPlace.QUERY, KeyPlace.FORM),
    bodies=(Media.JSON, Media.FORM, Media.MULTIPART),
    limits=lambda _: {"": [parse_limit("5/m")], "echo": [parse_limit("2/m")]},
)


def wasp_error(refused: Refused) -> Reply:
    return Reply({"sting": refused.problem.status}, 400)


WASPS = Dialect(
    name="wasps",
    title="Wasps",
    operations=(
        Operation("W-01", "POST", "/hive/shared", echo, "Share", marks=frozenset({"sting"})),
        Operation("W-02", "GET", "/hive/nest/{id}", echo, "Look"),
    ),
    render_error=wasp_error,
    root="/hive",
)
MAIL = {"sender": "ant@sender.example", "rcpt": "bee@example.net", "body": "Hi"}


def application(api: Api, hosts: Mapping[str, str] | None = None) -> Starlette:
    """Build what app.py builds, with these two dialects."""
    services = api.services
    doors = Doors((BEES, WASPS), hosts or {})
    limits = DialectLimits(services, services.now)

    async def answer(request: Any, error: Exception) -> Any:
        return render(problem_of(error), request)

    return Starlette(
        routes=[DialectRoute(ROUTES, services, limits)],
        middleware=[
            Middleware(RequestId, new_id=lambda: services.new_id("req")),
            Middleware(Named, doors=doors, limits=limits, now=services.now),
            Middleware(Metered, meter=services.requests, now=services.now),
            Middleware(RateLimitHeaders),
            Middleware(Unexpected),
            Middleware(BodyGuard, max_size=20_000),
        ],
        exception_handlers=dict.fromkeys((ApiError, HTTPException, StorageError), answer),
    )


@pytest.fixture
def hive(api: Api) -> Client:
    return Client(application(api), {"authorization": f"Bearer {api.key}"})


async def post(client: Client, path: str, body: Any, **headers: str) -> Answer:
    sent = {"content-type": "application/json", **headers}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.request("POST", path, body=data, headers=sent)


class TestOperations:
    async def test_an_email_of_a_service_that_does_not_exist(self, api: Api, hive: Client) -> None:
        made = await post(hive, "/hive/send", MAIL)
        assert made.status == 201
        assert parsed(api.stored(made.json["id"]))["To"] == "bee@example.net"

    async def test_what_the_native_api_refuses_is_told_in_the_callers_words(
        self, hive: Client
    ) -> None:
        reply = await post(hive, "/hive/send", MAIL | {"rcpt": "nobody"})
        assert (reply.status, reply.json["buzz"]) == (422, "validation_error")
        assert reply.json["why"].startswith("rcpt: ")

    async def test_a_refusal_can_be_caught(self, hive: Client) -> None:
        assert (await hive.get("/hive/domain")).json == {"status": 404}

    async def test_a_key_may_do_what_its_scopes_say_of_the_native_routes(self, api: Api) -> None:
        key = api.new_key(access=Access(scopes=("emails:send",)))
        client = Client(application(api), {"authorization": f"Bearer {key}"})
        assert (await post(client, "/hive/send", MAIL)).status == 201
        assert (await client.get("/hive/domain")).json == {"status": 403}

    async def test_a_repeated_request_is_carried_out_once(self, api: Api, hive: Client) -> None:
        first = await post(hive, "/hive/twice", {}, **{"idempotency-key": "k"})
        again = await post(hive, "/hive/twice", {}, **{"idempotency-key": "k"})
        assert len(set(first.json["ids"])) == 2
        assert again.json == first.json
        assert again.headers["idempotent-replayed"] == "true"
        assert api.count("messages") == 2

    async def test_a_defect_is_told_in_the_dialect_and_logged(
        self, hive: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        reply = await hive.get("/hive/broken")
        assert (reply.status, reply.json["buzz"]) == (500, "internal_error")
        assert "RuntimeError" in caplog.text

    async def test_requests_are_noted_by_their_operation(self, api: Api, hive: Client) -> None:
        await hive.get("/hive/domain")
        await hive.get("/compat/bees/hive/domain/")
        counts = api.services.requests.counts
        assert counts["GET", "/compat/bees/hive/domain", "2xx"] == 2


class TestDoors:
    @pytest.mark.parametrize(
        "path", ["/hive/echo/7", "/compat/bees/hive/echo/7", "/hive/echo/7/", "/hive/echo/7?a=b"]
    )
    async def test_everywhere_the_same(self, hive: Client, path: str) -> None:
        reply = await post(hive, path, {"x": 1})
        assert (reply.json["body"], reply.json["path"]) == ({"x": 1}, {"id": "7"})

    async def test_a_host_of_its_own(self, api: Api) -> None:
        app = application(api, {"bees.example": "bees"})
        client = Client(app, {"authorization": f"Bearer {api.key}"})
        for host in ("bees.example", "BEES.example:8025"):
            client.headers["host"] = host
            assert (await client.get("/hive/domain")).status == 200
            lost = await client.get("/v1/me")
            assert (lost.status, lost.json["buzz"]) == (404, "not_found")
        client.headers["host"] = "[::1]:8025"
        assert (await client.get("/hive/domain")).status == 200

    def test_pages_are_there_on_every_host(self) -> None:
        doors = Doors((BEES,), {"bees.example": "bees"}, ("/u/", "/healthz"))
        for path in ("/u/token", "/healthz"):
            assert doors.find("bees.example", path, "GET") is None
        assert doors.find("bees.example", "/u", "GET") is not None

    def test_a_host_for_nobody_is_a_mistake(self) -> None:
        with pytest.raises(SettingsError, match="no dialect 'ants', only bees, wasps"):
            Doors((BEES, WASPS), {"ants.example": "ants"})

    @pytest.mark.parametrize("path", ["/v1/emails", "/hive", "/hives/send", "/compat/ants/x", "/"])
    def test_what_is_no_dialects(self, path: str) -> None:
        assert Doors((BEES, WASPS), {}).find("", path, "GET") is None

    @pytest.mark.parametrize(
        ("body", "speaker"), [({"honey": 1}, "bees"), ({"sting": 1}, "wasps"), ({}, "bees")]
    )
    async def test_the_body_tells_two_with_one_path_apart(
        self, api: Api, hive: Client, body: Any, speaker: str
    ) -> None:
        assert (await post(hive, "/hive/shared", body)).json["body"] == body
        counts = api.services.requests.counts
        assert counts["POST", f"/compat/{speaker}/hive/shared", "2xx"] == 1

    async def test_a_path_that_is_only_one_dialects_speaks_that_one(self, hive: Client) -> None:
        assert (await post(hive, "/hive/nest/1", {})).json == {"sting": 405}
        assert (await hive.get("/hive/lost")).json["buzz"] == "not_found"
        assert (await hive.get("/compat/wasps/lost")).json == {"sting": 404}


class TestErrors:
    @pytest.mark.parametrize(
        ("method", "path", "headers", "body", "code"),
        [
            ("GET", "/hive/send", {}, b"", "method_not_allowed"),
            ("GET", "/hive/lost", {}, b"", "not_found"),
            ("POST", "/hive/send", {}, b"{", "validation_error"),
            ("POST", "/hive/send", {}, b"[]", "validation_error"),
            ("POST", "/hive/send", {"content-type": "text/csv"}, b"x", "unsupported_media_type"),
            ("POST", "/hive/send", {"content-encoding": "gzip"}, b"x", "unsupported_encoding"),
            ("POST", "/hive/send", {}, b" " * 20_001, "body_too_large"),
            ("POST", "/hive/send", {"authorization": ""}, b"{}", "unauthorized"),
            ("POST", "/hive/send", {"authorization": "Bearer x"}, b"{}", "unauthorized"),
            ("POST", "/hive/send", {"idempotency-key": ""}, json.dumps(MAIL).encode(), None),
        ],
    )
    async def test_every_layer_speaks_the_dialect(
        self, hive: Client, method: str, path: str, headers: Any, body: bytes, code: str | None
    ) -> None:
        reply = await hive.request(method, path, body=body, headers=headers)
        assert reply.json["buzz"] == code or (code is None and reply.status == 422)
        assert reply.headers["request-id"].startswith("req_")

    async def test_a_wrong_method_names_the_right_ones(self, hive: Client) -> None:
        reply = await hive.get("/hive/send")
        assert (reply.status, reply.headers["allow"]) == (405, "POST")

    async def test_another_status_is_the_dialects_business(self, hive: Client) -> None:
        reply = await hive.get("/compat/wasps/lost")
        assert reply.status == 400


class TestKeys:
    @pytest.mark.parametrize("place", ["bearer", "x-api-key", "query", "form"])
    async def test_places(self, api: Api, hive: Client, place: str) -> None:
        headers = {
            "bearer": {"authorization": f"Bearer {api.key}"},
            "x-api-key": {"x-api-key": api.key},
        }.get(place, {})
        hive.headers = {**headers, "content-type": "application/x-www-form-urlencoded"}
        query = f"?api_token={api.key}" if place == "query" else ""
        body = f"api_token={api.key}&x=1".encode() if place == "form" else b"x=1"
        reply = await hive.request("POST", f"/hive/echo/1{query}", body=body)
        assert (reply.status, reply.json["body"]["x"]) == (200, "1")

    async def test_a_public_call_needs_none(self, hive: Client) -> None:
        hive.headers = {}
        assert (await hive.get("/hive/public")).status == 200

    async def test_a_dialect_takes_keys_only_where_it_says(self, api: Api, hive: Client) -> None:
        hive.headers = {"x-api-key": api.key}
        assert (await hive.get("/compat/wasps/hive/nest/1")).json == {"sting": 401}


class TestLimits:
    @pytest.fixture
    def limited(self, api: Api) -> tuple[Api, Client]:
        settings = replace(api.settings.api, limits=ApiLimits(exempt_networks=(), wrong_keys=()))
        held = api.with_settings(api=settings)
        return held, Client(application(held), {"authorization": f"Bearer {held.key}"})

    async def test_windows_of_all_calls_and_of_some(self, limited: Any) -> None:
        api, client = limited
        seen = [await post(client, "/hive/echo/1", {}) for _ in range(3)]
        assert [one.status for one in seen] == [200, 200, 429]
        assert seen[0].headers["x-ratelimit-limit"] == "2"  # the tighter one is told
        assert (await client.get("/hive/domain")).status == 200
        assert (await client.get("/hive/domain")).status == 200
        refused = await client.get("/hive/domain")
        assert (refused.status, refused.json["buzz"]) == (429, "rate_limit_exceeded")
        assert (await post(client, "/compat/wasps/hive/shared", {"sting": 1})).status == 200
        api.clock.advance(minutes=1)
        assert (await client.get("/hive/domain")).status == 200

    async def test_exempt_clients_are_told_and_not_counted(self, hive: Client) -> None:
        seen = [await post(hive, "/hive/echo/1", {}) for _ in range(4)]
        assert [one.status for one in seen] == [200] * 4
        assert seen[-1].headers["x-ratelimit-remaining"] == "2"


class TestBodies:
    async def test_a_multipart_form(self, hive: Client) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="a[b]"\r\n\r\nx\r\n'
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="l.csv"\r\n'
            b"Content-Type: text/csv\r\n\r\nemail\r\n\r\n--b--\r\n"
        )
        headers = {"content-type": "multipart/form-data; boundary=b"}
        reply = await hive.request("POST", "/hive/echo/1", body=body, headers=headers)
        assert reply.json["body"] == {"a": {"b": "x"}}
        assert reply.json["files"] == {"f": ["l.csv", "email\r\n"]}

    @pytest.mark.parametrize("body", [b"--b\r\nx", b"nothing", b"--b\r\nX: x\r\n"])
    async def test_a_broken_multipart_form(self, hive: Client, body: bytes) -> None:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        reply = await hive.request("POST", "/hive/echo/1", body=body, headers=headers)
        assert reply.status in (200, 422)
        assert reply.status == 200 or reply.json["buzz"] == "validation_error"

    async def test_no_content_type_is_json(self, hive: Client) -> None:
        reply = await hive.request("POST", "/hive/echo/1", body=b'{"x": 1}')
        assert reply.json["body"] == {"x": 1}

    async def test_a_body_that_is_read_as_a_form_whatever_it_says(self, hive: Client) -> None:
        headers = {"content-type": "application/json; charset=utf-8"}
        reply = await hive.request("GET", "/hive/loose", body=b"a=1&b[]=2", headers=headers)
        assert reply.json["body"] == {"a": "1", "b": ["2"]}
