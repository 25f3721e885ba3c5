"""MailsFlux, row by row; at the root and below its prefix."""

from __future__ import annotations

from typing import Any

import pytest

from config.channels import Channels
from control_api.app import ROUTES
from control_api.dialects.mailsflux import DIALECT
from tests.control_api.conftest import EMAIL, Api
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

BASES = ("", "/compat/mailsflux")


@pytest.fixture(params=BASES, ids=["root", "prefix"])
def flux(api: Api, request: pytest.FixtureRequest) -> Service:
    return Service(api, request.param)


ACCEPTED = {"id": str, "status": "queued", "queued_at": str}


@row("M-01", "M-27")
async def test_send_answers_as_the_document_shows(flux: Service) -> None:
    made = await flux.ok("POST", "/v1/emails/send", EMAIL)
    assert_shape(made, ACCEPTED)
    assert made["queued_at"].startswith("2026-03-01T12:00:00")
    assert made["queued_at"].endswith("Z")


@row("M-02")
async def test_look_at_status_and_events(flux: Service) -> None:
    made = await flux.ok("POST", "/v1/emails/send", EMAIL)
    found = await flux.ok("GET", f"/v1/emails/{made['id']}")
    assert_shape(found, {"id": made["id"], "status": "queued", "events": [{"type": str}]})


@row("M-03")
async def test_list_with_filters_and_pages(flux: Service) -> None:
    for name in ("ant", "bee", "elk"):
        await flux.ok("POST", "/v1/emails/send", EMAIL | {"to": f"{name}@example.net"})
    page = await flux.ok("GET", "/v1/emails?status=queued&limit=2")
    assert_shape(page, {"data": [{"id": str, "status": "queued"}], "has_more": True})
    rest = await flux.ok("GET", f"/v1/emails?limit=2&after={page['next']}")
    assert [one["to"] for one in rest["data"]] == [["ant@example.net"]]


@row("M-03", "M-28")
async def test_a_filter_that_there_is_not_is_no_list_of_everything(flux: Service) -> None:
    reply = await flux.call("GET", "/v1/emails?state=delivered")
    assert reply.status == 422
    assert_shape(reply.json, {"error": {"code": "validation_error", "status": 422}})
    assert "state" in reply.json["error"]["message"]


@row("M-04")
async def test_a_thousand_in_one_request_and_not_one_more(flux: Service) -> None:
    emails = [EMAIL | {"to": f"bee{number}@example.net"} for number in range(1001)]
    made = await flux.ok("POST", "/v1/emails/batch", {"emails": emails[:1000]})
    assert len(made["data"]) == 1000
    assert_shape(made, {"data": [ACCEPTED], "total": 1000})
    assert (await flux.call("POST", "/v1/emails/batch", {"emails": emails})).status == 422


ANTS = {
    "name": "Ant",
    "line1": "Elk Street 1",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}
LETTER = {"type": "postcard", "to": ANTS, "text": "Hello from the sea"}


@row("M-05")
async def test_nobody_carries_letters_unless_the_operator_has_found_one(flux: Service) -> None:
    reply = await flux.call("POST", "/v1/mail/send", LETTER)
    assert reply.status == 422
    assert reply.json["error"]["code"] == "channel_not_configured"
    assert "channels.mail" in reply.json["error"]["message"]


@row("M-05", "M-06", "M-07", "M-27")
@pytest.mark.parametrize("base", BASES)
async def test_a_postcard_travels_in_the_sandbox(api: Api, base: str) -> None:
    api = api.with_settings(channels=Channels(mail="sandbox"))
    flux = Service(api, base)
    made = await flux.ok("POST", "/v1/mail/send", LETTER)
    assert_shape(made, ACCEPTED)
    api.clock.advance(minutes=2)
    found = await flux.ok("GET", f"/v1/mail/{made['id']}")
    assert found["status"] == "in_transit"
    assert [one["status"] for one in found["tracking"]] == ["queued", "printed", "in_transit"]
    api.clock.advance(minutes=1)
    listed = await flux.ok("GET", "/v1/mail")
    assert_shape(listed, {"data": [{"id": made["id"], "status": "delivered"}]})


@row("M-08")
async def test_addresses_are_brought_into_one_form(flux: Service) -> None:
    wish = ANTS | {"line1": " Elk  Street 1", "country": "de"}
    found = await flux.ok("POST", "/v1/mail/validate-address", wish)
    address = ANTS | {"city": "BERLIN"}  # as the country's post writes it
    assert_shape(found, {"valid": True, "address": address, "deliverability": "unknown"})
    wrong = await flux.ok("POST", "/v1/mail/validate-address", ANTS | {"postal_code": "1011"})
    assert_shape(wrong, {"valid": False, "errors": [{"field": "postal_code", "message": str}]})


