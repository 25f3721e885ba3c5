"""Double opt-in: who joins is asked by mail, a link subscribes, and nobody is pestered."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from control_api.confirmation_sender import ConfirmationSender
from control_api.personal_mail import Composer
from mta.core.access import Access
from mta.core.confirmation import LIFETIME, Confirmation, token
from storage import confirmations, instance_secrets
from storage.confirmations import MAX_ASKED, PAUSE
from tests.control_api.conftest import Api
from tests.support.asgi import Client

ANT, BEE = "ant@example.net", "bee@example.net"
AUDIENCES = "/v1/audiences"
SENDER = {"name": "News", "from_email": "shop@sender.test", "from_name": "Shop"}


async def ok(reply: Any, status: int = 200) -> Any:
    found = await reply
    assert found.status == status, found.body
    return found.json


@pytest.fixture
def reachable(api: Api) -> Api:
    """An API whose links lead somewhere."""
    made = api.with_settings(api=replace(api.settings.api, public_url="https://mail.sender.test"))
    made.database.write_now(
        lambda db: instance_secrets.ensure(db, entropy=os.urandom, now=made.clock.now)
    )
    return made


class Opting:
    """An audience with double opt-in, and the sender that asks."""

    def __init__(self, api: Api) -> None:
        self.api = api
        services = api.services
        self.sender = ConfirmationSender(
            api.database,
            Composer(
                api.settings,
                services.tracker,
                api.database.spool,
                now=services.now,
                entropy=services.entropy,
            ),
            services.tracker,
            now=services.now,
            on_accepted=services.kick,
        )
        self.path = ""

    async def begin(self, **fields: Any) -> None:
        body = SENDER | {"double_opt_in": True} | fields
        made = await ok(self.api.client.post(AUDIENCES, body))
        assert made["double_opt_in"] is True
        self.path = f"{AUDIENCES}/{made['id']}"

    async def join(self, client: Client | None = None, **fields: Any) -> Any:
        body = {"email": ANT} | fields
        return await ok((client or self.api.client).post(f"{self.path}/contacts", body))

    async def mails(self) -> list[Any]:
        """Ask everybody who is to be asked; return all mail there is."""
        while await self.sender.ask_some():
            pass
        listed = (await ok(self.api.client.get("/v1/emails?limit=100")))["data"]
        return [
            message_from_bytes(self.api.stored(one["id"]), policy=policy.default)
            for one in listed[::-1]
        ]

    async def status(self, email: str = ANT) -> str:
        return str((await ok(self.api.client.get(f"{self.path}/contacts/{email}")))["status"])

    async def link(self) -> str:
        return link_in((await self.mails())[-1])


def link_in(mail: Any) -> str:
    part = mail.get_body(("plain",))
    found = re.search(r"https://mail\.sender\.test(/c/[\w-]{36})", part.get_content())
    assert found is not None
    return found[1]


@pytest.fixture
async def opting(reachable: Api) -> Opting:
    made = Opting(reachable)
    await made.begin()
    return made


async def test_asked_confirmed_subscribed(opting: Opting) -> None:
    joined = await opting.join(name="Ant")
    assert joined["status"] == "unconfirmed"
    [mail] = await opting.mails()
    assert mail["To"] == "Ant <ant@example.net>"
    assert mail["From"] == "Shop <shop@sender.test>"
    assert mail["Subject"] == "Please confirm your subscription to News"
    link = link_in(mail)
    assert link in mail.get_body(("html",)).get_content()
    shown = await opting.api.anonymous.get(link)
    assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<form" in shown.body
    assert b"<script" not in shown.body
    assert await opting.status() == "unconfirmed"
    done = await opting.api.anonymous.request("POST", link)
    assert (done.status, b"You are subscribed" in done.body) == (200, True)
    assert await opting.status() == "subscribed"
    for method in ("GET", "POST"):
        again = await opting.api.anonymous.request(method, link)
        assert (again.status, b"You are subscribed" in again.body) == (200, True)
        assert b"<form" not in again.body
    told = [one["type"] for one in (await ok(opting.api.client.get("/v1/events")))["data"]]
    assert told == ["contact.created", "email.queued", "contact.subscribed"]


async def test_asked_once_an_hour_and_a_few_times_in_all(opting: Opting) -> None:
    await opting.join()
    for _ in range(3):
        await opting.join()
        assert len(await opting.mails()) == 1
    for number in range(2, MAX_ASKED + 3):
        opting.api.clock.now += PAUSE
        await opting.join()
        assert len(await opting.mails()) == min(number, MAX_ASKED)


async def test_who_has_confirmed_is_not_asked_again(opting: Opting) -> None:
    await opting.join()
    await opting.api.anonymous.request("POST", await opting.link())
    opting.api.clock.now += 2 * PAUSE
    assert (await opting.join())["status"] == "subscribed"
    assert len(await opting.mails()) == 1


async def test_who_has_left_does_not_come_back_by_an_old_link(opting: Opting) -> None:
    await opting.join()
    link = await opting.link()
    await ok(opting.api.client.post(f"{opting.path}/contacts/{ANT}/unsubscribe"))
    for method in ("GET", "POST"):
        assert (await opting.api.anonymous.request(method, link)).status == 410
    assert await opting.status() == "unsubscribed"
    opting.api.clock.now += 2 * PAUSE
    assert (await opting.join())["status"] == "unsubscribed"
    assert len(await opting.mails()) == 1


async def test_an_old_link(opting: Opting) -> None:
    await opting.join()
    link = await opting.link()
    opting.api.clock.now += LIFETIME + timedelta(seconds=1)
    for method in ("GET", "POST"):
        reply = await opting.api.anonymous.request(method, link)
        assert (reply.status, b"too old" in reply.body) == (410, True)
    assert await opting.status() == "unconfirmed"
    await opting.join()
    await opting.api.anonymous.request("POST", await opting.link())
    assert await opting.status() == "subscribed"


async def test_forged_and_lost_links(opting: Opting) -> None:
    await opting.join()
    link = await opting.link()
    changed = link[:-1] + ("A" if link[-1] != "A" else "B")
    forged = token(Confirmation(1, opting.api.clock.now), b"x" * 32)
    for path in (changed, f"/c/{forged}", "/c/x", "/c/" + "x" * 36, f"/c/{'x' * 500}"):
        for method in ("GET", "POST"):
            assert (await opting.api.anonymous.request(method, path)).status == 404
    await ok(opting.api.client.delete(f"/v1/contacts/{ANT}"))
    assert (await opting.api.anonymous.request("POST", link)).status == 404


async def test_an_operator_may_vouch(opting: Opting) -> None:
    await opting.join(status="subscribed")
    assert await opting.status() == "unconfirmed"
    await ok(opting.api.client.post(f"{opting.path}/contacts/{ANT}/subscribe"))
    assert await opting.mails() == []
    assert await opting.status() == "subscribed"


async def test_imports_ask_nobody(opting: Opting) -> None:
    body = {"contacts": [{"email": ANT}, {"email": BEE, "status": "subscribed"}], "sync": True}
    await ok(opting.api.client.post(f"{opting.path}/imports", body))
    assert (await opting.status(ANT), await opting.status(BEE)) == ("unconfirmed", "subscribed")
    assert await opting.mails() == []


async def test_a_template_of_their_own(reachable: Api) -> None:
    wished = {"name": "t", "subject": "Welcome, {{ FNAME }}", "text": "Go: {{ confirm_url }}"}
    made = (await ok(reachable.client.post("/v1/templates", wished)))["id"]
    await ok(reachable.client.post(f"/v1/templates/{made}/publish"))
    opting = Opting(reachable)
    await opting.begin(confirmation_template_id=made)
    await ok(reachable.client.post(f"{opting.path}/fields", {"tag": "FNAME"}))
    await opting.join(fields={"FNAME": "Ant"})
    [mail] = await opting.mails()
    assert mail["Subject"] == "Welcome, Ant"
    assert link_in(mail)


async def test_a_template_that_cannot_be_filled_is_not_tried_again(reachable: Api) -> None:
    wished = {"name": "t", "subject": "{{ nothing }}", "text": "Go: {{ confirm_url }}"}
    made = (await ok(reachable.client.post("/v1/templates", wished)))["id"]
    await ok(reachable.client.post(f"/v1/templates/{made}/publish"))
    opting = Opting(reachable)
    await opting.begin(confirmation_template_id=made)
    await opting.join()
    assert await opting.mails() == []
    assert await reachable.database.read(lambda db: confirmations.due(db, limit=9)) == []


async def test_mail_for_test_keys_goes_to_the_sandbox(opting: Opting) -> None:
    client = opting.api.client_with(opting.api.new_key(access=Access(is_test=True)))
    await opting.join(client)
    await opting.mails()
    sql = "SELECT domain FROM entries"
    rows = opting.api.database.read_now(lambda db: db.execute(sql).fetchall())
    assert rows == [(opting.api.settings.api.sandbox_domain,)]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"double_opt_in": "yes"}, "double_opt_in", "invalid_type"),
        ({"double_opt_in": True, "from_email": None}, "from_email", "required"),
        (
            {"double_opt_in": True, "confirmation_template_id": "tpl_x"},
            "confirmation_template_id",
            "not_found",
        ),
        ({"confirmation_template_id": 5}, "confirmation_template_id", "invalid_type"),
    ],
)
async def test_bad_input(reachable: Api, body: Any, field: str, code: str) -> None:
    made = await ok(reachable.client.post(AUDIENCES, SENDER))
    for method, path, more in (
        ("POST", AUDIENCES, SENDER),
        ("PATCH", f"{AUDIENCES}/{made['id']}", {}),
    ):
        text = json.dumps(more | body).encode()
        reply = await reachable.client.request(method, path, body=text)
        assert reply.status == 422
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [(field, code)]


async def test_a_template_without_the_link(reachable: Api) -> None:
    wished = {"name": "t", "subject": "Hi", "text": "Hi"}
    made = (await ok(reachable.client.post("/v1/templates", wished)))["id"]
    body = SENDER | {"double_opt_in": True, "confirmation_template_id": made}
    reply = await reachable.client.post(AUDIENCES, body)
    assert [one["code"] for one in reply.json["errors"]] == ["not_published"]
    await ok(reachable.client.post(f"/v1/templates/{made}/publish"))
    reply = await reachable.client.post(AUDIENCES, body)
    assert [one["code"] for one in reply.json["errors"]] == ["missing_link"]


async def test_without_a_host_for_links(api: Api) -> None:
    reply = await api.client.post(AUDIENCES, SENDER | {"double_opt_in": True})
    assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [
        ("double_opt_in", "not_configured")
    ]


class TestAskingOnceMore:
    """POST .../resend-confirmation."""

    async def again(self, opting: Opting, email: str = ANT, client: Client | None = None) -> Any:
        path = f"{opting.path}/contacts/{email}/resend-confirmation"
        return await (client or opting.api.client).post(path)

    async def test_gets_another_mail_after_an_hour(self, opting: Opting) -> None:
        await opting.join()
        assert len(await opting.mails()) == 1
        early = await self.again(opting)
        assert (early.status, early.json["code"]) == (409, "already_asked")
        opting.api.clock.advance(seconds=PAUSE.total_seconds())
        assert (await ok(self.again(opting)))["status"] == "unconfirmed"
        assert len(await opting.mails()) == 2

    async def test_who_has_decided_is_not_asked(self, opting: Opting) -> None:
        await opting.join()
        await ok(opting.api.client.post(f"{opting.path}/contacts/{ANT}/subscribe"))
        reply = await self.again(opting)
        assert (reply.status, reply.json["code"]) == (409, "invalid_state")

    async def test_others_members_are_not_there(self, opting: Opting) -> None:
        await opting.join()
        other = opting.api.client_with(opting.api.new_key(2))
        assert (await self.again(opting, client=other)).status == 404
        assert (await self.again(opting, BEE)).status == 404


async def test_a_key_has_nobody_asked_from_a_domain_that_it_may_not_send_from(
    reachable: Api,
) -> None:
    bound = reachable.client_with(
        reachable.new_key(access=Access(scopes=("contacts:write",), domains=("other.test",)))
    )
    body = SENDER | {"double_opt_in": True}
    refused = await bound.post(AUDIENCES, body)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    assert refused.json["detail"] == "This API key may not send from sender.test."
    made = await ok(reachable.client.post(AUDIENCES, SENDER))
    change = b'{"double_opt_in": true}'
    refused = await bound.request("PATCH", f"{AUDIENCES}/{made['id']}", body=change)
    assert refused.status == 403
    own = body | {"name": "Own", "from_email": "shop@other.test"}
    assert (await ok(bound.post(AUDIENCES, own)))["double_opt_in"] is True
