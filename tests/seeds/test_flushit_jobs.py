"""FlushIt's jobs and credits in process, row by row; mail that arrives: test_flushit_mail.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.credits import Credits
from control_api.dialects.flushit_jobs import to_job
from storage import credit_ledger
from storage.credit_ledger import Movement
from tests.control_api.conftest import Api
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

JOB = {
    "type": "email",
    "from": "sender@sender.example",
    "subject": "Hello from FlushIt",
    "htmlContent": "<h1>Welcome!</h1><p>Your message here.</p>",
    "recipients": ["user1@example.net", "user2@example.net"],
    "trackOpens": False,
    "trackClicks": False,
}
REFUSED = {"error": {"code": str, "message": str, "status": int}, "message": str}


@pytest.fixture
def flushit(api: Api) -> Service:
    known = public(api)
    return Service(known, "", {"X-API-Key": known.key})


def public(api: Api, **tables: Any) -> Api:
    """Return the application with an address of its own, which campaigns need for their links."""
    own = replace(api.settings.api, public_url="https://mail.sender.example")
    return api.with_settings(api=own, **tables)


def counting(api: Api, credits_: int) -> Service:
    """Return the service where credits count, and the tenant has so many."""
    on = public(api, credits=Credits(enabled=True))
    if credits_:
        on.database.write_now(
            lambda db: credit_ledger.adjust(
                db, 1, credits_, kind=Movement.PURCHASE, description="x", now=on.clock.now
            )
        )
    return Service(on, "", {"X-API-Key": on.key})


async def campaigns(flushit: Service) -> Any:
    return (await flushit.native_ok("GET", "/v1/campaigns"))["data"]


@row("F-04", "F-05")
async def test_send_and_look(flushit: Service) -> None:
    made = await flushit.ok("POST", "/api/send", JOB)
    counts = {"totalRecipients": 2, "creditsReserved": 2}
    assert_shape(made, {"jobId": str, "status": "queued", **counts, "estimatedDelivery": str})
    job = (await flushit.ok("GET", f"/api/send/{made['jobId']}"))["job"]
    none = {"sentCount": 0, "failedCount": 0, "creditsCharged": 0, "creditsRefunded": 0}
    shown = {"type": "email", "totalRecipients": 2, **none, "createdAt": str}
    assert_shape(job, {"id": made["jobId"], "status": "processing", **shown})
    [campaign] = await campaigns(flushit)
    assert (campaign["html"], campaign["status"]) == (JOB["htmlContent"], "sending")


@row("F-04", "F-21")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"from": "nobody"}, "from"),
        ({"from": None}, "from"),
        ({"subject": ""}, "subject"),
        ({"htmlContent": None}, "htmlContent"),
        ({"htmlContent": "{% if %}"}, "htmlContent"),
        ({"recipients": []}, "recipients"),
        ({"recipients": None}, "recipients"),
        ({"attachments": [{"filename": "a.txt", "content": "aGk="}]}, "attachments"),
        ({"scheduledAt": "2026-03-02T12:00:00Z"}, "scheduledAt"),
        ({"recipients": ["nobody"]}, "recipients[0]"),
        ({"recipients": "user1@example.net"}, "recipients"),
        ({"trackOpens": "yes"}, "trackOpens"),
        ({"recipients": ["user1@example.net"] * 10_001}, "recipients"),
        ({"type": "fax"}, "type"),
    ],
)
async def test_jobs_that_cannot_be(flushit: Service, change: dict[str, Any], named: str) -> None:
    reply = await flushit.call("POST", "/api/send", JOB | change)
    assert reply.status == 400, reply.body
    assert_shape(reply.json, REFUSED)
    assert reply.json["message"].startswith(named)
    assert await campaigns(flushit) == []


@row("F-04")
async def test_a_subject_may_be_longer_than_a_name(flushit: Service) -> None:
    await flushit.ok("POST", "/api/send", JOB | {"subject": "Grüße " * 60})
    [campaign] = await campaigns(flushit)
    assert campaign["subject"] == "Grüße " * 60
    assert campaign["name"] == ("Grüße " * 60)[:256]


@row("F-04")
@pytest.mark.parametrize(
    "change", [{}, {"subject": None, "htmlContent": None, "recipients": ["+4930123456"]}]
)
async def test_text_messages_have_no_gateway_here(flushit: Service, change: Any) -> None:
    reply = await flushit.call("POST", "/api/send", JOB | change | {"type": "sms"})
    assert (reply.status, reply.json["error"]["code"]) == (422, "channel_not_configured")
    assert await campaigns(flushit) == []


@row("F-04")
async def test_the_same_request_twice_is_one_job(flushit: Service) -> None:
    headers = {"Idempotency-Key": "one"}
    made = [await flushit.ok("POST", "/api/send", JOB, headers) for _ in range(2)]
    assert made[0]["jobId"] == made[1]["jobId"]
    assert len(await campaigns(flushit)) == 1


@row("F-01", "F-02", "F-03", "F-22")
async def test_a_job_reserves_its_credits(api: Api) -> None:
    flushit = counting(api, 5000)
    await flushit.ok("POST", "/api/send", JOB)
    found = await flushit.ok("GET", "/api/credits/balance")
    assert found == {"balance": 5000, "reserved": 2, "available": 4998}
    assert (await flushit.ok("GET", "/api/auth/me"))["user"]["creditBalance"] == 5000
    page = await flushit.ok("GET", "/api/credits/transactions")
    moved = {"id": str, "type": str, "amount": int, "description": str, "createdAt": str}
    assert_shape(page, {"transactions": [moved], "total": 2, "page": 1})
    assert page["transactions"][1]["type"] == "purchase"
    assert page["transactions"][1]["id"].startswith("txn_")
    second = await flushit.ok("GET", "/api/credits/transactions?page=2&limit=1")
    assert (second["page"], second["transactions"]) == (2, page["transactions"][1:])


@row("F-22")
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_too_few_credits(api: Api, headers: dict[str, str]) -> None:
    flushit = counting(api, 1)
    reply = await flushit.call("POST", "/api/send", JOB, headers)
    assert (reply.status, reply.json["error"]["code"]) == (403, "insufficient_credits")
    assert_shape(reply.json, REFUSED)
    assert (await flushit.ok("GET", "/api/credits/balance"))["reserved"] == 0
    # One that may come again under its key is kept, unsent.
    assert [one["status"] for one in await campaigns(flushit)] == ["draft"] * len(headers)


@row("F-05", "F-22")
def test_failed_deliveries_are_paid_back() -> None:
    counts = dict.fromkeys(("queued", "complained", "unsubscribed", "canceled", "skipped"), 0)
    # Five were tried: three arrived (of one a report came later), one bounced, one expired.
    counts |= {"sent": 5, "delivered": 3, "bounced": 2, "failed": 1, "suppressed": 1}
    campaign = {
        "id": "cmp_1",
        "status": "completed",
        "channel": "email",
        "total_recipients": 6,
        "counts": counts,
        "created_at": "2026-03-01T12:00:00.000Z",
    }
    job = to_job(campaign)
    assert (job["sentCount"], job["failedCount"]) == (3, 3)
    assert (job["creditsCharged"], job["creditsRefunded"]) == (3, 3)
    assert job["status"] == "completed"


@row("F-18")
async def test_tracking_of_a_job_that_nobody_has_read(flushit: Service) -> None:
    made = await flushit.ok("POST", "/api/send", JOB)
    found = await flushit.ok("GET", f"/api/tracking/{made['jobId']}")
    nothing = {"total": 0, "unique": 0, "rate": 0.0}
    assert found == {
        "jobId": made["jobId"],
        "tracking": {"opens": nothing, "clicks": nothing, "recipients": []},
    }
