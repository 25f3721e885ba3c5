"""EmailFlow's subscribers, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control_api.conftest import Api
from tests.seeds.emailflow_client import DONE, EmailFlow
from tests.seeds.shapes import assert_shape, row

ALICE = "alice@example.net"
SUBSCRIBER = {"id": str, "email": ALICE, "status": "subscribed"}


@pytest.fixture
def flow(api: Api) -> EmailFlow:
    return EmailFlow(api)


@row("E-12", "E-13", "E-50")
async def test_add_and_look_at_a_subscriber(flow: EmailFlow) -> None:
    uid = await flow.new_list("FIRST_NAME")
    fields = {"FIRST_NAME": "Alice", "NO_SUCH": "x", "first_name": "no"}
    made = await flow.form(
        "POST",
        "/subscribers",
        201,
        list_uid=uid,
        EMAIL=ALICE,
        tag="vip,newsletter",
        status="subscribed",
        **fields,
    )
    assert_shape(made, {**DONE, "subscriber_id": str})
    more = {"source": str, "ip_address": type(None), "FIRST_NAME": "Alice"}
    for name in (made["subscriber_id"], ALICE):
        found = await flow.ok("GET", f"/subscribers/{name}")
        assert_shape(found, {"subscriber": {**SUBSCRIBER, **more}})
        assert found["subscriber"]["id"] == made["subscriber_id"]
        assert found["subscriber"]["tags"] == ["newsletter", "vip"]
        assert "NO_SUCH" not in found["subscriber"]
    contact = await flow.native_ok("GET", f"/v1/contacts/{ALICE}")
    assert contact["name"] == "Alice"


@row("E-50")
async def test_small_letters_are_another_field_but_for_the_address(flow: EmailFlow) -> None:
    uid = await flow.new_list("CITY")
    fields = {"email": ALICE, "city": "no", "FIRST_NAME": "Alice", "LAST_NAME": "Ant"}
    await flow.form("POST", "/subscribers", 201, list_uid=uid, **fields)
    found = await flow.subscriber(ALICE)
    assert (found["LAST_NAME"], "CITY" in found, "city" in found) == ("Ant", False, False)


@row("E-12", "E-47")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"EMAIL": ""}, "EMAIL"),
        ({"EMAIL": "nobody"}, "EMAIL"),
        ({"list_uid": ""}, "list_uid"),
        ({"status": "bounced"}, "status"),
        ({"AGE": "old"}, "AGE"),
        ({"tag": "x" * 101}, "tag[0]"),
    ],
)
async def test_subscribers_that_cannot_be(api: Api, change: dict[str, str], field: str) -> None:
    flow = EmailFlow(api)
    uid = await flow.new_list()
    await flow.form("POST", f"/lists/{uid}/add-field", type="number", label="Age", tag="AGE")
    wish = {"list_uid": uid, "EMAIL": ALICE} | change
    refused = await flow.form("POST", "/subscribers", 403, **wish)
    assert_shape(refused, {field: [str]})


async def test_a_number_of_a_form_is_a_number_of_the_list(api: Api) -> None:
    flow = EmailFlow(api)
    uid = await flow.new_list()
    await flow.form("POST", f"/lists/{uid}/add-field", type="number", label="Age", tag="AGE")
    await flow.new_subscriber(uid, ALICE, AGE="42")
    assert (await flow.subscriber(ALICE))["AGE"] == 42


@row("E-12")
async def test_a_time_may_be_written_as_databases_do(api: Api) -> None:
    flow = EmailFlow(api)
    uid = await flow.new_list()
    await flow.form("POST", f"/lists/{uid}/add-field", type="datetime", label="B", tag="BORN")
    await flow.new_subscriber(uid, ALICE, BORN="2001-02-03 04:05:06")
    assert (await flow.subscriber(ALICE))["BORN"] == "2001-02-03T04:05:06Z"


@row("E-11")
async def test_list_subscribers(flow: EmailFlow) -> None:
    uid = await flow.new_list("FIRST_NAME")
    for number in range(26):
        await flow.new_subscriber(uid, f"bee{number}@example.net", FIRST_NAME="Bee")
    page = await flow.ok("GET", f"/subscribers?list_uid={uid}")
    assert_shape(page, [{"id": str, "email": str, "status": "subscribed", "FIRST_NAME": "Bee"}])
    assert len(page) == 25
    rest = await flow.ok("GET", f"/subscribers?list_uid={uid}&page=2")
    assert [one["email"] for one in rest] == ["bee0@example.net"]
    few = await flow.ok("GET", f"/subscribers?list_uid={uid}&page=2&per_page=3&open=no&click=no")
    assert [one["email"][:5] for one in few] == ["bee22", "bee21", "bee20"]
    assert await flow.ok("GET", f"/subscribers?list_uid={uid}&open=yes") == []
    assert await flow.ok("GET", f"/subscribers?list_uid={uid}&click=yes") == []


@row("E-11", "E-47")
async def test_lists_of_subscribers_need_a_list(flow: EmailFlow) -> None:
    told = await flow.form("GET", "/subscribers", 403)
    assert told == {"list_uid": ["The list uid field is required."]}
    uid = await flow.new_list()
    await flow.form("GET", f"/subscribers?list_uid={uid}&open=perhaps", 403)
    await flow.form("GET", "/subscribers?list_uid=ab12cd34ef", 404)


@row("E-14")
async def test_change_a_subscriber(flow: EmailFlow) -> None:
    uid = await flow.new_list("CITY")
    name = await flow.new_subscriber(
        uid, ALICE, CITY="Antville", FIRST_NAME="Alice", LAST_NAME="Ant", tag="a,b"
    )
    changed = await flow.form(
        "PATCH",
        f"/subscribers/{name}",
        CITY="Beeston",
        LAST_NAME="Bee",
        tag="b,c",
        status="unsubscribed",
    )
    assert_shape(changed, {**DONE, "subscriber_id": name})
    found = await flow.subscriber(name)
    assert (found["CITY"], found["FIRST_NAME"], found["LAST_NAME"]) == ("Beeston", "Alice", "Bee")
    assert (found["tags"], found["status"]) == (["b", "c"], "unsubscribed")
    await flow.form("PATCH", f"/subscribers/{ALICE}", CITY="")
    found = await flow.subscriber(name)
    assert ("CITY" in found, found["tags"], found["status"]) == (False, ["b", "c"], "unsubscribed")


@row("E-14", "E-47")
async def test_changes_that_cannot_be(flow: EmailFlow) -> None:
    name = await flow.new_subscriber(await flow.new_list(), ALICE)
    told = await flow.form("PATCH", f"/subscribers/{name}", 403, EMAIL="bee@example.net")
    assert_shape(told, {"EMAIL": [str]})
    told = await flow.form("PATCH", f"/subscribers/{name}", 403, status="gone")
    assert_shape(told, {"status": [str]})
    await flow.form("PATCH", "/subscribers/ZZ", 404, status="subscribed")


@row("E-15", "E-16")
async def test_tags(flow: EmailFlow) -> None:
    name = await flow.new_subscriber(await flow.new_list(), ALICE, tag="old")
    added = await flow.form("POST", f"/subscribers/{name}/add-tag", tag="vip, newsletter")
    assert_shape(added, {**DONE, "subscriber_id": name})
    assert added["tags"] == ["newsletter", "old", "vip"]
    left = await flow.form("POST", f"/subscribers/{name}/remove-tag", tag="old,vip,never")
    assert left["tags"] == ["newsletter"]
    told = await flow.form("POST", f"/subscribers/{name}/add-tag", 403)
    assert told == {"tag": ["The tag field is required."]}


@row("E-17")
async def test_an_address_in_all_lists(flow: EmailFlow) -> None:
    lists = [await flow.new_list(), await flow.new_list()]
    names = [await flow.new_subscriber(uid, ALICE) for uid in lists]
    found = await flow.ok("GET", f"/subscribers/email/{ALICE}")
    assert_shape(found, {"subscribers": [{**SUBSCRIBER, "list_uid": str}]})
    assert [(one["id"], one["list_uid"]) for one in found["subscribers"]] == [
        *zip(names, lists, strict=True)
    ]
    assert await flow.ok("GET", "/subscribers/email/bee%40example.net") == {"subscribers": []}


@row("E-18", "E-19", "E-20")
@pytest.mark.parametrize("by_email", [False, True])
async def test_subscribe_and_unsubscribe(flow: EmailFlow, by_email: bool) -> None:
    uid, other = await flow.new_list(), await flow.new_list()
    name = await flow.new_subscriber(uid, ALICE)
    there = await flow.new_subscriber(other, ALICE)
    path = f"/lists/{uid}/subscribers"
    out = f"{path}/email/{ALICE}/unsubscribe" if by_email else f"{path}/{name}/unsubscribe"
    assert_shape(await flow.form("PATCH", out), DONE)
    assert (await flow.subscriber(name))["status"] == "unsubscribed"
    assert (await flow.subscriber(there))["status"] == "subscribed"
    assert_shape(await flow.form("PATCH", f"{path}/{name}/subscribe"), DONE)
    assert (await flow.subscriber(name))["status"] == "subscribed"


@row("E-18", "E-19", "E-20")
@pytest.mark.parametrize(
    "path", ["ZZ/subscribe", "ZZ/unsubscribe", "email/bee@example.net/unsubscribe"]
)
async def test_strangers_cannot_be_subscribed(flow: EmailFlow, path: str) -> None:
    uid, other = await flow.new_list(), await flow.new_list()
    name = await flow.new_subscriber(other, ALICE)
    await flow.form("PATCH", f"/lists/{uid}/subscribers/{path}", 404)
    await flow.form("PATCH", f"/lists/{uid}/subscribers/{name}/unsubscribe", 404)


@row("E-21")
async def test_take_a_subscriber_out(flow: EmailFlow) -> None:
    uid, other = await flow.new_list(), await flow.new_list()
    name = await flow.new_subscriber(uid, ALICE)
    await flow.new_subscriber(other, ALICE)
    assert await flow.form("DELETE", f"/subscribers/{name}") == {"status": 1, "message": "Deleted"}
    left: Any = await flow.ok("GET", f"/subscribers/email/{ALICE}")
    assert [one["list_uid"] for one in left["subscribers"]] == [other]
    await flow.form("DELETE", f"/subscribers/{name}", 404)


async def test_nobody_sees_the_subscribers_of_others(api: Api) -> None:
    flow = EmailFlow(api)
    name = await flow.new_subscriber(await flow.new_list(), ALICE)
    flow.client.headers = {"Authorization": f"Bearer {api.new_key(2)}"}
    for method, path in (
        ("GET", f"/subscribers/{name}"),
        ("GET", f"/subscribers/{ALICE}"),
        ("PATCH", f"/subscribers/{name}"),
        ("POST", f"/subscribers/{name}/add-tag"),
        ("DELETE", f"/subscribers/{name}"),
    ):
        await flow.form(method, path, 404, tag="x")
