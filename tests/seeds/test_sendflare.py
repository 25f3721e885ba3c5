"""Sendflare, row by row; at the root and below its prefix."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from config.settings import ApiLimits
from tests.control_api.conftest import NOW, Api, parsed
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

BASES = ("", "/compat/sendflare")
ANT = "ant@example.net"
MAIL = {"from": "shop@sender.example", "to": ANT, "subject": "Hello, world!", "body": "A test."}
CONTACT: dict[str, Any] = {
    "appId": "1234567890",
    "emailAddress": ANT,
    "status": "Confirmed",
    "data": {
        "language": "en",
        "firstName": "Ant",
        "lastName": "Elk",
        "phoneNumber": "1234567890",
        "birthday": "1990-01-01",
        "company": "Example Inc.",
        "vipLevel": 1,
        "amount": "100.00",
    },
}
ENVELOPE = {"requestId": str, "code": 0, "success": True, "message": "Successfully", "ts": int}
LISTED = {
    "emailAddress": str,
    "status": str,
    "language": str,
    "firstName": str,
    "lastName": str,
    "phoneNumber": str,
    "birthday": str,
    "company": str,
    "vipLevel": (int, float),
    "amount": str,
    "registerDate": str,
    "source": str,
    "subscriptionExpireTime": str,
    "lastActiveTime": str,
}


@pytest.fixture(params=BASES, ids=["root", "prefix"])
def flare(api: Api, request: pytest.FixtureRequest) -> Service:
    return Service(api, request.param)


async def contacts(flare: Service, query: str = "") -> Any:
    return (await flare.ok("GET", f"/v1/contact?appId=1234567890{query}"))["data"]


@row("D-01", "D-05")
async def test_send(flare: Service) -> None:
    made = await flare.ok("POST", "/v1/send", MAIL)
    assert_shape(made, {**ENVELOPE, "data": None})
    assert UUID(made["requestId"])
    assert made["ts"] == NOW.timestamp() * 1000
    [email] = (await flare.native_ok("GET", "/v1/emails"))["data"]
    message = parsed(flare.api.stored(email["id"]))
    assert message["From"] == "shop@sender.example"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().strip() == "A test."


@row("D-01")
@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("<h1>Hi</h1><p>Bee</p>", ["text/plain", "text/html"]),
        ("<!DOCTYPE html><body>Hi</body>", ["text/plain", "text/html"]),
        ("one<br/>two", ["text/plain", "text/html"]),
        ("<p></p>", ["text/html"]),  # nothing of it to read
        ("1 < 2 and 3 > 2, says <ant@example.net>", ["text/plain"]),
        ("I <3 you", ["text/plain"]),
    ],
)
async def test_a_tag_makes_it_html(flare: Service, body: str, kinds: list[str]) -> None:
    await flare.ok("POST", "/v1/send", MAIL | {"body": body})
    [email] = (await flare.native_ok("GET", "/v1/emails"))["data"]
    message = parsed(flare.api.stored(email["id"]))
    leaves = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    assert leaves == kinds


@row("D-01", "D-05")
@pytest.mark.parametrize("missing", list(MAIL))
async def test_every_field_is_required(flare: Service, missing: str) -> None:
    reply = await flare.call("POST", "/v1/send", MAIL | {missing: ""})
    assert reply.status == 422
    assert_shape(reply.json, {"code": 42201, "success": False, "requestId": str, "data": None})
    assert missing in reply.json["message"]


@row("D-01")
async def test_options_that_the_document_has_not_are_not_lost(flare: Service) -> None:
    await flare.ok("POST", "/v1/send", MAIL | {"cc": "bee@example.net", "colour": "red"})
    [email] = (await flare.native_ok("GET", "/v1/emails"))["data"]
    assert parsed(flare.api.stored(email["id"]))["Cc"] == "bee@example.net"
    reply = await flare.call("POST", "/v1/send", MAIL | {"templateId": "7"})
    assert_shape(reply.json, {"code": 42201, "success": False})
    assert reply.json["message"].startswith("templateId: ")


@row("D-02", "D-03", "D-08")
async def test_save_and_list(flare: Service) -> None:
    assert_shape(await flare.ok("POST", "/v1/contact", CONTACT), {**ENVELOPE, "data": None})
    page = await contacts(flare)
    assert_shape(page, {"total": 1, "page": 1, "pageSize": 500, "list": [LISTED]})
    [found] = page["list"]
    assert found["emailAddress"] == ANT
    assert {name: found[name] for name in CONTACT["data"]} == CONTACT["data"]
    assert (found["status"], found["registerDate"]) == ("Confirmed", "2026-03-01")


@row("D-02")
async def test_the_services_own_clients_find_the_page_too(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", CONTACT)
    answer = await flare.ok("GET", "/v1/contact?appId=1234567890&page=1&pageSize=50")
    page = {"page": 1, "pageSize": 50, "total": 1, "totalCount": 1, "list": [LISTED]}
    assert_shape(answer, {**page, "data": page})


@row("D-02")
async def test_parameters_in_a_body_that_calls_itself_json(flare: Service) -> None:
    for name in ("ant", "bee", "elk"):
        wish = CONTACT | {"emailAddress": f"{name}@example.net"}
        await flare.ok("POST", "/v1/contact", wish)
    headers = {"content-type": "application/json; charset=utf-8"}
    body = b"appId=1234567890&page=2&pageSize=2"
    answer = await flare.ok("GET", "/v1/contact", body, headers)
    assert_shape(answer["data"], {"total": 3, "page": 2, "pageSize": 2})
    assert [one["emailAddress"] for one in answer["data"]["list"]] == [ANT]


@row("D-02")
@pytest.mark.parametrize(
    "query", ["", "?appId=", "?appId=1&page=0", "?appId=1&pageSize=501", "?appId=1&page=x"]
)
async def test_what_cannot_be_listed(flare: Service, query: str) -> None:
    reply = await flare.call("GET", f"/v1/contact{query}")
    assert reply.status == 422
    assert_shape(reply.json, {"code": 42201, "success": False})


@row("D-02")
async def test_an_app_without_contacts_is_empty(flare: Service) -> None:
    assert_shape(await contacts(flare), {"total": 0, "list": list})


@row("D-03")
async def test_the_status_counts_for_a_new_contact_only(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", CONTACT | {"status": "Unsubscribed"})
    await flare.ok("POST", "/v1/contact", CONTACT | {"data": {"company": "Bees"}})
    [found] = (await contacts(flare))["list"]
    assert (found["status"], found["company"], found["firstName"]) == (
        "Unsubscribed",
        "Bees",
        "Ant",
    )


@row("D-03")
async def test_without_a_status_a_contact_is_confirmed(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", {"appId": "1234567890", "emailAddress": ANT})
    assert [one["status"] for one in (await contacts(flare))["list"]] == ["Confirmed"]


@row("D-03")
async def test_the_first_contacts_of_an_app_may_come_all_at_once(flare: Service) -> None:
    wishes = [CONTACT | {"emailAddress": f"bee{number}@example.net"} for number in range(8)]
    await asyncio.gather(*(flare.ok("POST", "/v1/contact", wish) for wish in wishes))
    assert (await contacts(flare))["total"] == 8


@row("D-03", "D-08")
@pytest.mark.parametrize(
    "change",
    [
        {"appId": ""},
        {"appId": 7},
        {"appId": "x" * 1000},
        {"appId": "a/b"},
        {"emailAddress": "nobody"},
        {"status": "confirmed"},
        {"data": "x"},
        {"data": {"company": ["x"]}},
    ],
)
async def test_what_cannot_be_saved(flare: Service, change: dict[str, Any]) -> None:
    reply = await flare.call("POST", "/v1/contact", CONTACT | change)
    assert reply.status == 422
    assert_shape(reply.json, {"code": 42201, "success": False, "message": str})
    assert reply.json["message"].startswith(next(iter(change)))


@row("D-08")
async def test_scalars_are_as_good_as_text_and_other_names_are_passed_over(flare: Service) -> None:
    data = {"vipLevel": "7", "amount": 12.5, "language": True, "shoeSize": "42"}
    await flare.ok("POST", "/v1/contact", CONTACT | {"data": data})
    [found] = (await contacts(flare))["list"]
    assert (found["vipLevel"], found["amount"], found["language"]) == (7, "12.5", "true")
    [member] = (await flare.native_ok("GET", "/v1/contacts"))["data"]
    assert "shoeSize" not in member["properties"]


@row("D-04")
async def test_delete(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", CONTACT)
    path = f"/v1/contact?appId=1234567890&emailAddress={ANT}"
    assert_shape(await flare.ok("DELETE", path), {**ENVELOPE, "data": None})
    assert (await contacts(flare))["total"] == 0
    assert (await flare.native_ok("GET", "/v1/contacts"))["data"] == []
    assert_shape(await flare.ok("DELETE", path), ENVELOPE)  # once more is no error


@row("D-04")
async def test_who_is_in_another_app_stays_there(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", CONTACT)
    await flare.ok("POST", "/v1/contact", CONTACT | {"appId": "other"})
    await flare.ok("DELETE", f"/v1/contact?appId=1234567890&emailAddress={ANT}")
    assert (await contacts(flare))["total"] == 0
    assert (await flare.ok("GET", "/v1/contact?appId=other"))["data"]["total"] == 1


@row("D-04")
async def test_an_address_that_a_shell_has_cut_off_deletes_nobody(flare: Service) -> None:
    await flare.ok("POST", "/v1/contact", CONTACT)
    reply = await flare.call("DELETE", "/v1/contact?appId=1234567890")
    assert_shape(reply.json, {"code": 42201, "success": False})
    assert (await contacts(flare))["total"] == 1


@row("D-05")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/send", 405),
        ("PUT", "/v1/contact", 405),
        ("DELETE", f"/v1/contact?appId=unknown&emailAddress={ANT}", 404),
    ],
)
async def test_every_error_has_the_envelope(
    flare: Service, method: str, path: str, status: int
) -> None:
    reply = await flare.call(method, path)
    assert reply.status == status
    shape = {"requestId": str, "code": status * 100 + 1, "success": False, "ts": int}
    assert_shape(reply.json, {**shape, "message": str, "data": None})


@row("D-06")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-API-Key": "x"}])
async def test_no_good_token_no_answer(flare: Service, headers: dict[str, str]) -> None:
    flare.client.headers = headers
    reply = await flare.call("POST", "/v1/send", MAIL)
    assert reply.status == 401
    assert_shape(reply.json, {"code": 40101, "success": False})


@row("D-07")
@pytest.mark.parametrize("base", BASES)
async def test_five_requests_a_second(api: Api, base: str) -> None:
    settings = replace(api.settings.api, limits=ApiLimits(exempt_networks=(), wrong_keys=()))
    flare = Service(api.with_settings(api=settings), base)
    seen = [await flare.call("GET", "/v1/contact?appId=1") for _ in range(6)]
    assert [one.status for one in seen] == [200] * 5 + [429]
    assert_shape(seen[-1].json, {"code": 42901, "success": False})
    assert seen[-1].headers["x-ratelimit-limit"] == "5"
    assert (await flare.native.get("/v1/me")).status == 200  # the limit is the dialect's
    flare.api.clock.advance(seconds=1)
    assert NOW + timedelta(seconds=1) == flare.api.clock()
    assert (await flare.call("GET", "/v1/contact?appId=1")).status == 200
