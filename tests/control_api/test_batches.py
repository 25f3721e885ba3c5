"""POST /v1/emails/batch: all or nothing, or what can be."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Policy
from control_api.batches import MAX_BATCH
from storage import domains
from tests.control_api.conftest import NOW, Api


def email(number: int, **fields: Any) -> dict[str, Any]:
    sent = {"from": "ant@sender.example", "to": [f"u{number}@example.net"], "text": "Hi"}
    return sent | fields


@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_array_and_object(api: Api, is_wrapped: bool) -> None:
    emails = [email(0), email(1, send_at="in 1 hour")]
    reply = await api.client.post("/v1/emails/batch", {"emails": emails} if is_wrapped else emails)
    assert reply.status == 200
    assert reply.json["object"] == "batch"
    assert reply.json["id"].startswith("bt_")
    assert (reply.json["total"], reply.json["sent"], reply.json["failed"]) == (2, 2, 0)
    assert reply.json["errors"] == []
    first, second = reply.json["data"]
    assert (first["index"], first["to"], first["status"]) == (0, ["u0@example.net"], "queued")
    assert (second["index"], second["status"]) == (1, "scheduled")
    assert first["queued_at"] == "2026-03-01T12:00:00.000Z"
    assert api.kicks == 1
    listed = (await api.client.get(f"/v1/emails?batch_id={reply.json['id']}")).json["data"]
    assert {one["id"] for one in listed} == {first["id"], second["id"]}


async def test_strict_is_all_or_nothing(api: Api) -> None:
    emails = [email(0), email(1, to=["x"]), email(2, subject=1, nonsense=1)]
    reply = await api.client.post("/v1/emails/batch", emails)
    assert reply.status == 422
    assert [error["field"] for error in reply.json["errors"]] == [
        "emails[1].to[0]",
        "emails[2].subject",
        "emails[2].nonsense",
    ]
    assert api.count("messages") == 0
    assert api.kicks == 0


async def test_permissive_takes_what_it_can(api: Api) -> None:
    emails = [email(0), 5, email(2, to=["x"]), email(3, headers={"Bcc": "x"})]
    reply = await api.client.post("/v1/emails/batch", emails, x_batch_validation="permissive")
    assert reply.status == 200
    assert [one["index"] for one in reply.json["data"]] == [0]
    assert (reply.json["total"], reply.json["sent"], reply.json["failed"]) == (4, 1, 3)
    found = [(one["index"], one["code"], one["errors"][0]["field"]) for one in reply.json["errors"]]
    assert found == [
        (1, "invalid_type", ""),
        (2, "invalid_address", "to[0]"),
        (3, "invalid_value", "headers.Bcc"),
    ]
    assert api.count("messages") == 1


async def test_permissive_with_nothing_to_take(api: Api) -> None:
    reply = await api.client.post("/v1/emails/batch", [{}], x_batch_validation="permissive")
    assert (reply.status, reply.json["sent"], reply.json["failed"]) == (200, 0, 1)
    assert api.kicks == 0


class TestPolicy:
    @pytest.fixture
    def strict(self, api: Api) -> Api:
        api.database.write_now(
            lambda db: domains.add_domain(
                db, tenant_id=1, domain_id="dom_1", name="good.example", keys=[], now=NOW
            )
        )
        api.database.write_now(
            lambda db: domains.mark_checked(db, "good.example", verified=True, now=NOW)
        )
        return api.with_settings(policy=Policy(require_verified_domain=True))

    EMAILS = (email(0, **{"from": "a@good.example"}), email(1))

    async def test_strict(self, strict: Api) -> None:
        reply = await strict.client.post("/v1/emails/batch", list(self.EMAILS))
        assert reply.status == 403
        assert reply.json["code"] == "domain_not_verified"
        assert [error["field"] for error in reply.json["errors"]] == ["emails[1].from"]
        assert strict.count("messages") == 0

    async def test_permissive(self, strict: Api) -> None:
        reply = await strict.client.post(
            "/v1/emails/batch", list(self.EMAILS), x_batch_validation="permissive"
        )
        assert reply.status == 200
        assert [one["index"] for one in reply.json["data"]] == [0]
        assert [(one["index"], one["code"]) for one in reply.json["errors"]] == [
            (1, "domain_not_verified")
        ]
        assert strict.count("messages") == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ([], "emails", "required"),
        ({}, "emails", "required"),
        ({"emails": {}}, "emails", "invalid_type"),
        ({"emails": [], "x": 1}, "x", "unknown_field"),
        ("x", "", "invalid_type"),
        ([{}] * (MAX_BATCH + 1), "emails", "too_many"),
    ],
)
async def test_bad_bodies(api: Api, body: Any, field: str, code: str) -> None:
    reply = await api.client.post("/v1/emails/batch", body)
    assert reply.status == 422
    first = reply.json["errors"][0]
    assert (first["field"], first["code"]) == (field, code)


async def test_unknown_validation_mode(api: Api) -> None:
    reply = await api.client.post("/v1/emails/batch", [email(0)], x_batch_validation="lenient")
    assert reply.status == 422
    assert reply.json["errors"][0]["field"] == "X-Batch-Validation"


async def test_full_batch(api: Api) -> None:
    reply = await api.client.post("/v1/emails/batch", [email(n) for n in range(MAX_BATCH)])
    assert reply.json["sent"] == MAX_BATCH
    assert [one["index"] for one in reply.json["data"]] == list(range(MAX_BATCH))


@pytest.mark.parametrize("mode", ["strict", "permissive"])
async def test_j11_too_many_recipients_in_all(api: Api, mode: str) -> None:
    to = [f"u{number}@example.net" for number in range(100)]
    emails = [email(0, to=to) for _ in range(101)]
    reply = await api.client.post("/v1/emails/batch", emails, x_batch_validation=mode)
    assert reply.status == 422
    assert reply.json["errors"][0]["code"] == "too_many"
    assert api.count("messages") == 0


async def test_replay(api: Api) -> None:
    first = await api.client.post("/v1/emails/batch", [email(0)], idempotency_key="k")
    again = await api.client.post("/v1/emails/batch", [email(0)], idempotency_key="k")
    assert again.headers["idempotent-replayed"] == "true"
    assert again.body == first.body
    assert api.count("messages") == 1
