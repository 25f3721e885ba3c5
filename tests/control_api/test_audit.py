"""What is written down of users: who logged in, who was refused, who changed whom."""

from __future__ import annotations

import logging
from dataclasses import replace
from ipaddress import ip_network

import pytest

from config.api import Login
from tests.control_api.conftest import Api
from tests.control_api.test_login import ANT, PASSWORD, RIGHT, add_user, on

__all__ = ["on"]
WRONG = {"email": ANT, "password": "wrong horse battery"}


async def logged(api: Api) -> list[tuple[str, str, int]]:
    """Return path, key or user, and status of the tenant's requests, oldest first."""
    await api.services.requests.flush(api.database)
    lines = (await api.client.get("/v1/logs?limit=100")).json["data"]
    return [(one["path"], one["key_id"], one["status"]) for one in reversed(lines)]


async def test_logins_are_in_the_log_of_requests_under_the_users_id(on: Api) -> None:
    user_id = (await on.client.get("/v1/users")).json["data"][0]["id"]
    await on.anonymous.post("/v1/login", WRONG)
    await on.anonymous.post("/v1/login", RIGHT)
    await on.anonymous.post("/v1/login", {**RIGHT, "email": "nobody@shop.example"})
    _, refused, admitted = await logged(on)
    assert refused == ("/v1/login", user_id, 401)
    assert admitted == ("/v1/login", user_id, 200)


async def test_a_link_is_logged_without_its_token(on: Api) -> None:
    made = (await on.client.post("/v1/login-tokens")).json
    await on.anonymous.request("POST", f"/login/{made['token']}")
    assert (await logged(on))[-1] == ("/login/{token}", made["user"]["id"], 200)


async def test_the_servers_log_tells_who_did_what(
    on: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "control_api.audit")
    ant = (await on.client.get("/v1/users")).json["data"][0]["id"]
    key = on.key_id(on.key)
    await on.anonymous.post("/v1/login", WRONG)
    await on.anonymous.post("/v1/login", {**RIGHT, "email": "nobody@shop.example"})
    await on.anonymous.post("/v1/login", {"token": "mta_once_" + "x" * 43})
    session = (await on.anonymous.post("/v1/login", RIGHT)).json
    bee = (await on.client.post("/v1/users", {"email": "bee@shop.example"})).json["id"]
    change = b'{"password": "tall oak 1024 leaves"}'
    await on.client.request("PATCH", f"/v1/users/{bee}", body=change)
    await on.client.request("PATCH", f"/v1/users/{bee}", body=b'{"role": "viewer"}')
    await on.client.delete(f"/v1/users/{bee}")
    link = (await on.client.post("/v1/login-tokens")).json
    own = {"current_password": PASSWORD, "password": "tall oak 1024 leaves"}
    await on.client_with(session["token"]).post("/v1/me/password", own)
    assert caplog.messages == [
        f"login of user {ant} refused, from 127.0.0.1",
        "login of nobody that there is refused, from 127.0.0.1",
        "login of nobody that there is refused, from 127.0.0.1",
        f"user {ant} logged in from 127.0.0.1",
        f"user {bee} added as member by {key} from 127.0.0.1",
        f"user {bee} given another password by {key} from 127.0.0.1",
        f"user {bee} changed by {key} from 127.0.0.1",
        f"user {bee} removed by {key} from 127.0.0.1",
        f"user {ant} given a login link by {key} from 127.0.0.1",
        f"user {ant} given another password by {ant} from 127.0.0.1",
    ]
    for secret in (PASSWORD, ANT, session["token"], link["token"], "tall oak"):
        assert secret not in caplog.text


async def test_keys_are_told_of_without_their_secrets(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "control_api.audit")
    own = api.key_id(api.key)
    made = (await api.client.post("/v1/api-keys", {"name": "x"}, idempotency_key="k")).json
    await api.client.post("/v1/api-keys", {"name": "x"}, idempotency_key="k")
    path = f"/v1/api-keys/{made['id']}"
    rotated = (await api.client.post(f"{path}/rotate")).json
    await api.client.request("PATCH", path, body=b'{"name": "y"}')
    for _ in range(2):
        await api.client.delete(path)
    done = ("made", "given another secret", "changed", "revoked")
    assert caplog.messages == [f"key {made['id']} {what} by {own} from 127.0.0.1" for what in done]
    assert made["token"] not in caplog.text
    assert rotated["token"] not in caplog.text


async def test_behind_a_proxy_the_client_is_the_one_that_it_names(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "control_api.audit")
    login = Login(enabled=True)
    proxies = (ip_network("127.0.0.0/8"),)
    behind = api.with_settings(api=replace(api.settings.api, login=login, trusted_proxies=proxies))
    add_user(behind)
    await behind.anonymous.post("/v1/login", RIGHT, x_forwarded_for="192.0.2.7")
    assert caplog.messages[0].endswith(" logged in from 192.0.2.7")
    await behind.services.requests.flush(behind.database)
    [line] = (await behind.client.get("/v1/logs")).json["data"]
    assert line["client"] == "192.0.2.7"
