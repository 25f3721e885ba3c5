"""What text in contacts, audiences and campaigns cannot do to the mail made of it. (H04, H05, H14)

Refused or written down where it belongs: the header of every mail has the fields that it always
has, and nobody else gets it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.control_api.campaigning import AUDIENCES, CAMPAIGNS, DRAFT, Campaigning
from tests.control_api.conftest import Api, parsed
from tests.control_api.test_confirmation import Opting, reachable
from tests.control_api.test_injection import BREAKS, TRICKS

__all__ = ["reachable"]  # a fixture

ANT = "ant@example.net"
LIQUID = ["{{ 7 | times: 7 }}", "{% raw %}", "{{ name }}{{ email", "{0.__class__}%s${x}"]
TEXTS = [*BREAKS, *TRICKS, *LIQUID]
SUBJECT = 'Hi {{ name | default: "you" }} in {{ properties.city | default: "town" }}'


def headers(api: Api) -> list[list[bytes]]:
    """Return the names of the header fields of every mail, after a look at who gets it."""
    found = api.database.read_now(
        lambda db: db.execute(
            "SELECT m.public_id, e.recipient FROM messages m"
            " JOIN entries e ON e.message_id = m.id ORDER BY m.id"
        ).fetchall()
    )
    names = []
    for public_id, recipient in found:
        assert recipient == ANT
        message = parsed(api.stored(public_id))
        assert [one.addr_spec for one in message["To"].addresses] == [ANT]
        assert message["Bcc"] is None
        names.append(sorted(field.name for field in api.header(public_id).fields))
    return names


async def campaign_with(api: Api, text: str) -> list[list[bytes]]:
    """Put text wherever a campaign takes some; return the fields of the mail that comes of it."""
    camp = Campaigning(api)
    audience = await camp.audience(ANT)
    people = [{"email": ANT, "name": f"A{text}"[:256], "properties": {"city": f"C{text}"}}]
    await camp.ask("POST", f"{AUDIENCES}/{audience}/contacts", {"contacts": people})
    for field in ("name", "from_name", "default_subject", "reply_to"):
        await camp.ask("PATCH", f"{AUDIENCES}/{audience}", {field: f"N{text}"[:256]})
    made = await camp.ok("POST", CAMPAIGNS, DRAFT | {"subject": SUBJECT, "audience_id": audience})
    path = f"{CAMPAIGNS}/{made['id']}"
    for change in (
        {"name": f"N{text}"},
        {"from": {"email": "shop@sender.example", "name": f"F{text}"[:256]}},
        {"reply_to": {"email": "shop@sender.example", "name": f"R{text}"[:256]}},
        {"tags": {"season": f"S{text}"[:256]}},
        {"headers": {"X-Custom": f"X{text}"}},
        {"headers": {f"X-{text}": "x"}},
    ):
        reply = await camp.ask("PATCH", path, change)
        assert reply.status in {200, 422}, reply.body
    await camp.ok("POST", f"{path}/send")
    await camp.advance()
    return headers(api)


async def test_h04_fields_of_a_campaigns_mail_are_these(api: Api) -> None:
    [names] = await campaign_with(api, "x")
    assert set(names) == USUAL - {b"Content-Transfer-Encoding"}  # of what is not ASCII


@pytest.mark.parametrize("text", TEXTS)
async def test_h04_h05_h14_nothing_that_a_campaign_is_made_of_adds_a_field(
    api: Api, text: str
) -> None:
    [names] = await campaign_with(api, text)
    assert len(set(names)) == len(names)
    assert set(names) <= USUAL, set(names) - USUAL


@pytest.mark.parametrize("text", LIQUID)
async def test_h14_what_a_template_is_filled_with_is_not_read_as_one(api: Api, text: str) -> None:
    camp = Campaigning(api)
    audience = await camp.audience({"email": ANT, "name": text})
    await camp.sent(audience_id=audience, subject="Hi {{ name }}", html="<p>Dear {{ name }}</p>")
    await camp.advance()
    [listed] = (await camp.ok("GET", "/v1/emails"))["data"]
    message = parsed(api.stored(listed["id"]))
    body = message.get_body(("plain",))
    assert message["Subject"] == f"Hi {text}"
    assert body is not None
    assert f"Dear {text}" in body.get_content()


USUAL = {
    *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"Content-Type"),
    *(b"Content-Transfer-Encoding", b"Received", b"Reply-To"),
}


@pytest.mark.parametrize("text", TEXTS)
async def test_h04_h14_nothing_that_a_list_is_made_of_adds_a_field_to_its_question(
    reachable: Api, text: str
) -> None:
    opting = Opting(reachable)
    await opting.begin()
    for field in ("name", "from_name", "default_subject"):
        reply = await reachable.client.request(
            "PATCH", opting.path, body=json.dumps({field: f"N{text}"[:256]}).encode()
        )
        assert reply.status in {200, 422}, reply.body
    person: dict[str, Any] = {"email": ANT}
    reply = await reachable.client.post(
        f"{opting.path}/contacts", person | {"name": f"A{text}"[:256]}
    )
    if reply.status == 422:
        reply = await reachable.client.post(f"{opting.path}/contacts", person)
    assert reply.status == 200, reply.body
    while await opting.sender.ask_some():
        pass
    [names] = headers(reachable)
    assert len(set(names)) == len(names)
    assert set(names) <= USUAL, set(names) - USUAL
