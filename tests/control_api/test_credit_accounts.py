"""Credits over the API: accounts, the ledger, and mail that is refused with 402."""

from __future__ import annotations

from typing import Any

import pytest

from config.credits import Credits
from mta.core.access import ADMIN, Access
from storage import credit_ledger
from storage.credits import account
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Client

ADJUST = "/v1/credits/adjust"


@pytest.fixture
def paid(api: Api) -> Api:
    return api.with_settings(credits=Credits(enabled=True))


def operator(api: Api) -> Client:
    return api.client_with(api.new_key(access=Access(scopes=(ADMIN,))))


async def give(api: Api, amount: int, **more: Any) -> Any:
    reply = await operator(api).post(ADJUST, {"amount": amount, **more})
    assert reply.status == 200, reply.json
    return reply.json


async def standing(api: Api) -> tuple[int, int, int]:
    body = (await api.client.get("/v1/credits")).json
    assert body["enabled"]
    assert body["available"] == body["balance"] - body["reserved"]
    ledger = api.database.read_now(lambda db: credit_ledger.summed(db, 1))
    assert ledger == api.database.read_now(lambda db: account(db, 1))
    return body["balance"], body["reserved"], body["available"]


async def test_off_by_default_mail_takes_none(api: Api) -> None:
    assert (await api.client.post("/v1/emails", EMAIL)).status == 200
    assert (await api.client.get("/v1/credits")).json == {
        "object": "credits",
        "enabled": False,
        "balance": None,
        "reserved": None,
        "available": None,
    }
    assert api.count("credit_holds") == 0


async def test_bought_reserved_and_listed(paid: Api) -> None:
    bought = await give(paid, 5000, type="purchase", description="Invoice 7")
    assert (bought["type"], bought["amount"], bought["email_id"]) == ("purchase", 5000, None)
    to = [f"p{number}@example.net" for number in range(3)]
    sent = (await paid.client.post("/v1/emails", EMAIL | {"to": to})).json
    assert await standing(paid) == (5000, 3, 4997)
    listed = (await paid.client.get("/v1/credits/transactions?include=total")).json
    assert [(one["type"], one["amount"], one["email_id"]) for one in listed["data"]] == [
        ("reserve", -3, sent["id"]),
        ("purchase", 5000, None),
    ]
    assert (listed["total"], listed["has_more"]) == (2, False)
    canceled = await paid.client.post(f"/v1/emails/{sent['id']}/cancel")
    assert canceled.status == 200
    assert await standing(paid) == (5000, 0, 5000)


async def test_transactions_come_in_pages(paid: Api) -> None:
    made = [(await give(paid, number))["id"] for number in (1, 2, 3)][::-1]
    path = "/v1/credits/transactions"

    async def ids(query: str) -> list[str]:
        return [one["id"] for one in (await paid.client.get(f"{path}?{query}")).json["data"]]

    assert await ids("limit=2") == made[:2]
    assert await ids(f"limit=2&after={made[1]}") == made[2:]
    assert await ids(f"limit=1&before={made[2]}") == made[1:2]
    assert await ids("limit=2&page=2") == made[2:]


async def test_too_few_credits_are_a_402(paid: Api) -> None:
    await give(paid, 2)
    body = EMAIL | {"to": [f"p{number}@example.net" for number in range(3)]}
    reply = await paid.client.post("/v1/emails", body)
    assert (reply.status, reply.json["code"]) == (402, "insufficient_credits")
    assert (reply.json["needed"], reply.json["available"]) == (3, 2)
    assert reply.json["detail"] == "This takes 3 credits; 2 of yours are available."
    assert await standing(paid) == (2, 0, 2)
    assert paid.count("messages") == 0
    raw = {"rcpt_to": body["to"], "raw": "From: a@sender.example\r\nSubject: x\r\n\r\nx\r\n"}
    assert (await paid.client.post("/v1/emails/raw", raw)).status == 402


async def test_a_refusal_is_not_remembered_for_its_idempotency_key(paid: Api) -> None:
    assert (await paid.client.post("/v1/emails", EMAIL, idempotency_key="k")).status == 402
    await give(paid, 1)
    for _ in range(2):
        assert (await paid.client.post("/v1/emails", EMAIL, idempotency_key="k")).status == 200
    assert await standing(paid) == (1, 1, 0)


