"""Logging in: a password or a link for a token, which passes the gate as keys do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from config.api import Login
from config.settings import ApiLimits
from control_api.errors import ApiError
from control_api.logins import AT_ONCE, MAX_WAITING, Logins
from mta.core import password
from mta.core.access import Access
from mta.core.address import parse_address
from mta.core.rate_limit import parse_limit
from mta.core.role import Role
from storage import users
from storage.users import Profile
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Client, Reply

ANT = "ant@shop.example"
PASSWORD = "correct horse battery"
HASH = password.hash_password(PASSWORD, b"0123456789abcdef")
CHEAP = "zXWWUNxFCSQ7dVrBawnnax5e3t0/8LduYi2KAH2VCy8"
"""Argon2id of the same at m=64, t=1, with a salt of zeros."""
RIGHT = {"email": ANT, "password": PASSWORD}


def switched_on(api: Api, **table: Any) -> Api:
    login = Login(enabled=True, **table)
    return api.with_settings(api=replace(api.settings.api, login=login))


def add_user(
    api: Api, email: str = ANT, role: Role = Role.OWNER, *, tenant_id: int = 1, hashed: str = HASH
) -> str:
    user_id = api.services.new_id("usr")
    api.new_key(tenant_id)  # makes the tenant
    api.database.write_now(
        lambda db: users.add(
            db,
            user_id=user_id,
            tenant_id=tenant_id,
            address=parse_address(email),
            profile=Profile(role),
            password=hashed,
            now=api.clock.now,
        )
    )
    return user_id


@pytest.fixture
def on(api: Api) -> Api:
    on = switched_on(api)
    add_user(on)
    return on


async def logged_in(api: Api, email: str = ANT) -> Client:
    reply = await api.anonymous.post("/v1/login", {"email": email, "password": PASSWORD})
    assert reply.status == 200, reply.json
    return api.client_with(reply.json["token"])


async def test_a_password_gives_a_token_that_passes_the_gate(on: Api) -> None:
    reply = await on.anonymous.post("/v1/login", RIGHT)
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["expires_at"] == "2026-03-02T00:00:00.000Z"
    assert reply.json["user"]["last_login_at"] == "2026-03-01T12:00:00.000Z"
    client = on.client_with(reply.json["token"])
    me = (await client.get("/v1/me")).json
    assert (me["api_key"], me["user"]["email"], me["user"]["role"]) == (None, ANT, "owner")
    sent = await client.post("/v1/emails", EMAIL)
    assert sent.status == 200
    assert (await on.client.get(f"/v1/emails/{sent.json['id']}")).status == 200


async def test_a_key_is_no_user(on: Api) -> None:
    me = (await on.client.get("/v1/me")).json
    assert me["user"] is None
    assert me["api_key"]["id"]


async def test_the_address_is_compared_without_case(on: Api) -> None:
    body = RIGHT | {"email": "ANT@Shop.Example"}
    assert (await on.anonymous.post("/v1/login", body)).status == 200


async def test_off_unless_configured(api: Api) -> None:
    add_user(api)
    for path in ("/v1/login", "/v1/login-tokens"):
        reply = await api.client.post(path, RIGHT if path == "/v1/login" else {})
        assert (reply.status, reply.json["code"]) == (403, "login_disabled")
        assert "api.login.enabled" in reply.json["detail"]
    assert (await api.anonymous.get("/login/x")).status == 404


async def test_switching_it_off_ends_the_tokens(on: Api) -> None:
    client = await logged_in(on)
    off = on.with_settings(api=replace(on.settings.api, login=Login()))
    reply = await Client(off.app, client.headers).get("/v1/me")
    assert reply.status == 401


@pytest.mark.parametrize(
    "body",
    [
        RIGHT | {"password": "wrong horse battery"},
        RIGHT | {"email": "nobody@shop.example"},
        RIGHT | {"email": "no address"},
        {"token": "mta_once_x"},
        {"token": "x" * 100},
    ],
)
async def test_what_is_wrong_is_a_401_that_tells_nothing(on: Api, body: Any) -> None:
    reply = await on.anonymous.post("/v1/login", body)
    assert (reply.status, reply.json["code"]) == (401, "invalid_credentials")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert "nobody" not in reply.json["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "email"),
        ({"email": ANT}, "password"),
        (RIGHT | {"password": 5}, "password"),
        (RIGHT | {"password": "x" * 257}, "password"),
        (RIGHT | {"more": 1}, "more"),
        ({"token": "mta_once_x", "email": ANT}, "email"),
        ([], ""),
    ],
)
async def test_bad_bodies(on: Api, body: Any, field: str) -> None:
    reply = await on.anonymous.post("/v1/login", body)
    assert reply.status == 422
    assert field in [error["field"] for error in reply.json["errors"]]


async def test_strangers_do_not_send_large_bodies(on: Api) -> None:
    reply = await on.anonymous.post("/v1/login", RIGHT | {"email": "x" * 20_000})
    assert reply.status == 413


async def test_a_user_without_a_password_has_no_way_in_by_one(on: Api) -> None:
    add_user(on, "bee@shop.example", hashed="")
    reply = await on.anonymous.post("/v1/login", {"email": "bee@shop.example", "password": ""})
    assert reply.status == 422
    reply = await on.anonymous.post(
        "/v1/login", {"email": "bee@shop.example", "password": PASSWORD}
    )
    assert reply.status == 401


async def test_a_hash_of_another_cost_is_renewed_at_the_login(on: Api) -> None:
    cheap = "$argon2id$v=19$m=64,t=1,p=1$"
    old = f"{cheap}{'A' * 22}${CHEAP}"
    add_user(on, "bee@shop.example", hashed=old)
    client = await logged_in(on, "bee@shop.example")
    assert (await client.get("/v1/me")).status == 200
    found = on.database.read_now(
        lambda db: users.credentials(db, parse_address("bee@shop.example"))
    )
    assert found is not None
    assert not password.is_outdated(found.password)
    assert password.is_password(PASSWORD, found.password)


async def test_tokens_end(on: Api) -> None:
    client = await logged_in(on)
    on.clock.advance(hours=11, minutes=59)
    assert (await client.get("/v1/me")).status == 200
    on.clock.advance(minutes=1)
    assert (await client.get("/v1/me")).status == 401


async def test_logging_out_ends_this_token_only(on: Api) -> None:
    first, second = await logged_in(on), await logged_in(on)
    assert (await first.get("/v1/me")).status == 200
    assert (await first.post("/v1/logout")).json == {"object": "session", "deleted": True}
    assert (await first.get("/v1/me")).status == 401
    assert (await second.get("/v1/me")).status == 200
    assert (await on.client.post("/v1/logout")).status == 409


async def test_a_role_says_what_a_token_may(on: Api) -> None:
    add_user(on, "bee@shop.example", Role.VIEWER)
    client = await logged_in(on, "bee@shop.example")
    assert (await client.get("/v1/emails")).status == 200
    refused = await client.post("/v1/emails", EMAIL)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert (await client.get("/v1/tenants")).status == 403


async def test_a_user_sees_the_own_tenant_only(on: Api) -> None:
    add_user(on, "bee@shop.example", tenant_id=2)
    sent = (await on.client.post("/v1/emails", EMAIL)).json["id"]
    client = await logged_in(on, "bee@shop.example")
    assert (await client.get(f"/v1/emails/{sent}")).status == 404


async def test_requests_of_a_user_are_limited_however_many_tokens_there_are(api: Api) -> None:
    limits = ApiLimits(requests=(parse_limit("3/m"),), exempt_networks=(), wrong_keys=())
    table = replace(api.settings.api, limits=limits, login=Login(enabled=True))
    on = api.with_settings(api=table)
    add_user(on)
    first, second = await logged_in(on), await logged_in(on)
    assert [(await first.get("/v1/me")).status for _ in range(3)] == [200] * 3
    assert (await second.get("/v1/me")).status == 429


async def test_guessing_is_braked_for_each_user_from_wherever_it_comes(api: Api) -> None:
    on = switched_on(api, attempts=(parse_limit("3/m"),))
    add_user(on)
    add_user(on, "bee@shop.example")

    async def attempt(number: int, given: str, email: str = ANT) -> Reply:
        client = Client(on.app, address=f"198.51.100.{number}")
        return await client.post("/v1/login", {"email": email, "password": given})

    assert [(await attempt(n, "wrong horse battery")).status for n in range(3)] == [401] * 3
    braked = await attempt(4, PASSWORD)
    assert (braked.status, braked.json["code"]) == (429, "too_many_failures")
    assert int(braked.headers["retry-after"]) == 20
    assert (await attempt(5, PASSWORD, "bee@shop.example")).status == 200
    on.clock.advance(minutes=1)
    assert (await attempt(6, PASSWORD)).status == 200


async def test_guessing_is_braked_for_each_client_whomever_it_names(api: Api) -> None:
    on = switched_on(api, attempts=(parse_limit("3/m"),))
    statuses = [
        (await on.anonymous.post("/v1/login", RIGHT | {"email": f"u{n}@shop.example"})).status
        for n in range(4)
    ]
    assert statuses == [401, 401, 401, 429]
    assert (await on.anonymous.post("/v1/login", {"token": "x"})).status == 429


async def test_looking_takes_the_same_work_whether_there_is_such_a_user(on: Api) -> None:
    compared: list[str] = []

    class Watched(Logins):
        async def matches(self, given: str, stored: str) -> bool:
            compared.append(stored)
            return await super().matches(given, stored)

    on.services.gate.logins = Watched(on.services.gate.logins.settings, on.clock)
    await on.anonymous.post("/v1/login", RIGHT | {"password": "wrong horse battery"})
    await on.anonymous.post("/v1/login", RIGHT | {"email": "nobody@shop.example"})
    await on.anonymous.post("/v1/login", RIGHT | {"email": "no address"})
    assert compared == [HASH, "", ""]
    assert not await on.services.gate.logins.matches(PASSWORD, "")


async def test_only_a_few_passwords_are_compared_at_once(on: Api) -> None:
    logins = on.services.gate.logins
    tasks = [asyncio.create_task(logins.matches(PASSWORD, HASH)) for _ in range(MAX_WAITING + 1)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert done[:MAX_WAITING] == [True] * MAX_WAITING
    assert isinstance(done[-1], ApiError)
    assert done[-1].problem.status == 503
    assert AT_ONCE < MAX_WAITING


async def link(api: Api, client: Client, body: Any = None) -> Any:
    reply = await client.post("/v1/login-tokens", {} if body is None else body)
    assert reply.status == 200, reply.json
    return reply.json


async def test_a_link_logs_in_once(on: Api) -> None:
    made = await link(on, on.client)
    assert made["url"] == f"http://127.0.0.1:8025/login/{made['token']}"
    assert made["expires_at"] == "2026-03-01T12:15:00.000Z"
    session = await on.anonymous.post("/v1/login", {"token": made["token"]})
    assert (await on.client_with(session.json["token"]).get("/v1/me")).json["user"]["email"] == ANT
    assert (await on.anonymous.post("/v1/login", {"token": made["token"]})).status == 401


async def test_the_page_uses_nothing_up_until_its_button_is_pressed(on: Api) -> None:
    path = f"/login/{(await link(on, on.client))['token']}"
    for _ in range(3):  # a scanner, a preview, the user
        page = await on.anonymous.get(path)
        assert page.status == 200
        assert b'<form method="post">' in page.body
    assert page.headers["cache-control"] == "no-store"
    done = await on.anonymous.request("POST", path)
    token = done.body.partition(b"<code>")[2].partition(b"</code>")[0].decode()
    assert (await on.client_with(token).get("/v1/me")).status == 200
    again = await on.anonymous.request("POST", path)
    assert again.status == 404
    assert b"mta_" not in again.body


async def test_a_link_ends_in_minutes(on: Api) -> None:
    made = await link(on, on.client)
    on.clock.advance(minutes=15)
    assert (await on.anonymous.post("/v1/login", {"token": made["token"]})).status == 401


async def test_a_link_is_no_key(on: Api) -> None:
    made = await link(on, on.client)
    assert (await on.client_with(made["token"]).get("/v1/me")).status == 401


async def test_public_url_is_where_links_lead(api: Api) -> None:
    table = replace(api.settings.api, login=Login(enabled=True), public_url="https://mail.test")
    on = api.with_settings(api=table)
    add_user(on)
    assert (await link(on, on.client))["url"].startswith("https://mail.test/login/mta_once_")


@pytest.mark.parametrize(
    ("whose", "status"),
    [
        (lambda ids: {"user_id": ids["viewer"]}, 200),
        (lambda ids: {"user_id": ids["operator"]}, 403),  # may do more than the key
        (lambda ids: {"user_id": ids["stranger"]}, 422),
        (lambda ids: {"user_id": "usr_x"}, 422),
        (lambda ids: {"user_id": 5}, 422),
        (lambda ids: {"other": "x"}, 422),
    ],
)
async def test_for_whom_a_key_makes_links(
    on: Api, whose: Callable[[dict[str, str]], Any], status: int
) -> None:
    ids = {
        "viewer": add_user(on, "bee@shop.example", Role.VIEWER),
        "operator": add_user(on, "elk@shop.example", Role.OPERATOR),
        "stranger": add_user(on, "app@shop.example", tenant_id=2),
    }
    assert (await on.client.post("/v1/login-tokens", whose(ids))).status == status


async def test_users_make_links_for_themselves_only_unless_they_manage_users(on: Api) -> None:
    owner = (await logged_in(on)).headers
    bee = add_user(on, "bee@shop.example", Role.VIEWER)
    client = await logged_in(on, "bee@shop.example")
    assert (await link(on, client))["user"]["id"] == bee
    ant = (await Client(on.app, owner).get("/v1/me")).json["user"]["id"]
    refused = await client.post("/v1/login-tokens", {"user_id": ant})
    assert (refused.status, refused.json["code"]) == (403, "forbidden")


async def test_a_key_without_the_scope_makes_no_links(on: Api) -> None:
    client = on.client_with(on.new_key(access=Access(scopes=("emails:send",))))
    assert (await client.post("/v1/login-tokens", {})).status == 403


async def test_a_tenant_without_users_has_no_links(on: Api) -> None:
    client = on.client_with(on.new_key(2))
    assert (await client.post("/v1/login-tokens", {})).status == 422
