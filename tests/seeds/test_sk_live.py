"""sk_live, row by row; at the root and below its prefix. Campaigns: test_sk_live_campaigns.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.compat import Compat, CompatLimits
from config.settings import ApiLimits
from mta.core.rate_limit import parse_limit
from tests.control_api.conftest import Api, parsed
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

BASES = ("", "/compat/sk_live")
EMAIL = {
    "to": "user@example.net",
    "from": "you@sender.example",
    "subject": "Welcome!",
    "html": "<h1>Hello!</h1><p>Welcome aboard.</p>",
    "tags": {"type": "welcome"},
}
SENT = {"id": str, "status": "sent", "messageId": str}
WEBHOOK = {
    "url": "https://127.0.0.1:8443/webhook",
    "events": ["email.sent", "email.opened", "email.clicked", "email.bounced"],
}


@pytest.fixture(params=BASES, ids=["root", "prefix"])
def live(api: Api, request: pytest.FixtureRequest) -> Service:
    return Service(api, request.param)


async def audience(live: Service) -> str:
    made = await live.native_ok("POST", "/v1/audiences", {"name": "News"})
    return str(made["id"])


@row("S-01")
async def test_send(live: Service) -> None:
    made = await live.ok("POST", "/api/v1/emails", EMAIL)
    assert_shape(made, SENT)
    found = await live.native_ok("GET", f"/v1/emails/{made['id']}")
    assert found["tags"] == {"type": "welcome"}
    message = parsed(live.api.stored(made["id"]))
    assert (message["To"], message["Message-ID"]) == ("user@example.net", made["messageId"])
    assert "<h1>Hello!</h1>" in message.get_content()


@row("S-01")
async def test_tags_may_be_numbers(live: Service) -> None:
    wish = EMAIL | {"tags": {"order": 42, "is_paid": True, "none": None}}
    made = await live.ok("POST", "/api/v1/emails", wish)
    found = await live.native_ok("GET", f"/v1/emails/{made['id']}")
    assert found["tags"] == {"order": "42", "is_paid": "true"}


@row("S-01")
async def test_an_attachment_is_not_lost(live: Service) -> None:
    attached = {"attachments": [{"filename": "a.txt", "content": "aGk="}]}
    made = await live.ok("POST", "/api/v1/emails", EMAIL | attached)
    message = parsed(live.api.stored(made["id"]))
    assert [one.get_filename() for one in message.iter_attachments()] == ["a.txt"]


@row("S-01", "S-02")
async def test_what_would_make_another_mail_is_refused_by_name(live: Service) -> None:
    wish = EMAIL | {"templateId": "tpl_1", "campaign": "passed over"}
    reply = await live.call("POST", "/api/v1/emails", wish)
    assert (reply.status, reply.json["message"][:11]) == (422, "templateId:")
    made = await live.ok("POST", "/api/v1/emails/batch", {"emails": [EMAIL, wish]})
    assert [one["status"] for one in made["results"]] == ["sent", "failed"]


@row("S-01")
async def test_an_honest_status_where_the_operator_wants_it(api: Api) -> None:
    live = Service(api.with_settings(compat=Compat(report_queued_as_sent=False)))
    made = await live.ok("POST", "/api/v1/emails", EMAIL)
    assert made["status"] == "queued"


@row("S-02")
async def test_a_batch(live: Service) -> None:
    mails = [
        {"to": f"{name}@example.net", "from": "you@sender.example", "subject": "Hi", "html": html}
        for name, html in (("a", "<p>Hello A</p>"), ("b", "<p>Hello B</p>"))
    ]
    made = await live.ok("POST", "/api/v1/emails/batch", {"emails": mails})
    assert_shape(made, {"results": [{"to": str, "id": str, "status": "sent"}]})
    assert (made["total"], made["sent"], made["failed"]) == (2, 2, 0)
    assert [one["to"] for one in made["results"]] == ["a@example.net", "b@example.net"]


@row("S-02")
async def test_one_wrong_email_does_not_stop_the_others(live: Service) -> None:
    mails = [EMAIL, EMAIL | {"to": "nobody"}, 7]
    made = await live.ok("POST", "/api/v1/emails/batch", {"emails": mails})
    assert [one["status"] for one in made["results"]] == ["sent", "failed", "failed"]
    assert (made["total"], made["sent"], made["failed"]) == (3, 1, 2)
    assert made["results"][1]["to"] == "nobody"


@row("S-02")
@pytest.mark.parametrize(
    "body", [{"emails": [EMAIL] * 101}, {"emails": []}, {}, {"emails": "x"}, []]
)
async def test_a_batch_has_one_to_a_hundred(live: Service, body: Any) -> None:
    reply = await live.call("POST", "/api/v1/emails/batch", body)
    assert reply.status == 422
    assert (await live.native_ok("GET", "/v1/emails"))["data"] == []


@row("S-03")
async def test_list_emails(live: Service) -> None:
    for number in range(5):
        await live.ok("POST", "/api/v1/emails", EMAIL | {"to": f"user{number}@example.net"})
    found = await live.ok("GET", "/api/v1/emails?limit=2&status=sent")
    shape = {"id": str, "to": str, "subject": "Welcome!", "status": "sent", "opens": 0}
    assert_shape(found, {"emails": [shape], "total": 5, "page": 1, "pages": 3})
    last = await live.ok("GET", "/api/v1/emails?limit=2&page=3")
    assert [one["to"] for one in last["emails"]] == ["user0@example.net"]
    assert (await live.ok("GET", "/api/v1/emails?status=delivered"))["total"] == 0


@row("S-04")
async def test_look_at_an_email(live: Service) -> None:
    made = await live.ok("POST", "/api/v1/emails", EMAIL)
    found = await live.ok("GET", f"/api/v1/emails/{made['id']}")
    email = {"id": made["id"], "to": EMAIL["to"], "status": "sent", "opens": 0, "clicks": 0}
    assert_shape(found, {"email": email, "events": [{"type": "sent", "createdAt": str}]})


@row("S-05")
async def test_add_a_contact(live: Service) -> None:
    wish = {"email": "new@example.net", "name": "Ant Elk", "listId": await audience(live)}
    made = await live.ok("POST", "/api/v1/contacts", wish)
    shape = {"id": str, "email": "new@example.net", "name": "Ant Elk", "status": "subscribed"}
    assert_shape(made, shape)
    again = await live.ok("POST", "/api/v1/contacts", wish)
    assert again["id"] == made["id"]
    assert_shape(
        await live.ok("POST", "/api/v1/contacts", {"email": "bee@example.net"}), {"id": str}
    )


@row("S-05")
async def test_who_has_left_a_list_is_not_told_to_be_in_it(live: Service) -> None:
    wish = {"email": "new@example.net", "listId": await audience(live)}
    await live.ok("POST", "/api/v1/contacts", wish)
    path = f"/v1/audiences/{wish['listId']}/contacts/new@example.net/unsubscribe"
    await live.native_ok("POST", path)
    assert (await live.ok("POST", "/api/v1/contacts", wish))["status"] == "unsubscribed"


@row("S-06")
async def test_list_contacts(live: Service) -> None:
    list_id = await audience(live)
    for name in ("ant", "bee", "elk"):
        wish = {"email": f"{name}@example.net", "listId": list_id}
        await live.ok("POST", "/api/v1/contacts", wish)
    await live.ok("POST", "/api/v1/contacts", {"email": "owl@example.net"})
    listed = await live.ok("GET", f"/api/v1/contacts?limit=2&listId={list_id}")
    shape = {"id": str, "email": str, "status": "subscribed"}
    assert_shape(listed, {"contacts": [shape], "total": 3, "page": 1})
    assert len(listed["contacts"]) == 2
    assert (await live.ok("GET", "/api/v1/contacts"))["total"] == 4


@row("S-07", "S-08")
async def test_domains(live: Service) -> None:
    made = await live.native_ok("POST", "/v1/domains", {"name": "sender.example"})
    await live.native_ok("POST", "/v1/domains", {"name": "other.example"})
    assert (await live.ok("GET", "/api/v1/domains"))["domains"] == []
    path = f"/api/v1/domains/{made['id']}/verify"
    verified = {"status": "verified", "domain": "sender.example"}
    assert_shape(await live.ok("POST", path), verified)
    assert_shape(await live.ok("GET", path), verified)
    found = await live.ok("GET", "/api/v1/domains")
    assert_shape(found, {"domains": [{"id": made["id"], **verified}]})
    assert len(found["domains"]) == 1


@row("S-09", "S-10")
async def test_webhooks(live: Service) -> None:
    made = await live.ok("POST", "/api/v1/webhooks", WEBHOOK)
    assert_shape(made, {"id": str, "secret": str, **WEBHOOK})
    assert made["secret"].startswith("whsec_")
    listed = await live.ok("GET", "/api/v1/webhooks")
    assert_shape(listed, {"webhooks": [{"id": made["id"], "isActive": True, **WEBHOOK}]})
    assert "secret" not in listed["webhooks"][0]
    native = await live.native_ok("GET", f"/v1/webhooks/{made['id']}")
    assert native["format"] == "sk_live"


@row("S-09", "S-18")
async def test_an_event_that_there_is_not_is_told_the_services_own_names(live: Service) -> None:
    reply = await live.call("POST", "/api/v1/webhooks", WEBHOOK | {"events": ["email.send"]})
    assert reply.status == 422
    assert "email.sent" in reply.json["message"]


NEWSLETTER = {"name": "March Newsletter", "subject": "News!", "content": "<h1>Hello</h1>"}


async def newsletter(live: Service) -> Any:
    wish = {"name": "News", "from_email": "news@sender.example"}
    made = await live.native_ok("POST", "/v1/audiences", wish)
    return await live.ok("POST", "/api/v1/campaigns", NEWSLETTER | {"listId": made["id"]})


@row("S-11", "S-12")
async def test_a_campaign_is_a_draft_until_it_is_launched(live: Service) -> None:
    made = await newsletter(live)
    assert_shape(made, {"id": str, "name": "March Newsletter", "status": "draft"})
    launched = await live.ok("POST", f"/api/v1/campaigns/{made['id']}/launch")
    assert_shape(launched, {"success": True, "status": "sending"})
    again = await live.call("POST", f"/api/v1/campaigns/{made['id']}/launch")
    assert again.status == 409


@row("S-11")
@pytest.mark.parametrize("change", [{"content": None}, {"name": 7}, {"listId": "aud_0"}])
async def test_what_is_no_campaign(live: Service, change: Any) -> None:
    reply = await live.call("POST", "/api/v1/campaigns", NEWSLETTER | {"listId": "x"} | change)
    assert reply.status == 422
    assert_shape(reply.json, {"error": {"code": "validation_error", "status": 422}})
    assert next(iter(change)) in reply.json["message"]


@row("S-11")
async def test_a_list_without_a_sender_sends_nothing(live: Service) -> None:
    wish = NEWSLETTER | {"listId": await audience(live)}
    reply = await live.call("POST", "/api/v1/campaigns", wish)
    assert (reply.status, reply.json["message"][:7]) == (422, "listId:")


@row("S-13")
async def test_stats(live: Service) -> None:
    await newsletter(live)
    await live.native_ok("POST", "/v1/domains", {"name": "sender.example"})
    await live.ok("POST", "/api/v1/contacts", {"email": "ant@example.net"})
    for _ in range(2):
        await live.ok("POST", "/api/v1/emails", EMAIL)
    found = await live.ok("GET", "/api/v1/stats")
    campaigns = {"total": 1, "sending": 0, "completed": 0}
    expected = {"contacts": 1, "campaigns": campaigns, "emailsThisMonth": 2, "domains": 1}
    assert_shape(found, expected)


@row("S-14")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk_live_0"}])
async def test_no_good_key_no_answer(live: Service, headers: dict[str, str]) -> None:
    live.client.headers = headers
    for method, path in (("GET", "/api/v1/emails"), ("POST", "/api/v1/campaigns")):
        reply = await live.call(method, path)
        assert reply.status == 401
        assert_shape(reply.json, {"error": {"code": str, "message": str, "status": 401}})


@row("S-15")
async def test_one_limit_for_a_key(api: Api) -> None:
    settings = replace(api.settings.api, limits=ApiLimits(exempt_networks=(), wrong_keys=()))
    compat = Compat(limits=CompatLimits(sk_live=(parse_limit("2/m"),)))
    live = Service(api.with_settings(api=settings, compat=compat))
    seen = [await live.call("GET", "/api/v1/emails") for _ in range(3)]
    assert [one.status for one in seen] == [200, 200, 429]
    assert seen[1].headers["x-ratelimit-remaining"] == "0"
    assert_shape(seen[2].json, {"error": {"code": str, "status": 429}})
    assert int(seen[2].headers["retry-after"]) > 0


@row("S-18")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/emails", {}, 422),
        ("POST", "/api/v1/emails", [], 422),
        ("POST", "/api/v1/emails", b"{", 422),
        ("GET", "/api/v1/emails/em_0", None, 404),
        ("GET", "/api/v1/nothing", None, 404),
        ("PATCH", "/api/v1/contacts", None, 405),
        ("GET", "/api/v1/emails?limit=501", None, 422),
        ("GET", "/api/v1/emails?status=lost", None, 422),
        ("GET", "/api/v1/contacts?listId=aud_0", None, 404),
        ("POST", "/api/v1/contacts", {"email": "nobody"}, 422),
        ("POST", "/api/v1/webhooks", {"url": "gopher://x", "events": ["email.sent"]}, 422),
        ("POST", "/api/v1/webhooks", WEBHOOK | {"events": ["email.eaten", 7]}, 422),
        ("POST", "/api/v1/domains/dom_0/verify", None, 404),
    ],
)
async def test_errors(live: Service, method: str, path: str, body: Any, status: int) -> None:
    reply = await live.call(method, path, body)
    assert reply.status == status, reply.body
    error = {"code": str, "message": str, "status": status}
    assert_shape(reply.json, {"error": error, "message": str})


@row("S-18")
async def test_a_wrong_field_has_the_name_that_the_caller_gave_it(live: Service) -> None:
    reply = await live.call("POST", "/api/v1/emails", EMAIL | {"replyTo": "nobody"})
    assert reply.json["message"].startswith("replyTo: ")
