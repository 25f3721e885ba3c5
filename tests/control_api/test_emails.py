"""POST /v1/emails: what is stored, what is told, and what strangers' text cannot do."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any, cast

import pytest

from config.settings import Policy, Reports, Smtp, Submission
from mta.core.canonical import body_hash
from mta.core.header import split_header
from storage import domains
from storage.spool import INLINE_LIMIT
from tests.control_api.conftest import EMAIL, NOW, Api, parsed


def row(api: Api, columns: str, email_id: str) -> tuple[Any, ...]:
    sql = f"SELECT {columns} FROM messages WHERE public_id = ?"  # noqa: S608 - columns are ours
    return cast(
        "tuple[Any, ...]", api.database.read_now(lambda db: db.execute(sql, (email_id,)).fetchone())
    )


async def test_answer(api: Api) -> None:
    reply = await api.client.post("/v1/emails", EMAIL)
    assert reply.status == 200
    email_id = reply.json["id"]
    assert re.fullmatch("em_[0-9A-Z]{26}", email_id)
    assert reply.json == {
        "object": "email",
        "id": email_id,
        "status": "queued",
        "queued_at": "2026-03-01T12:00:00.000Z",
        "message_id": f"<{email_id}@sender.example>",
    }
    assert api.kicks == 1


@pytest.mark.parametrize(("priority", "urgent"), [("transactional", 1), ("bulk", 0)])
async def test_bulk_makes_way_for_urgent_mail(api: Api, priority: str, urgent: int) -> None:
    assert (await api.client.post("/v1/emails", EMAIL | {"priority": priority})).status == 200
    assert api.urgent == urgent
    batch = {"emails": [EMAIL | {"priority": "bulk"}, EMAIL | {"priority": priority}]}
    assert (await api.client.post("/v1/emails/batch", batch)).status == 200
    assert api.urgent == 2 * urgent


async def test_stored_message_is_complete(api: Api) -> None:
    reply = await api.client.post("/v1/emails", EMAIL)
    data = api.stored(reply.json["id"])
    message = parsed(data)
    assert message["From"] == "Ant <ant@sender.example>"
    assert message["To"] == "bee@example.net"
    assert message["Subject"] == "Hello"
    assert message["Message-ID"] == reply.json["message_id"]
    assert message["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert message.get_content() == "Hi Bee\r\n"
    received = message["Received"]
    assert received.startswith("by mta.sender.test (Mailwright) with HTTP")
    assert reply.json["id"] in received
    assert "127.0.0.1" not in received
    header_size = split_header(data)[1]
    assert row(api, "size, header_size, body_hash, is_8bit, door", reply.json["id"]) == (
        len(data),
        header_size,
        body_hash(data[header_size:]),
        0,
        "api",
    )


async def test_everything_at_once(api: Api) -> None:
    reply = await api.client.post(
        "/v1/emails",
        {
            "from": {"email": "ant@sender.example", "name": "Ant Ä."},
            "to": ["bee@example.net", {"email": "elk@example.org", "name": "Elk"}],
            "cc": "cc@example.net",
            "bcc": ["secret@example.com"],
            "reply_to": "Help <help@sender.example>",
            "subject": "Grüße 👋",
            "text": "Text",
            "html": '<img src="cid:logo">',
            "headers": {"X-Campaign": "spring", "List-Unsubscribe": "<https://u.example/1>"},
            "attachments": [
                {"filename": "Rechnung März.pdf", "content": base64.b64encode(b"%PDF").decode()},
                {"content": base64.b64encode(b"PNG").decode(), "content_id": "logo"},
            ],
            "tags": {"kind": "invoice"},
            "metadata": {"order": 7},
            "priority": "bulk",
        },
    )
    assert reply.status == 200
    data = api.stored(reply.json["id"])
    message = parsed(data)
    assert data.isascii()
    assert message["Subject"] == "Grüße 👋"
    assert message["Reply-To"] == "Help <help@sender.example>"
    assert message["Cc"] == "cc@example.net"
    assert b"secret" not in data
    assert message["X-Campaign"] == "spring"
    assert [part.get_filename() for part in message.iter_attachments()] == ["Rechnung März.pdf"]
    got = (await api.client.get(f"/v1/emails/{reply.json['id']}")).json
    assert [one["address"] for one in got["recipients"]] == [
        "bee@example.net",
        "elk@example.org",
        "cc@example.net",
        "secret@example.com",
    ]
    assert got["to"] == ["bee@example.net", "Elk <elk@example.org>"]
    assert (got["tags"], got["metadata"]) == ({"kind": "invoice"}, {"order": 7})


async def test_same_mailbox_twice_is_one_entry(api: Api) -> None:
    reply = await api.client.post(
        "/v1/emails", EMAIL | {"to": ["b@x.example", "B <b@X.example>"], "cc": "b@x.example"}
    )
    got = (await api.client.get(f"/v1/emails/{reply.json['id']}")).json
    assert [one["address"] for one in got["recipients"]] == ["b@x.example"]


async def test_utf8_local_part_is_marked_for_smtputf8(api: Api) -> None:
    reply = await api.client.post("/v1/emails", EMAIL | {"to": "jürgen@example.net"})
    assert row(api, "has_8bit_header, is_8bit", reply.json["id"]) == (1, 1)


@pytest.mark.parametrize(
    ("domain", "expected"), [("", "ant@sender.example"), ("r.example", "bounces@r.example")]
)
async def test_return_path(api: Api, domain: str, expected: str) -> None:
    smtp = Smtp(reports=Reports(domain=domain))
    reply = await api.with_settings(smtp=smtp).client.post("/v1/emails", EMAIL)
    assert row(api, "mail_from", reply.json["id"]) == (expected,)


class TestScheduling:
    async def test_later(self, api: Api) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | {"send_at": "in 2 hours"})
        assert reply.json["status"] == "scheduled"
        got = (await api.client.get(f"/v1/emails/{reply.json['id']}")).json
        assert got["status"] == "scheduled"
        assert got["send_at"] == "2026-03-01T14:00:00.000Z"
        assert got["recipients"][0]["due_at"] == "2026-03-01T14:00:00.000Z"
        assert got["recipients"][0]["why"] == "scheduled"

    async def test_past_is_now(self, api: Api) -> None:
        reply = await api.client.post("/v1/emails", EMAIL | {"send_at": "2020-01-01T00:00:00Z"})
        assert reply.json["status"] == "queued"


class TestDomains:
    async def test_unverified_sender_domain_is_refused(self, api: Api) -> None:
        strict = api.with_settings(policy=Policy(require_verified_domain=True))
        reply = await strict.client.post("/v1/emails", EMAIL)
        assert reply.status == 403
        assert reply.json["code"] == "domain_not_verified"
        assert reply.json["errors"][0]["field"] == "from"
        assert "sender.example" in reply.json["detail"]
        assert strict.kicks == 0
        assert api.count("messages") == 0

    @pytest.mark.parametrize("sender", ["a@sender.example", "a@sub.sender.example"])
    async def test_verified_domain_and_its_subdomains_pass(self, api: Api, sender: str) -> None:
        strict = api.with_settings(policy=Policy(require_verified_domain=True))
        api.database.write_now(
            lambda db: domains.add_domain(
                db, tenant_id=1, domain_id="dom_1", name="sender.example", keys=[], now=NOW
            )
        )
        api.database.write_now(
            lambda db: domains.mark_checked(db, "sender.example", verified=True, now=NOW)
        )
        reply = await strict.client.post("/v1/emails", EMAIL | {"from": sender})
        assert reply.status == 200


class TestLargeMessages:
    def large(self, size: int = INLINE_LIMIT) -> dict[str, Any]:
        content = base64.b64encode(b"x" * size).decode()
        return EMAIL | {"attachments": [{"filename": "a.bin", "content": content}]}

    def spooled(self, api: Api) -> list[str]:
        directory = api.settings.server.data_dir / "spool"
        return [file.name for file in directory.iterdir()]

    async def test_go_to_the_spool(self, api: Api) -> None:
        reply = await api.client.post("/v1/emails", self.large())
        assert reply.status == 200
        [part] = parsed(api.stored(reply.json["id"])).iter_attachments()
        assert part.get_content() == b"x" * INLINE_LIMIT
        assert len(self.spooled(api)) == 1

    async def test_too_large_is_refused(self, api: Api) -> None:
        smtp = Smtp(submission=Submission(max_message_size=300_000))
        reply = await api.with_settings(smtp=smtp).client.post("/v1/emails", self.large())
        assert reply.status == 422
        assert reply.json["errors"][0]["code"] == "too_large"
        assert self.spooled(api) == []

    async def test_replayed_or_refused_ones_leave_nothing_in_the_spool(self, api: Api) -> None:
        for _ in range(2):
            reply = await api.client.post("/v1/emails", self.large(), idempotency_key="k")
            assert reply.status == 200
        assert len(self.spooled(api)) == 1
        strict = api.with_settings(policy=Policy(require_verified_domain=True))
        assert (await strict.client.post("/v1/emails", self.large())).status == 403
        assert len(self.spooled(api)) == 1


async def test_settings_reach_received(api: Api) -> None:
    server = replace(api.settings.server, hostname="mx.other.test")
    reply = await api.with_settings(server=server).client.post("/v1/emails", EMAIL)
    assert b"by mx.other.test" in (api.header(reply.json["id"]).get(b"Received") or b"")


async def test_one_email_may_be_a_test(api: Api) -> None:
    answer = await api.client.post("/v1/emails", EMAIL | {"test": True})
    assert answer.status == 200
    row = api.database.read_now(
        lambda db: db.execute(
            "SELECT m.is_test, q.domain FROM messages m JOIN entries q ON q.message_id = m.id"
        ).fetchone()
    )
    assert row == (1, "sandbox.test")
    wrong = await api.client.post("/v1/emails", EMAIL | {"test": "yes"})
    assert [error["field"] for error in wrong.json["errors"]] == ["test"]
