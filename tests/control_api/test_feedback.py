"""What the app says about its own mail: it counts like a report, and only for its own mail."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest

from storage import events, reports, suppressions
from tests.control_api.conftest import EMAIL, Api
from tests.support.report_mails import dsn


async def sent(api: Api, **fields: Any) -> dict[str, Any]:
    answer = await api.client.post("/v1/emails", EMAIL | fields)
    assert answer.status == 200, answer.json
    return answer.json  # type: ignore[no-any-return]


def suppressed(api: Api, key: str = "bee@example.net") -> str | None:
    found = api.database.read_now(lambda db: suppressions.lookup(db, 1, [key], api.clock.now))
    return found.get(key)


async def test_a_hard_bounce_suppresses(api: Api) -> None:
    email = await sent(api)
    body = {"message_id": email["id"], "type": "hard", "description": "no such user"}
    answer = await api.client.post("/v1/feedback/bounce", body)
    assert answer.status == 200
    assert answer.json == {
        "object": "feedback",
        "email_id": email["id"],
        "recipient": "bee@example.net",
        "status": "recorded",
    }
    assert suppressed(api) == "bounce"
    again = await api.client.post("/v1/feedback/bounce", body)
    assert again.json["status"] == "known"


@pytest.mark.parametrize(
    "fields",
    [{"type": "soft"}, {"status": "4.2.2"}, {"class": "policy"}, {"status": "5.7.1"}, {}],
)
async def test_other_bounces_are_told_and_do_not_suppress(api: Api, fields: dict[str, str]) -> None:
    email = await sent(api)
    answer = await api.client.post("/v1/feedback/bounce", {"message_id": email["id"], **fields})
    assert answer.json["status"] == "recorded"
    assert suppressed(api) is None
    kinds = [e.kind.value for e in api.database.read_now(partial(events.read, after=0, limit=9))]
    assert kinds == ["queued", "reported"]


async def test_a_complaint_by_message_id_and_recipient(api: Api) -> None:
    email = await sent(api, to=["bee@example.net", "elk@example.net"])
    body = {"message_id": email["message_id"]}
    answer = await api.client.post("/v1/feedback/complaint", body)
    assert (answer.status, answer.json["code"]) == (422, "recipient_required")
    body["recipient"] = "ELK@example.net"
    answer = await api.client.post("/v1/feedback/complaint", body)
    assert answer.status == 200
    assert (suppressed(api, "elk@example.net"), suppressed(api)) == ("complaint", None)


async def test_mail_of_others_is_not_there(api: Api) -> None:
    email = await sent(api)
    other = api.client_with(api.new_key(tenant_id=2))
    for kind in ("bounce", "complaint"):
        body = {"message_id": email["id"]}
        assert (await other.post(f"/v1/feedback/{kind}", body)).status == 404
        body = {"message_id": email["id"], "recipient": "x@y.test"}
        assert (await api.client.post(f"/v1/feedback/{kind}", body)).status == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message_id"),
        ({"message_id": "x"}, "message_id"),
        ({"message_id": "em_" + "0" * 26, "type": "loud"}, "type"),
        ({"message_id": "em_" + "0" * 26, "class": "loud"}, "class"),
        ({"message_id": "em_" + "0" * 26, "status": "2.0.0"}, "status"),
        ({"message_id": "em_" + "0" * 26, "odd": 1}, "odd"),
    ],
)
async def test_wrong_fields(api: Api, body: dict[str, Any], field: str) -> None:
    answer = await api.client.post("/v1/feedback/bounce", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


async def test_a_raw_report_waits_to_be_read(api: Api) -> None:
    data = dsn(b"To: bee@example.net\r\n\r\n", "bee@example.net")
    for status in ("queued", "known"):
        body = {"raw": base64.b64encode(data).decode()}
        answer = await api.client.post("/v1/feedback/raw", body)
        assert (answer.status, answer.json["status"]) == (202, status)
    [report] = api.database.write_now(partial(reports.take, limit=9))
    assert (report.data, report.tenant_id) == (data, 1)
    assert (await api.client.post("/v1/feedback/raw", {"raw": "%"})).status == 422
    assert (await api.client.post("/v1/feedback/raw", {"raw": ""})).status == 422
