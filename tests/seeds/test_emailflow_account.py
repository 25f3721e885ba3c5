"""EmailFlow's login, profile, counts, notifications and automations, row by row."""

from __future__ import annotations

import pytest

from config.compat import Compat
from mta.core.event import EventKind
from storage import events
from tests.control_api.conftest import EMAIL, Api
from tests.control_api.test_login import ANT, PASSWORD, add_user, switched_on
from tests.seeds.emailflow_client import DONE, EmailFlow
from tests.seeds.shapes import assert_shape, row


@pytest.fixture
def flow(api: Api) -> EmailFlow:
    on = switched_on(api)
    add_user(on)
    return EmailFlow(on)


async def log_in(flow: EmailFlow) -> None:
    """Go on as the user."""
    flow.client.headers = {}
    found = await flow.form("POST", "/user/login", email=ANT, password=PASSWORD)
    flow.client.headers = {"Authorization": f"Bearer {found['api_token']}"}


@row("E-01")
async def test_a_password_for_a_token(flow: EmailFlow) -> None:
    flow.client.headers = {}
    found = await flow.form("POST", "/user/login", email=ANT, password=PASSWORD)
    assert list(found) == ["api_token"]
    assert (await flow.call("GET", f"/me?api_token={found['api_token']}")).status == 200
    await flow.form("POST", "/user/login", 401, email=ANT, password="wrong")
    told = await flow.form("POST", "/user/login", 403)
    assert told == {
        "email": ["The email field is required."],
        "password": ["The password field is required."],
    }


@row("E-01")
async def test_logging_in_may_be_switched_off(api: Api) -> None:
    told = await EmailFlow(api).form("POST", "/user/login", 403, email=ANT, password=PASSWORD)
    assert told["code"] == "login_disabled"


@row("E-02", "E-03")
async def test_who_the_user_is(flow: EmailFlow) -> None:
    await log_in(flow)
    shape = {"email": ANT, "first_name": str, "last_name": str, "image_url": (str, type(None))}
    assert_shape(await flow.ok("GET", "/me"), {"uid": str, **shape})
    assert_shape(await flow.ok("GET", "/user/info"), shape)


@row("E-02", "E-03")
async def test_who_a_key_is(api: Api) -> None:
    for path in ("/me", "/user/info"):
        found = await EmailFlow(api).ok("GET", path)
        assert_shape(found, {"uid": str, "email": "", "first_name": "test"})


@row("E-04")
async def test_dashboard(flow: EmailFlow) -> None:
    uid = await flow.new_list()
    for name in ("ant", "bee"):
        await flow.new_subscriber(uid, f"{name}@example.net")
    found = await flow.ok("GET", "/dashboard")
    counts = {"campaigns_count": 0, "lists_count": 1, "subscribers_count": 2}
    assert_shape(found, {**counts, "subscribers_quota": type(None), "sending": list})


@row("E-05")
async def test_a_link_that_logs_in_once(flow: EmailFlow) -> None:
    await log_in(flow)
    made = await flow.form("POST", "/login-token")
    assert_shape(made, {"token": str, "url": str})
    assert made["token"] in made["url"]
    page = made["url"].partition("/login/")[2]
    logged_in = await flow.native.post("/v1/login", {"token": page})
    assert logged_in.status == 200
    assert (await flow.native.post("/v1/login", {"token": page})).status == 401


@row("E-05")
async def test_a_link_leads_to_a_page_on_the_services_own_host(api: Api) -> None:
    hosts = Compat(hosts={"flow.example": "emailflow"})
    on = switched_on(api).with_settings(compat=hosts)
    add_user(on)
    flow = EmailFlow(on)
    await log_in(flow)
    flow.client.headers["host"] = "flow.example"
    made = await flow.form("POST", "/login-token")
    for path in (f"/login/{made['token']}", "/u/unknown"):
        page = await flow.client.get(path)
        assert page.headers["content-type"].startswith("text/html"), page.body
    native = await flow.client.get("/v1/emails")
    assert (native.status, native.json["status"]) == (404, 0)


async def sent(flow: EmailFlow) -> str:
    """Send an email; return its Message-ID."""
    made = await flow.native_ok("POST", "/v1/emails", EMAIL)
    return str(made["message_id"]).strip("<>")


def told(flow: EmailFlow) -> list[EventKind]:
    found = flow.api.database.read_now(lambda db: events.read(db, after=0, limit=10))
    return [one.kind for one in found]


@row("E-43")
async def test_a_hard_bounce(flow: EmailFlow) -> None:
    message_id = await sent(flow)
    wish = {"message_id": message_id, "description": "550 mailbox not found"}
    assert_shape(await flow.form("POST", "/notification/bounce", **wish), DONE)
    assert EventKind.REPORTED in told(flow)
    [one] = (await flow.native_ok("GET", "/v1/suppressions"))["data"]
    assert (one["email"], one["reason"]) == ("bee@example.net", "bounce")


