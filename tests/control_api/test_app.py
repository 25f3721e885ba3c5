"""What every request meets before and after its handler."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from config import settings
from control_api.app import ROUTES, build_app
from control_api.errors import PROBLEM_JSON
from storage import tenants
from storage.database import Database
from storage.errors import StorageCorrupt, StorageError, StorageFull, StorageUnavailable
from tests.control_api.conftest import Api, random_key
from tests.support.asgi import Client

ERROR_KEYS = {"type", "title", "status", "detail", "code", "errors", "request_id", "error"} | {
    "name",
    "message",
}


async def test_errors_have_one_shape(api: Api) -> None:
    reply = await api.client.get("/v1/nothing")
    assert reply.status == 404
    assert set(reply.json) == ERROR_KEYS
    assert reply.json["code"] == "not_found"
    assert reply.json["title"] == "Not Found"
    assert reply.json["request_id"] == reply.headers["request-id"]
    assert reply.json["error"] == {
        "code": "not_found",
        "message": reply.json["detail"],
        "status": 404,
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/problem+json", PROBLEM_JSON),
        ("text/html, Application/Problem+JSON;q=0.9", PROBLEM_JSON),
    ],
)
async def test_problem_json_only_for_those_who_name_it(
    api: Api, accept: str, media_type: str
) -> None:
    reply = await api.client.get("/v1/nothing", accept=accept)
    assert reply.headers["content-type"] == media_type


async def test_every_response_has_a_request_id_of_its_own(api: Api) -> None:
    ids = {(await api.client.get("/healthz")).headers["request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch("req_[0-9A-Z]{26}", one) for one in ids)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/v1/emails", 405),
        ("TRACE", "/v1/emails", 405),
        ("OPTIONS", "/v1/emails", 405),
        ("DELETE", "/v1/emails/em_1", 405),
        ("GET", "/v1/emails/", 404),
        ("GET", "//v1/emails", 404),
        ("GET", "/v1/emails/..;/x", 404),
        ("GET", "/v1/emails/%00", 404),
        ("GET", "/v1/emails/%ff%fe", 404),
        ("GET", "/V1/emails", 404),
        ("POST", "/healthz", 405),
    ],
)
async def test_j12_odd_methods_and_paths(api: Api, method: str, target: str, status: int) -> None:
    reply = await api.client.request(method, target)
    assert reply.status == status
    assert set(reply.json) == ERROR_KEYS
    assert not any(name.startswith("access-control") for name in reply.headers)


async def test_405_names_all_methods_of_the_path(api: Api) -> None:
    reply = await api.client.request("PUT", "/v1/emails")
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_head_answers_like_get(api: Api) -> None:
    assert (await api.client.request("HEAD", "/v1/emails")).status == 200


def test_routes_are_documented_and_unique() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert all(route.summary and route.handler.__doc__ for route in ROUTES)
    public = {route.path for route in ROUTES if not route.scope}
    assert public == {
        *("/healthz", "/readyz", "/metrics", "/docs", "/v1/openapi.json"),
        *("/t/o/{token}.gif", "/t/c/{token}/{target}"),
        *("/u/{token}", "/c/{token}", "/login/{token}", "/v1/login"),
    }


class TestAuthentication:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    async def test_bearer(self, api: Api, scheme: str) -> None:
        reply = await api.anonymous.get("/v1/emails", authorization=f"{scheme} {api.key}")
        assert reply.status == 200

    async def test_x_api_key(self, api: Api) -> None:
        assert (await api.anonymous.get("/v1/emails", x_api_key=api.key)).status == 200

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Bearer"},
            {"authorization": "Bearer "},
            {"authorization": "Basic dXNlcjpwYXNz"},
            {"authorization": "Bearer mta_live_x"},
            {"authorization": "Bearer \xff\xfe"},
            {"x-api-key": "mta_live_" + "0" * 38},
            {"authorization": "Bearer " + "x" * 10_000},
        ],
    )
    async def test_others_are_told_how(self, api: Api, headers: dict[str, str]) -> None:
        for route in ROUTES:
            reply = await api.anonymous.request(route.method, route.path, headers=headers)
            if route.scope:
                assert reply.status == 401
                assert reply.headers["www-authenticate"].startswith("Bearer ")
                assert reply.json["code"] == "unauthorized"

    async def test_unknown_key_of_the_right_form(self, api: Api) -> None:
        other = await api.client_with(random_key()).get("/v1/emails")
        assert other.status == 401

    async def test_revoked_key_works_for_a_second_at_most(self, api: Api) -> None:
        assert (await api.client.get("/v1/emails")).status == 200
        api.database.write_now(
            lambda db: tenants.revoke_key(db, api.key_id(api.key), api.clock.now)
        )
        api.clock.advance(seconds=1)
        assert (await api.client.get("/v1/emails")).status == 401

    async def test_new_key_works_at_once(self, api: Api) -> None:
        assert (await api.client_with(api.new_key()).get("/v1/emails")).status == 200


class TestBodies:
    async def test_j02_declared_length_is_refused_unread(self, api: Api) -> None:
        reply = await api.client.request(
            "POST", "/v1/emails", headers={"content-length": str(10**9)}
        )
        assert reply.status == 413
        assert reply.json["code"] == "body_too_large"
        assert reply.headers["connection"] == "close"

    async def test_j02_endless_chunks_are_cut_off(self, api: Api) -> None:
        limited = api.with_settings(api=settings.Api(max_body_size=100_000))
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 10_000
                yield b"x" * 10_000

        reply = await limited.client.request("POST", "/v1/emails", body=endless())
        assert reply.status == 413
        assert sent == 110_000
        assert reply.headers["connection"] == "close"

    async def test_body_up_to_the_limit_is_read(self, api: Api) -> None:
        limited = api.with_settings(api=settings.Api(max_body_size=1000))
        assert (await limited.client.request("POST", "/v1/emails", body=b" " * 1000)).status == 422

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate, identity", "x"])
    async def test_j02_encoded_bodies_are_refused(self, api: Api, encoding: str) -> None:
        reply = await api.client.request(
            "POST", "/v1/emails", body=b"{}", headers={"content-encoding": encoding}
        )
        assert reply.status == 415

    async def test_refused_before_the_body_came_closes_the_connection(self, api: Api) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield b"x"

        reply = await api.anonymous.request("POST", "/v1/emails", body=endless())
        assert reply.status == 401
        assert reply.headers["connection"] == "close"

    async def test_complete_requests_keep_the_connection(self, api: Api) -> None:
        reply = await api.client.post("/v1/emails", {})
        assert "connection" not in reply.headers


class BrokenDatabase:
    """Fails whatever is asked of it."""

    def __init__(self, error: StorageError) -> None:
        self._error = error

    async def read(self, _: object) -> None:
        raise self._error


class TestFailures:
    async def test_unexpected_is_500_without_details_and_logged(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken() -> str:
            raise RuntimeError("geheim")

        services = replace(api.services, engine_problem=broken)
        reply = await Client(build_app(services)).get("/readyz")
        assert reply.status == 500
        assert set(reply.json) == ERROR_KEYS
        assert "geheim" not in reply.body.decode()
        assert "geheim" in caplog.text
        assert reply.json["request_id"] in caplog.text
        assert caplog.records[0].levelno == logging.ERROR

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (StorageFull("disk"), 507, "storage_full"),
            (StorageUnavailable("lock"), 503, "storage_unavailable"),
            (StorageCorrupt("bad page"), 503, "storage_unavailable"),
            (StorageError("other"), 503, "storage_unavailable"),
        ],
    )
    async def test_storage_that_fails(
        self, api: Api, error: StorageError, status: int, code: str
    ) -> None:
        services = replace(api.services, database=cast("Database", BrokenDatabase(error)))
        reply = await Client(build_app(services)).get("/v1/webhooks", x_api_key=api.key)
        assert reply.status == status
        assert reply.json["code"] == code
        assert int(reply.headers["retry-after"]) > 0


class TestHealth:
    async def test_healthz_needs_nothing(self, api: Api) -> None:
        api.engine_problem = "stopped"
        reply = await api.anonymous.get("/healthz")
        assert (reply.status, reply.json) == (200, {"status": "ok"})

    async def test_readyz(self, api: Api) -> None:
        assert (await api.anonymous.get("/readyz")).status == 200

    async def test_readyz_tells_of_the_engine(self, api: Api) -> None:
        api.engine_problem = "the engine is starting"
        reply = await api.anonymous.get("/readyz")
        assert reply.status == 503
        assert reply.json == {"status": "unavailable", "reasons": ["the engine is starting"]}

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (StorageFull("disk"), "storage is full"),
            (StorageUnavailable("/secret/path"), "storage is unavailable"),
        ],
    )
    async def test_readyz_tells_of_storage(
        self, api: Api, error: StorageError, reason: str
    ) -> None:
        services = replace(api.services, database=cast("Database", BrokenDatabase(error)))
        reply = await Client(build_app(services)).get("/readyz")
        assert reply.status == 503
        assert reply.json["reasons"] == [reason]
