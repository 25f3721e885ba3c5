"""What an email said, while it is kept."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from storage import retention
from tests.control_api.conftest import EMAIL, Api

FILE = {
    "filename": "Prüfung.pdf",
    "content": base64.b64encode(bytes(range(256))).decode(),
    "content_type": "application/pdf",
}


async def send(api: Api, **fields: Any) -> str:
    reply = await api.client.post("/v1/emails", EMAIL | fields)
    assert reply.status == 200, reply.json
    return str(reply.json["id"])


async def content(api: Api, email_id: str) -> Any:
    reply = await api.client.get(f"/v1/emails/{email_id}/content")
    assert reply.status == 200, reply.json
    return reply.json


async def test_texts_are_decoded_and_files_named(api: Api) -> None:
    html = "<p>Grüße – “quoted” = done</p>\n<style>x</style>"
    found = await content(api, await send(api, html=html, text="Grüße\n", attachments=[FILE]))
    assert (found["object"], found["truncated"]) == ("email_content", False)
    assert (found["html"].rstrip(), found["text"].rstrip()) == (html, "Grüße")
    assert found["attachments"] == [
        {
            "filename": "Prüfung.pdf",
            "content_type": "application/pdf",
            "disposition": "attachment",
            "content_id": None,
        }
    ]
    assert {"name": "subject", "value": "Hello"} in found["headers"]


async def test_an_attached_text_is_not_the_text(api: Api) -> None:
    note = {"filename": "note.txt", "content": "SGk=", "content_type": "text/plain"}
    found = await content(api, await send(api, html="<p>x</p>", text=None, attachments=[note]))
    assert (found["text"], found["attachments"][0]["filename"]) == (None, "note.txt")


async def test_raw_is_what_is_delivered(api: Api) -> None:
    email_id = await send(api)
    reply = await api.client.get(f"/v1/emails/{email_id}/raw")
    assert reply.status == 200
    assert reply.headers["content-type"] == "message/rfc822"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert f"{email_id}.eml" in reply.headers["content-disposition"]
    assert reply.body == api.stored(email_id)


async def test_large_ones_come_from_the_spool(api: Api) -> None:
    email_id = await send(api, text="x" * 70 + "\n" + "long line\n" * 60_000)
    reply = await api.client.get(f"/v1/emails/{email_id}/raw")
    assert (reply.status, reply.body) == (200, api.stored(email_id))
    found = await content(api, email_id)
    assert (found["truncated"], len(found["text"])) == (True, 262_144)


async def test_expired(api: Api) -> None:
    email_id = await send(api)
    await api.client.post(f"/v1/emails/{email_id}/cancel")
    later, past = (api.clock.now + timedelta(days=days) for days in (400, -400))
    api.database.write_now(
        lambda db: retention.prune(db, bodies_before=later, events_before=past, limit=10)
    )
    for rest in ("content", "raw"):
        reply = await api.client.get(f"/v1/emails/{email_id}/{rest}")
        assert (reply.status, reply.json["code"]) == (410, "content_expired")
    assert (await api.client.get(f"/v1/emails/{email_id}")).json["has_content"] is False


async def test_damaged_messages_are_read_as_far_as_possible(api: Api) -> None:
    raw = (
        "From: a@sender.example\nTo: b@x.example\nContent-Type: multipart/mixed; boundary=nowhere\n"
        "\n--other\nContent-Type: text/html; charset=x-nonsense\n"
        "Content-Transfer-Encoding: base64\n\n%%%\n"
    )
    reply = await api.client.post("/v1/emails/raw", {"raw": raw})
    assert reply.status == 200, reply.json
    found = await content(api, reply.json["id"])
    assert isinstance(found["text"] or found["html"], str)