@row("E-44")
@pytest.mark.parametrize("kind", ["spam", "abuse"])
async def test_a_complaint(flow: EmailFlow, kind: str) -> None:
    wish = {"message_id": await sent(flow), "type": kind, "description": "no more"}
    assert_shape(await flow.form("POST", "/notification/feedback", **wish), DONE)
    assert EventKind.COMPLAINED in told(flow)
    [one] = (await flow.native_ok("GET", "/v1/suppressions"))["data"]
    assert (one["email"], one["reason"]) == ("bee@example.net", "complaint")


@row("E-43", "E-44", "E-47")
@pytest.mark.parametrize("path", ["/notification/bounce", "/notification/feedback"])
async def test_reports_that_cannot_be(flow: EmailFlow, path: str) -> None:
    assert_shape(await flow.form("POST", path, 403), {"message_id": [str]})
    assert_shape(await flow.form("POST", path, 403, message_id="x"), {"message_id": [str]})
    await flow.form("POST", path, 404, message_id="01KJMQ0R00000000000000000E@example.net")
    if path.endswith("feedback"):
        wish = {"message_id": await sent(flow), "type": "boredom"}
        assert_shape(await flow.form("POST", path, 403, **wish), {"type": [str]})


async def automation(flow: EmailFlow, audience_id: str, **more: str) -> str:
    """Make an automation; return its uid."""
    trigger = {"type": "api", "audience_id": audience_id} if audience_id else {"type": "api"}
    wish = {"name": "A", "trigger": trigger, "steps": [{"type": "stop"}], "status": "active"}
    made = await flow.native_ok("POST", "/v1/automations", wish | more)
    return str(made["id"]).partition("_")[2]


async def runs(flow: EmailFlow, uid: str) -> int:
    return len((await flow.native_ok("GET", f"/v1/automations/aut_{uid}/runs"))["data"])


@row("E-41")
async def test_list_automations(flow: EmailFlow) -> None:
    uids = [await automation(flow, "") for _ in range(11)]
    page = await flow.ok("GET", "/automations")
    assert_shape(page, [{"uid": str, "name": "A", "status": "active", "created_at": str}])
    assert [one["uid"] for one in page] == uids[:0:-1]
    assert [one["uid"] for one in await flow.ok("GET", "/automations?page=2")] == uids[:1]


@row("E-42")
async def test_set_an_automation_off_for_one_or_all(flow: EmailFlow) -> None:
    list_uid = await flow.new_list()
    for name in ("ant", "bee"):
        await flow.new_subscriber(list_uid, f"{name}@example.net")
    await flow.new_subscriber(list_uid, "elk@example.net", status="unsubscribed")
    uid = await automation(flow, f"aud_{list_uid}")
    path = f"/automations/{uid}/execute"
    wish = {"EMAIL": "ant@example.net", "order": "7", "api_token": flow.api.key}
    assert await flow.form("POST", path, **wish) == {"success": True}
    [one] = (await flow.native_ok("GET", f"/v1/automations/aut_{uid}/runs"))["data"]
    assert (one["email"], one["data"]) == ("ant@example.net", {"order": "7"})
    assert await flow.form("POST", path) == {"success": True}  # the first one is under way
    assert await runs(flow, uid) == 2


@row("E-42", "E-47")
async def test_automations_that_cannot_be_set_off(flow: EmailFlow) -> None:
    path = f"/automations/{await automation(flow, '')}/execute"
    told = await flow.form("POST", path, 403)
    assert told == {"EMAIL": ["The EMAIL field is required."]}
    assert_shape(await flow.form("POST", path, 403, EMAIL="nobody@example.net"), {"EMAIL": [str]})
    list_uid = await flow.new_list()
    await flow.new_subscriber(list_uid, "ant@example.net")
    paused = await automation(flow, f"aud_{list_uid}", status="paused")
    refused = await flow.form("POST", f"/automations/{paused}/execute", 403)
    assert_shape(refused, {"message": str})
    await flow.form("POST", "/automations/ZZ/execute", 404)


@row("E-42")
async def test_more_people_than_one_request_sets_off(flow: EmailFlow) -> None:
    list_uid = await flow.new_list()
    people = [{"EMAIL": f"bee{number}@example.net"} for number in range(501)]
    await flow.ok("POST", f"/lists/{list_uid}/subscribers/bulk", {"subscribers": people})
    uid = await automation(flow, f"aud_{list_uid}")
    assert_shape(await flow.form("POST", f"/automations/{uid}/execute", 403), {"EMAIL": [str]})
    assert await runs(flow, uid) == 0