@row("M-09", "M-10", "M-11", "M-12")
async def test_templates(flux: Service) -> None:
    made = await flux.ok("POST", "/v1/templates", {"name": "hello", "text": "Hi"})
    path = f"/v1/templates/{made['id']}"
    changed = await flux.ok("PUT", path, {"name": "bye", "text": "Bye"})
    assert (changed["name"], changed["text"]) == ("bye", "Bye")
    listed = await flux.ok("GET", "/v1/templates")
    assert_shape(listed, {"data": [{"id": made["id"], "name": "bye"}]})
    await flux.ok("DELETE", path)
    assert (await flux.ok("GET", "/v1/templates"))["data"] == []


@row("M-13", "M-14", "M-15", "M-16")
async def test_audiences_and_their_contacts(flux: Service) -> None:
    made = await flux.ok("POST", "/v1/audiences", {"name": "News"})
    assert_shape(await flux.ok("GET", "/v1/audiences"), {"data": [{"id": made["id"]}]})
    path = f"/v1/audiences/{made['id']}/contacts"
    both = [{"email": "ant@example.net"}, {"email": "bee@example.net"}]
    added = await flux.ok("POST", path, {"contacts": both})
    assert_shape(added, {"data": [{"email": str, "status": "subscribed"}]})
    await flux.ok("DELETE", f"{path}/ant%40example.net")
    left = await flux.client.get(f"/v1/audiences/{made['id']}/contacts")
    assert [one["email"] for one in left.json["data"]] == ["bee@example.net"]


@row("M-17", "M-18", "M-19")
async def test_suppressions(flux: Service) -> None:
    await flux.ok("POST", "/v1/suppressions", {"email": "ant@example.net"})
    listed = await flux.ok("GET", "/v1/suppressions")
    assert_shape(listed, {"data": [{"email": "ant@example.net", "reason": "manual"}]})
    await flux.ok("DELETE", "/v1/suppressions/ant%40example.net")
    assert (await flux.ok("GET", "/v1/suppressions"))["data"] == []


@row("M-20", "M-21", "M-22")
async def test_webhooks(flux: Service) -> None:
    wish = {"url": "https://127.0.0.1:8443/hook", "events": ["email.delivered"]}
    made = await flux.ok("POST", "/v1/webhooks", wish)
    assert_shape(made, {"id": str, "url": wish["url"], "secret": str})
    assert_shape(await flux.ok("GET", "/v1/webhooks"), {"data": [{"id": made["id"]}]})
    await flux.ok("DELETE", f"/v1/webhooks/{made['id']}")
    assert (await flux.ok("GET", "/v1/webhooks"))["data"] == []


@row("M-23", "M-24", "M-25", "M-26")
async def test_domains(flux: Service) -> None:
    made = await flux.ok("POST", "/v1/domains", {"name": "sender.example"})
    assert_shape(made, {"id": str, "records": [{"type": str, "name": str, "value": str}]})
    assert (await flux.ok("GET", f"/v1/domains/{made['id']}/verify"))["verified"] is True
    listed = await flux.ok("GET", "/v1/domains")
    assert_shape(listed, {"data": [{"id": made["id"], "status": "verified"}]})
    fared = await flux.ok("GET", f"/v1/domains/{made['id']}/reputation")
    assert_shape(fared, {"score": (int, float, type(None)), "sent": 0})


@row("M-28")
@pytest.mark.parametrize("to", ["nobody", ["nobody"], None])
async def test_a_wrong_recipient_is_told_as_the_document_shows(flux: Service, to: Any) -> None:
    reply = await flux.call("POST", "/v1/emails/send", EMAIL | {"to": to})
    assert reply.status == 422
    assert reply.json["error"] == {
        "code": "invalid_recipient",
        "message": "The 'to' field must be a valid email address.",
        "status": 422,
    }


@row("M-28")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/emails/em_0", 404), ("PUT", "/v1/emails", 405), ("GET", "/v1/nothing", 404)],
)
async def test_other_errors_have_the_same_form(
    flux: Service, method: str, path: str, status: int
) -> None:
    reply = await flux.call(method, path)
    assert reply.status == status
    assert_shape(reply.json, {"error": {"code": str, "message": str, "status": status}})


@row("M-29")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer mf_live_sk_0"}])
async def test_no_good_key_no_answer(flux: Service, headers: dict[str, str]) -> None:
    flux.client.headers = headers
    reply = await flux.call("GET", "/v1/emails")
    assert reply.status == 401
    assert_shape(reply.json, {"error": {"code": str, "message": str, "status": 401}})


def test_the_native_api_has_every_call_at_the_root() -> None:
    native = {(route.method, route.path.replace("{contact}", "{email}")) for route in ROUTES}
    assert {(one.method, one.path) for one in DIALECT.operations} <= native
