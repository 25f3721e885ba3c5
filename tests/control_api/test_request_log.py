"""The log of requests, and what is noted of each."""

from __future__ import annotations

import pytest

from storage.database import Database
from storage.errors import StorageFull
from tests.control_api.conftest import EMAIL, Api


async def flush(api: Api) -> None:
    await api.services.requests.flush(api.database)


async def test_requests_are_logged_without_what_is_secret(api: Api) -> None:
    await api.client.get("/v1/emails?to=secret@example.net", user_agent="curl/8")
    sent = await api.client.post("/v1/emails", EMAIL)
    await flush(api)
    newest, first = (await api.client.get("/v1/logs")).json["data"]
    assert newest["request_id"] == sent.headers["request-id"]
    assert first.pop("id").startswith("log_")
    assert first.pop("duration_ms") >= 0
    assert first.pop("request_id").startswith("req_")
    assert first == {
        "object": "log",
        "at": "2026-03-01T12:00:00.000Z",
        "method": "GET",
        "path": "/v1/emails",
        "status": 200,
        "key_id": api.key_id(api.key),
        "client": "127.0.0.1",
        "user_agent": "curl/8",
    }


async def test_filters_and_pages(api: Api) -> None:
    for number in range(3):
        await api.client.get(f"/v1/emails/em_{number}")
    await api.client.post("/v1/emails", {})
    await flush(api)

    async def paths(query: str) -> list[str]:
        reply = await api.client.get(f"/v1/logs?{query}")
        assert reply.status == 200, reply.json
        return [one["path"].removeprefix("/v1/") for one in reply.json["data"]]

    assert await paths("status=404") == ["emails/em_2", "emails/em_1", "emails/em_0"]
    assert await paths("status=4xx&method=post") == ["emails"]
    assert await paths("path=/v1/emails/em_1") == ["emails/em_1"]
    assert await paths("since=2027-01-01T00:00:00Z") == []
    assert await paths(f"key_id={api.key_id(api.key)}&limit=1") == ["emails"]
    for wrong in ("status=9xx", "status=abc", "since=x", "what=1"):
        assert (await api.client.get(f"/v1/logs?{wrong}")).status == 422


async def test_tenants_see_theirs_and_strangers_are_not_logged(api: Api) -> None:
    await api.anonymous.get("/v1/emails")
    await api.client.get("/nothing")
    await api.client.get("/v1/me")
    await flush(api)
    assert len((await api.client.get("/v1/logs")).json["data"]) == 1
    other = api.client_with(api.new_key(tenant_id=2))
    assert (await other.get("/v1/logs")).json["data"] == []


async def test_counts_have_few_labels(api: Api) -> None:
    for number in range(3):
        await api.client.get(f"/v1/emails/em_{number}")
    await api.client.request("BREW", "/v1/coffee")
    await api.client.request("PUT", "/v1/emails")
    assert api.services.requests.counts == {
        ("GET", "/v1/emails/{id}", "4xx"): 3,
        ("other", "other", "4xx"): 2,
    }


@pytest.mark.parametrize("path", ["/v1/" + "x" * 5000, "/v1/emails/%ff%00"])
async def test_odd_paths_are_no_trouble(api: Api, path: str) -> None:
    await api.client.get(path)
    await flush(api)


async def test_lines_wait_while_storage_has_trouble(api: Api) -> None:
    await api.client.get("/v1/me")
    await api.client.get("/v1/usage")

    class Full(Database):
        """Has no room."""

        def __init__(self) -> None:
            pass

        async def write(self, work: object) -> None:  # type: ignore[override]
            raise StorageFull("disk")

    await api.services.requests.flush(Full())
    await flush(api)
    assert [one["path"] for one in (await api.client.get("/v1/logs")).json["data"]] == [
        "/v1/usage",
        "/v1/me",
    ]