async def test_a_strict_batch_is_paid_for_as_a_whole(paid: Api) -> None:
    await give(paid, 3)
    emails = [EMAIL | {"to": [f"a{n}@example.net", f"b{n}@example.net"]} for n in range(2)]
    reply = await paid.client.post("/v1/emails/batch", emails)
    assert (reply.status, reply.json["code"]) == (402, "insufficient_credits")
    assert (reply.json["needed"], reply.json["available"]) == (4, 3)
    assert await standing(paid) == (3, 0, 3)
    assert paid.count("messages") == 0
    await give(paid, 1)
    assert (await paid.client.post("/v1/emails/batch", emails)).status == 200
    assert await standing(paid) == (4, 4, 0)


async def test_large_mails_that_are_refused_leave_no_files(paid: Api) -> None:
    await give(paid, 1)
    large = EMAIL | {"text": "x" * 300_000}
    assert (await paid.client.post("/v1/emails/batch", [large, large])).status == 402
    assert (await paid.client.post("/v1/emails/batch", [large])).status == 200
    assert (await paid.client.post("/v1/emails", large)).status == 402
    spool = paid.settings.server.data_dir / "spool"
    assert len([path for path in spool.rglob("*") if path.is_file()]) == 1


async def test_a_permissive_batch_gets_as_far_as_the_credits_go(paid: Api) -> None:
    await give(paid, 1)
    reply = await paid.client.post(
        "/v1/emails/batch", [EMAIL, EMAIL], x_batch_validation="permissive"
    )
    assert reply.status == 200
    assert (reply.json["sent"], reply.json["failed"]) == (1, 1)
    [error] = reply.json["errors"]
    assert (error["index"], error["code"]) == (1, "insufficient_credits")


async def test_test_keys_pay_nothing(paid: Api) -> None:
    client = paid.client_with(paid.new_key(access=Access(is_test=True)))
    assert (await client.post("/v1/emails", EMAIL)).status == 200
    assert await standing(paid) == (0, 0, 0)


async def test_operators_give_to_other_tenants_and_nobody_else_gives(paid: Api) -> None:
    admin = operator(paid)
    tenant = (await admin.post("/v1/tenants", {"name": "acme"})).json["id"]
    await give(paid, 7, tenant=tenant)
    assert await standing(paid) == (0, 0, 0)
    assert (await paid.client.post(ADJUST, {"amount": 5})).status == 403
    reader = paid.client_with(paid.new_key(access=Access(scopes=("billing:read",))))
    assert (await reader.get("/v1/credits")).status == 200
    assert (await reader.post(ADJUST, {"amount": 5})).status == 403
    deleted = await admin.delete(f"/v1/tenants/{tenant}")
    assert deleted.status == 200, deleted.json
    assert paid.count("credit_accounts") == 0


async def test_adjusting_is_done_once(paid: Api) -> None:
    admin = operator(paid)
    first = await admin.post(ADJUST, {"amount": 5}, idempotency_key="k")
    second = await admin.post(ADJUST, {"amount": 5}, idempotency_key="k")
    assert first.json == second.json
    assert await standing(paid) == (5, 0, 5)


async def test_what_is_reserved_is_not_taken_back(paid: Api) -> None:
    await give(paid, 2)
    await paid.client.post("/v1/emails", EMAIL)
    refused = await operator(paid).post(ADJUST, {"amount": -2})
    assert (refused.status, refused.json["needed"], refused.json["available"]) == (402, 2, 1)
    taken = await give(paid, -1, description="mistake")
    assert (taken["type"], taken["amount"]) == ("adjust", -1)
    assert await standing(paid) == (1, 1, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 10**13}, "amount"),
        ({"amount": 1, "type": "charge"}, "type"),
        ({"amount": 1, "description": "x" * 501}, "description"),
        ({"amount": 1, "tenant": "acme"}, "tenant"),
        ({"amount": 1, "tenant": "ten_00000000000000000000000009"}, "tenant"),
        ({"amount": 1, "more": 1}, "more"),
        ([], ""),
    ],
)
async def test_bad_adjustments(paid: Api, body: Any, field: str) -> None:
    reply = await operator(paid).post(ADJUST, body)
    assert reply.status == 422
    assert field in [error["field"] for error in reply.json["errors"]]
    assert await standing(paid) == (0, 0, 0)


@pytest.mark.parametrize("query", ["limit=0", "after=x", "include=all", "type=charge"])
async def test_bad_queries(paid: Api, query: str) -> None:
    reply = await paid.client.get(f"/v1/credits/transactions?{query}")
    assert reply.status == 422
