"""EmailFlow's lists, and how requests and errors look, row by row."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from control_api.dialects.emailflow import DIALECT
from tests.control_api.conftest import Api
from tests.seeds.emailflow_client import BASES, DONE, FORM, EmailFlow
from tests.seeds.shapes import assert_shape, row

SENDER = {"from_name": "Acme", "from_email": "hi@acme.example"}
CONTACT = (
    ("contact[company]", "Acme Inc."),
    ("contact[address_1]", "1 Market St"),
    ("contact[country_id]", "1"),
)
LIST = {
    "uid": str,
    "name": "Newsletter",
    "default_subject": (str, type(None)),
    **SENDER,
    "status": str,
    "created_at": str,
    "updated_at": str,
}
FIELD = {
    "key": str,
    "label": str,
    "type": str,
    "tag": str,
    "default_value": (str, type(None)),
    "visible": bool,
    "required": bool,
}


@pytest.fixture(params=BASES, ids=["root", "prefix"])
def flow(api: Api, request: pytest.FixtureRequest) -> EmailFlow:
    return EmailFlow(api, request.param)


@row("E-07", "E-46")
async def test_make_a_list(flow: EmailFlow) -> None:
    made = await flow.form("POST", "/lists", 201, CONTACT, name="Newsletter", **SENDER)
    assert made == {"status": 1, "message": "List has been created!", "list_uid": made["list_uid"]}
    native = await flow.native_ok("GET", f"/v1/audiences/aud_{made['list_uid']}")
    assert native["metadata"]["contact"]["company"] == "Acme Inc."
    assert (native["from_name"], native["from_email"]) == ("Acme", "hi@acme.example")


@row("E-06")
async def test_list_lists(flow: EmailFlow) -> None:
    uids = [await flow.new_list() for _ in range(11)]
    page = await flow.ok("GET", "/lists")
    assert_shape(page, [LIST])
    assert [one["uid"] for one in page] == uids[:0:-1]
    assert [one["uid"] for one in await flow.ok("GET", "/lists?page=3&per_page=4")] == uids[2::-1]


@row("E-08", "E-09")
async def test_look_at_a_list(flow: EmailFlow) -> None:
    made = await flow.form("POST", "/lists", 201, CONTACT, name="Newsletter", **SENDER)
    path = f"/lists/{made['list_uid']}"
    wish = {"type": "text", "label": "First name", "tag": "FIRST_NAME"}
    added = await flow.form("POST", f"{path}/add-field", **wish)
    assert_shape(added, {**DONE, "field": {**FIELD, **wish, "uid": str}})
    await flow.new_subscriber(made["list_uid"], "alice@example.net")
    found = await flow.ok("GET", path)
    contact = {"company": "Acme Inc.", "address_1": "1 Market St", "country_id": "1"}
    rates = {"subscriber_count": 1, "open_uniq_rate": 0.0, "click_rate": 0.0}
    assert_shape(
        found, {"list": {**LIST, "fields": [FIELD]}, "contact": contact, "statistics": rates}
    )
    assert [one["tag"] for one in found["list"]["fields"]] == ["EMAIL", "FIRST_NAME"]


@row("E-09", "E-47")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "colour"}, "type"),
        ({"tag": ""}, "tag"),
        ({"tag": "1 2"}, "tag"),
        ({}, "tag"),  # it is there
        ({"tag": "EMAIL"}, "tag"),
        ({"tag": "status"}, "tag"),
    ],
)
async def test_fields_that_cannot_be(api: Api, change: dict[str, str], field: str) -> None:
    flow = EmailFlow(api)
    uid = await flow.new_list("AGE")
    wish = {"type": "text", "label": "Age", "tag": "AGE"} | change
    refused = await flow.form("POST", f"/lists/{uid}/add-field", 403, **wish)
    assert_shape(refused, {field: [str]})


@row("E-08", "E-11")
async def test_a_native_field_does_not_hide_what_a_subscriber_is(flow: EmailFlow) -> None:
    uid = await flow.new_list()
    for tag in ("id", "status"):
        wish = {"type": "text", "label": tag, "tag": tag}
        await flow.native_ok("POST", f"/v1/audiences/aud_{uid}/fields", wish)
    name = await flow.new_subscriber(uid, "alice@example.net", id="7", status="unconfirmed")
    shown = await flow.subscriber(name)
    assert (shown["id"], shown["status"]) == (name, "unconfirmed")


@row("E-10")
async def test_delete_a_list_and_its_subscribers(flow: EmailFlow) -> None:
    uid = await flow.new_list()
    subscriber = await flow.new_subscriber(uid, "alice@example.net")
    assert await flow.form("DELETE", f"/lists/{uid}") == {"status": 1, "message": "Deleted"}
    assert (await flow.call("GET", f"/lists/{uid}")).status == 404
    assert (await flow.call("GET", f"/subscribers/{subscriber}")).status == 404
    assert (await flow.call("DELETE", f"/lists/{uid}")).status == 404


@row("E-45")
async def test_tokens_in_every_place(flow: EmailFlow) -> None:
    key = flow.client.headers.pop("Authorization").removeprefix("Bearer ")
    assert (await flow.call("GET", "/lists")).status == 401
    assert (await flow.call("GET", f"/lists?api_token={key}")).status == 200
    wish = {"name": "Newsletter", **SENDER}
    await flow.form("POST", "/lists", 201, api_token=key, **wish)
    await flow.form("POST", "/lists", 401, api_token="no", **wish)
    assert (await flow.call("POST", "/lists", wish | {"api_token": key})).status == 201
    bearer = {"Authorization": f"Bearer {key}"}
    assert (await flow.call("GET", "/lists", headers=bearer)).status == 200
    refused = await flow.call("GET", "/lists", headers={"Authorization": "Bearer no"})
    assert refused.status == 401
    assert_shape(refused.json, {"message": str})


@row("E-45")
async def test_no_token_is_in_the_log(flow: EmailFlow) -> None:
    key = flow.client.headers.pop("Authorization").removeprefix("Bearer ")
    assert (await flow.call("GET", f"/lists?api_token={key}")).status == 200
    await flow.form("POST", "/lists", 201, name="N", api_token=key, **SENDER)
    await flow.api.services.requests.flush(flow.api.database)
    logged = await flow.native_ok("GET", "/v1/logs")
    assert len(logged["data"]) == 2
    assert key not in json.dumps(logged)


@row("E-46")
async def test_every_encoding_says_the_same(flow: EmailFlow) -> None:
    fields = [("name", "Newsletter"), *SENDER.items(), *CONTACT]
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields
    )
    encoded = "&".join(f"{quote(name)}={quote(value)}" for name, value in fields)
    contact = {"company": "Acme Inc.", "address_1": "1 Market St", "country_id": "1"}
    as_json = json.dumps({"name": "Newsletter", **SENDER, "contact": contact})
    for media, body in (
        ("multipart/form-data; boundary=b", f"{parts}--b--\r\n"),
        (FORM["content-type"], encoded),
        ("application/json", as_json),
        ("application/json; charset=utf-8", as_json),
    ):
        reply = await flow.call("POST", "/lists", body.encode(), {"content-type": media})
        assert reply.status == 201, (media, reply.body)
        found = await flow.ok("GET", f"/lists/{reply.json['list_uid']}")
        assert found["contact"] == contact


@row("E-47")
async def test_what_is_wrong_is_a_bare_map(flow: EmailFlow) -> None:
    told = await flow.form("POST", "/lists", 403, name="N", from_name="A", from_email="hi")
    assert told == {"from_email": ["The from email must be a valid email address."]}
    told = await flow.form("POST", "/lists", 403)
    assert told == {
        "name": ["The name field is required."],
        "from_email": ["The from email field is required."],
        "from_name": ["The from name field is required."],
    }


@row("E-47", "E-48")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/lists", [1], 403),
        ("POST", "/lists", b"{", 403),
        ("POST", "/lists", {"name": ["x"], **SENDER}, 403),
        ("POST", "/lists", {"name": "x" * 300, **SENDER}, 403),
        ("GET", "/lists/ZZ", None, 404),
        ("GET", "/lists/aud_01KJMQ0R000000000000000001", None, 404),
        ("POST", "/lists/ab12cd34ef/add-field", {"type": "text", "label": "a", "tag": "A"}, 404),
        ("GET", "/nothing", None, 404),
        ("PUT", "/lists", {}, 405),
    ],
)
async def test_statuses(flow: EmailFlow, method: str, path: str, body: Any, status: int) -> None:
    reply = await flow.call(method, path, body, {"content-type": "application/json"})
    assert reply.status == status, reply.body
    assert isinstance(reply.json, dict)


@row("E-48")
async def test_other_media_and_other_tenants(api: Api) -> None:
    flow = EmailFlow(api)
    reply = await flow.call("POST", "/lists", b"x", {"content-type": "text/plain"})
    assert reply.status == 403
    uid = await flow.new_list()
    flow.client.headers = {"Authorization": f"Bearer {api.new_key(2)}"}
    assert (await flow.call("GET", f"/lists/{uid}")).status == 404
    assert (await flow.call("DELETE", f"/lists/{uid}")).status == 404


def test_operations_have_every_row_once_but_those_that_are_no_call() -> None:
    rows = sorted(one.row for one in DIALECT.operations)
    assert rows == [f"E-{number:02}" for number in range(1, 45)]
