"""EmailFlow's campaigns in process, row by row; mail that arrives: test_emailflow_mail.py."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from config.settings import Policy
from tests.control_api.conftest import Api
from tests.seeds.emailflow_client import DONE, FORM, EmailFlow
from tests.seeds.services import Service
from tests.seeds.shapes import assert_shape, row

WISH = {
    "name": "Spring sale",
    "subject": "20% off this week",
    "from_email": "hi@acme.example",
    "from_name": "Acme",
    "track_open": "true",
    "track_click": "true",
    "html": "<p>Hello!</p>",
}
CAMPAIGN = {
    "uid": str,
    "name": "Spring sale",
    "type": "regular",
    "subject": "20% off this week",
    "html": "<p>Hello!</p>",
    "plain": (str, type(None)),
    "from_email": "hi@acme.example",
    "from_name": "Acme",
    "reply_to": str,
    "delivery_at": (str, type(None)),
    "created_at": str,
    "updated_at": str,
}
STATISTICS = {
    **dict.fromkeys(("uniq_open_rate", "delivered_rate", "click_rate"), (int, float)),
    **dict.fromkeys(("open_count", "uniq_open_count", "click_count"), 0),
    **dict.fromkeys(("abuse_feedback_count", "bounce_count", "unsubscribe_count"), 0),
    "links": list,
}
LOGS = ("tracking", "open", "click", "bounce", "feedback", "unsubscribe")


@pytest.fixture
def flow(api: Api) -> EmailFlow:
    return EmailFlow(public(api))


def public(api: Api) -> Api:
    """Return the application with an address of its own, which campaigns need for their links."""
    own = replace(api.settings.api, public_url="https://mail.sender.example")
    return api.with_settings(api=own)


async def made(flow: EmailFlow, **change: str) -> str:
    """Make a campaign to a list of one; return its uid."""
    uid = await flow.new_list()
    await flow.new_subscriber(uid, "alice@example.net")
    found = await flow.form("POST", "/campaigns", 201, list_uid=uid, **WISH | change)
    assert_shape(found, {**DONE, "campaign_uid": str})
    return str(found["campaign_uid"])


@row("E-28", "E-29")
async def test_make_and_look(flow: EmailFlow) -> None:
    uid = await made(flow)
    found = await flow.ok("GET", f"/campaigns/{uid}")
    assert_shape(found, {"campaign": {**CAMPAIGN, "uid": uid, "status": "draft"}})
    assert_shape(found, {"statistics": STATISTICS})
    native = await flow.native_ok("GET", f"/v1/campaigns/cmp_{uid}")
    assert native["tracking"] == {"opens": True, "clicks": True}
    assert native["from"] == {"email": "hi@acme.example", "name": "Acme"}


@row("E-28")
async def test_only_what_is_required(flow: EmailFlow) -> None:
    uid = await made(flow, track_open="", track_click="0", html="")
    native = await flow.native_ok("GET", f"/v1/campaigns/cmp_{uid}")
    assert (native["html"], native["tracking"]) == (None, {"opens": False, "clicks": False})
    told = await flow.form("POST", f"/campaigns/{uid}/run", 403)
    assert_shape(told, {"html": [str]})


@row("E-28", "E-47")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"list_uid": ""}, "list_uid"),
        ({"list_uid": "ab12cd34ef"}, "list_uid"),
        ({"name": ""}, "name"),
        ({"subject": ""}, "subject"),
        ({"from_email": "hi"}, "from_email"),
        ({"from_email": ""}, "from_email"),
        ({"from_name": ""}, "from_name"),
        ({"track_open": "perhaps"}, "track_open"),
    ],
)
async def test_campaigns_that_cannot_be(api: Api, change: dict[str, str], field: str) -> None:
    flow = EmailFlow(public(api))
    wish = {"list_uid": await flow.new_list(), **WISH} | change
    assert_shape(await flow.form("POST", "/campaigns", 403, **wish), {field: [str]})


@row("E-27")
async def test_list_campaigns(flow: EmailFlow) -> None:
    uids = [await made(flow) for _ in range(3)]
    page = await flow.ok("GET", "/campaigns")
    assert_shape(page, [{**CAMPAIGN, "status": "draft"}])
    assert [one["uid"] for one in page] == uids[::-1]
    assert [one["uid"] for one in await flow.ok("GET", "/campaigns?page=2&per_page=2")] == uids[:1]


@row("E-30")
async def test_change_a_campaign(flow: EmailFlow) -> None:
    uid = await made(flow)
    wish = {"subject": "30% off", "html": "<p>Bye!</p>", "track_click": "false", "from_name": "A"}
    changed = await flow.form("PATCH", f"/campaigns/{uid}", **wish)
    assert_shape(changed, {**DONE, "campaign_uid": uid})
    found = (await flow.ok("GET", f"/campaigns/{uid}"))["campaign"]
    assert (found["subject"], found["html"]) == ("30% off", "<p>Bye!</p>")
    assert (found["from_name"], found["from_email"]) == ("A", "hi@acme.example")
    assert (found["track_open"], found["track_click"]) == (True, False)
    assert found["name"] == "Spring sale"
    told = await flow.form("PATCH", f"/campaigns/{uid}", 403, from_email="hi")
    assert told == {"from_email": ["The from email must be a valid email address."]}
    told = await flow.form("PATCH", f"/campaigns/{uid}", 403, subject="", name="N")
    assert told == {"subject": ["The subject field is required."]}
    told = await flow.form("PATCH", f"/campaigns/{uid}", 403, attachments="a.pdf")
    assert_shape(told, {"attachments": [str]})
    assert (await flow.ok("GET", f"/campaigns/{uid}"))["campaign"]["name"] == "Spring sale"


@row("E-31", "E-32", "E-33", "E-34")
async def test_run_pause_resume_delete(flow: EmailFlow) -> None:
    uid = await made(flow)
    path = f"/campaigns/{uid}"
    for call, word, status in (
        ("run", "launched", "sending"),
        ("pause", "paused", "paused"),
        ("resume", "resumed", "sending"),
    ):
        moved = await flow.form("POST", f"{path}/{call}")
        told = {"status": "success", "message": f"The campaign was {word}"}
        assert_shape(moved, {**told, "campaign": {**CAMPAIGN, "uid": uid, "status": status}})
    for method, call in (("POST", f"{path}/run"), ("POST", f"{path}/resume"), ("DELETE", path)):
        refused = await flow.form(method, call, 403)
        assert_shape(refused, {"message": str})
    await flow.form("POST", f"{path}/pause")
    assert_shape(await flow.form("DELETE", path), DONE)
    await flow.form("GET", path, 404)


@row("E-31", "E-47")
async def test_what_stops_a_campaign_has_the_names_of_the_document(flow: EmailFlow) -> None:
    uid = await made(flow)
    on = flow.api.with_settings(policy=Policy())
    told = await EmailFlow(on).form("POST", f"/campaigns/{uid}/run", 403)
    assert_shape(told, {"from_email": [str]})


@row("E-34", "E-48")
@pytest.mark.parametrize("call", ["", "/run", "/pause", "/resume"])
async def test_campaigns_that_are_not_there(flow: EmailFlow, call: str) -> None:
    for uid in ("ab12cd34ef", "01KJMMA2G00000000000000009"):
        await flow.form("POST" if call else "DELETE", f"/campaigns/{uid}{call}", 404)


@row("E-35", "E-36", "E-37", "E-38", "E-39", "E-40")
@pytest.mark.parametrize("log", LOGS)
async def test_empty_logs_are_csv_with_a_header(flow: EmailFlow, log: str) -> None:
    uid = await made(flow)
    reply = await flow.call("GET", f"/campaigns/{uid}/{log}-log/download")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/csv")
    [header] = csv.reader(io.StringIO(reply.body.decode()))
    assert "email" in header
    await flow.form("GET", f"/campaigns/ab12cd34ef/{log}-log/download", 404)


@row("E-28", "S-11")
async def test_two_documents_have_this_call_and_the_body_decides(api: Api) -> None:
    both: Any = Service(public(api), "/api/v1")
    sender = {"name": "News", "from_email": "hi@acme.example"}
    lists = await both.native_ok("POST", "/v1/audiences", sender)
    theirs = {"name": "March", "subject": "News!", "content": "<p>Hi</p>", "listId": lists["id"]}
    found = await both.call("POST", "/campaigns", theirs)
    assert (found.status, found.json["status"]) == (200, "draft")
    uid = lists["id"].partition("_")[2]
    ours = await both.call("POST", "/campaigns", {"list_uid": uid, **WISH})
    assert (ours.status, ours.json["status"]) == (201, 1)
    half = await both.call("POST", "/campaigns", {"from_email": "hi"})
    assert (half.status, "name" in half.json) == (403, True)
    neither = await both.call("POST", "/campaigns", {})
    assert_shape(neither.json, {"error": {"code": str}})


@row("E-28", "E-45", "E-46", "S-11")
async def test_only_one_of_the_two_has_forms_and_keys_in_queries(api: Api) -> None:
    both = Service(public(api), "/api/v1")
    form = await both.call("POST", "/campaigns", b"name=x", FORM)
    assert_shape(form.json, {"list_uid": [str], "subject": [str]})
    in_query = f"/campaigns?api_token={api.key}"
    for body in ({"name": "x"}, b"{"):
        both.client.headers = {}
        reply = await both.call("POST", in_query, body, {"content-type": "application/json"})
        assert (reply.status, "error" in reply.json) == (403, False), reply.body
    in_body = await both.call("POST", "/campaigns", {"api_token": api.key})
    assert_shape(in_body.json, {"list_uid": [str]})
    wrong = await both.call("POST", "/campaigns?api_token=no", {})
    assert (wrong.status, wrong.json["status"]) == (401, 0)
    none = await both.call("POST", "/campaigns", {})
    assert_shape(none.json, {"error": {"status": 401}})
