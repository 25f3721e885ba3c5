"""Cancelling, moving to another time, and trying failed recipients again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from storage import retention, suppressions
from storage.queue import settle
from tests.control_api.conftest import EMAIL, Api
from tests.storage import builders
from tests.support.asgi import Reply


async def send(api: Api, **fields: Any) -> str:
    reply = await api.client.post("/v1/emails", EMAIL | fields)
    assert reply.status == 200, reply.json
    return str(reply.json["id"])


async def patch(api: Api, email_id: str, **fields: Any) -> Reply:
    body = json.dumps(fields).encode()
    return await api.client.request("PATCH", f"/v1/emails/{email_id}", body=body)


def fail(api: Api, *results: str) -> None:
    """Let one attempt of each waiting entry end so."""

    def attempt(db: Any) -> None:
        entries = builders.claim(db, at=api.clock.now + timedelta(days=1))
        pairs = zip(entries, results, strict=True)
        settle(db, [builders.settlement(entry, result) for entry, result in pairs])

    api.database.write_now(attempt)


class TestCancel:
    async def test_scheduled_email(self, api: Api) -> None:
        email_id = await send(api, send_at="in 1 hour")
        reply = await api.client.post(f"/v1/emails/{email_id}/cancel")
        assert reply.status == 200
        assert reply.json["status"] == "canceled"
        assert [one["status"] for one in reply.json["recipients"]] == ["canceled"]
        assert reply.json["events"][-1]["type"] == "email.canceled"
        assert api.kicks == 2

    async def test_twice_is_409_and_with_the_key_a_replay(self, api: Api) -> None:
        target = f"/v1/emails/{await send(api)}/cancel"
        first = await api.client.post(target, idempotency_key="k")
        again = await api.client.post(target, idempotency_key="k")
        assert (first.status, again.status) == (200, 200)
        assert again.body == first.body
        reply = await api.client.post(target)
        assert (reply.status, reply.json["code"]) == (409, "not_cancelable")


class TestAnotherTime:
    @pytest.mark.parametrize("name", ["send_at", "scheduled_at"])
    async def test_later(self, api: Api, name: str) -> None:
        email_id = await send(api, send_at="in 1 hour")
        reply = await patch(api, email_id, **{name: "2026-03-02T12:00:00+01:00"})
        assert reply.status == 200, reply.json
        assert (reply.json["status"], reply.json["id"]) == ("scheduled", email_id)
        assert reply.json["send_at"] == "2026-03-02T11:00:00.000Z"
        assert reply.json["recipients"][0]["due_at"] == "2026-03-02T11:00:00.000Z"
        assert [one["type"] for one in reply.json["events"]] == ["email.scheduled"] * 2
        assert api.kicks == 2

    async def test_a_time_that_has_passed_is_now(self, api: Api) -> None:
        email_id = await send(api, send_at="in 1 hour")
        reply = await patch(api, email_id, send_at="2020-01-01T00:00:00Z")
        assert (reply.json["status"], reply.json["send_at"]) == ("queued", None)

    async def test_what_is_not_scheduled_is_409(self, api: Api) -> None:
        for fields in ({}, {"send_at": "in 1 hour"}):
            email_id = await send(api, **fields)
            fail(api, "bounced")
            reply = await patch(api, email_id, send_at="in 1 day")
            assert (reply.status, reply.json["code"]) == (409, "not_scheduled")

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({}, "send_at"),
            ({"send_at": None}, "send_at"),
            ({"send_at": "soon"}, "send_at"),
            ({"send_at": "in 31 days"}, "send_at"),
            ({"send_at": "in 1 hour", "scheduled_at": "in 1 hour"}, "scheduled_at"),
            ({"subject": "x", "send_at": "in 1 hour"}, "subject"),
            ({"id": "em_1", "send_at": "in 1 hour"}, "id"),
        ],
    )
    async def test_bad_bodies(self, api: Api, fields: dict[str, Any], field: str) -> None:
        reply = await patch(api, await send(api, send_at="in 1 hour"), **fields)
        assert reply.status == 422
        assert [error["field"] for error in reply.json["errors"]] == [field]


class TestRetry:
    async def test_failed_recipients_only(self, api: Api) -> None:
        email_id = await send(api, to=["a@example.net", "b@example.net", "c@example.net"])
        fail(api, "delivered", "bounced", "expired")
        reply = await api.client.post(f"/v1/emails/{email_id}/retry")
        assert reply.status == 200, reply.json
        assert reply.json["status"] == "queued"
        assert reply.json["counts"] == {"delivered": 1, "waiting": 2}
        assert reply.json["events"][-1]["data"] == {"retried": "expired"}
        assert api.kicks == 2
        again = await api.client.post(f"/v1/emails/{email_id}/retry")
        assert (again.status, again.json["code"]) == (409, "not_retryable")

    async def test_later(self, api: Api) -> None:
        email_id = await send(api)
        fail(api, "bounced")
        reply = await api.client.post(f"/v1/emails/{email_id}/retry", {"after": "in 2 hours"})
        assert reply.json["status"] == "scheduled"
        assert reply.json["recipients"][0]["due_at"] == "2026-03-01T14:00:00.000Z"
        moved = await patch(api, email_id, send_at="in 1 hour")
        assert moved.json["recipients"][0]["due_at"] == "2026-03-01T13:00:00.000Z"

    async def test_only_suppressed_ones_left(self, api: Api) -> None:
        email_id = await send(api)
        fail(api, "bounced")
        api.database.write_now(
            lambda db: suppressions.add(
                db,
                tenant_id=1,
                key="bee@example.net",
                address="bee@example.net",
                reason="bounce",
                now=api.clock.now,
            )
        )
        reply = await api.client.post(f"/v1/emails/{email_id}/retry")
        assert (reply.status, reply.json["code"]) == (409, "suppressed")

    async def test_without_its_body_it_cannot_be_sent_again(self, api: Api) -> None:
        email_id = await send(api)
        fail(api, "bounced")
        later = api.clock.now + timedelta(days=400)
        past = api.clock.now - timedelta(days=400)
        api.database.write_now(
            lambda db: retention.prune(db, bodies_before=later, events_before=past, limit=10)
        )
        reply = await api.client.post(f"/v1/emails/{email_id}/retry")
        assert (reply.status, reply.json["code"]) == (410, "content_expired")

    async def test_repeated_with_a_key_it_happens_once(self, api: Api) -> None:
        email_id = await send(api)
        fail(api, "bounced")
        target = f"/v1/emails/{email_id}/retry"
        first = await api.client.post(target, idempotency_key="k")
        fail(api, "bounced")
        again = await api.client.post(target, idempotency_key="k")
        assert (again.status, again.body) == (200, first.body)
        assert (await api.client.get(f"/v1/emails/{email_id}")).json["status"] == "bounced"

    @pytest.mark.parametrize("body", [[], {"after": 5}, {"after": "x"}, {"before": "in 1 hour"}])
    async def test_bad_bodies(self, api: Api, body: Any) -> None:
        reply = await api.client.post(f"/v1/emails/{await send(api)}/retry", body)
        assert reply.status == 422
