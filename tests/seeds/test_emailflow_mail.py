"""EmailFlow's own curl lines, and what becomes of the mail: one engine, one story."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

import pytest
import pytest_asyncio

from tests.seeds.curl_lines_emailflow import EMAILFLOW
from tests.seeds.shapes import assert_shape, row
from tests.seeds.world import DOORS, PUBLIC_URL, World, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

DONE = {"status": 1, "message": str}
CSV = "Email,First Name\ncarol@example.com,Carol\ndave@example.com,Dave\nnobody,No\n"
READER = {"User-Agent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}
"""Counts as a person at once; what browsers do within two seconds of delivery does not."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("emailflow")
    (directory / "subscribers.csv").write_text(CSV)
    async with world(directory, "[api.login]\nenabled = true\n") as found:
        code, _, errors = await found.engine.mta(
            *("user", "add", "you@example.com"), stdin=b"YOUR_PASSWORD\n"
        )
        assert code == 0, errors
        yield found


async def run(there: World, name: str, shape: Any, **places: str) -> Any:
    """Run the line of a row where its files are; return what it prints, which has this shape."""
    line = f"cd {there.engine.directory}; {EMAILFLOW[name].strip()}"
    answer = await there.curl(line, **places)
    assert_shape(answer, shape, name)
    return answer


async def new_list(there: World) -> str:
    made = await run(there, "E-07", {**DONE, "message": "List has been created!", "list_uid": str})
    return str(made["list_uid"])


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    """Look again and again until something is found; return it."""
    async with asyncio.timeout(30):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.1)


async def get(there: World, path: str, key: str = "") -> Any:
    headers = {"Authorization": f"Bearer {key or there.engine.key}"}
    answer = await there.engine.call("GET", f"/api/v1{path}", headers=headers)
    assert answer.status == 200, answer.body
    return answer.body


@row("E-01", "E-02", "E-03", "E-45")
async def test_tokens(there: World) -> None:
    for name in ("E-02", "E-45"):
        await run(there, name, {"uid": str, "email": str})
    token = (await run(there, "E-01", {"api_token": str}))["api_token"]
    assert (await get(there, "/user/info", token))["email"] == "you@example.com"
    assert token not in there.engine.log()
    assert there.engine.key not in there.engine.log()


@row("E-07", "E-09", "E-12", "E-22", "E-46")
@pytest.mark.parametrize("door", DOORS)
async def test_lists_and_subscribers(there: World, door: str) -> None:
    there = await there.at(door, "emailflow")
    for name in ("E-02", "E-45"):
        await run(there, name, {"uid": str, "email": str})
    uid = await new_list(there)
    field = {"tag": "FIRST_NAME", "label": "First name", "type": "text", "uid": str}
    await run(there, "E-09", {**DONE, "field": field}, uid=uid)
    made = await run(there, "E-12", {**DONE, "subscriber_id": str}, uid=uid)
    counts = {"received": 2, "inserted": 1, "updated": 1, "failed": 0, "errors": []}
    await run(there, "E-22", {"list_uid": uid, "batch_id": str, **counts}, uid=uid)
    alice = (await get(there, f"/subscribers/{made['subscriber_id']}"))["subscriber"]
    assert (alice["FIRST_NAME"], alice["tags"]) == ("Alice", ["newsletter", "vip"])


@row("E-23", "E-25", "E-24")
async def test_an_import_in_the_background(there: World) -> None:
    uid = await new_list(there)
    queued = {"job_uid": str, "status": "queued", "status_url": str, "cancel_url": str}
    job = (await run(there, "E-23", queued, uid=uid))["job_uid"]

    async def looked() -> Any:
        shown = await run(there, "E-25", {"status": str, "progress": int}, uid=job)
        return shown if shown["status"] == "completed" else None

    found = await until(looked)
    counts = {"received": 3, "inserted": 2, "updated": 0, "failed": 1}
    assert_shape(found, {"job_uid": job, "progress": 100, **counts})
    assert [one["job_uid"] for one in await get(there, f"/lists/{uid}/import-jobs")] == [job]
    page = await get(there, f"/subscribers?list_uid={uid}")
    assert [one["FIRST_NAME"] for one in page] == ["Dave", "Carol"]


@row("E-28", "E-29", "E-31", "E-43", *(f"E-{number}" for number in range(35, 41)))
async def test_a_campaign_arrives_and_its_logs_tell(there: World) -> None:
    list_uid = await new_list(there)
    await run(there, "E-12", DONE, uid=list_uid)
    uid = (await run(there, "E-28", {**DONE, "campaign_uid": str}, uid=list_uid))["campaign_uid"]
    launched = {"status": "success", "message": "The campaign was launched", "campaign": dict}
    await run(there, "E-31", launched, uid=uid)
    message = await there.arrived("alice@example.com")
    assert (message["From"], message["Subject"]) == ("Acme <hi@acme.com>", "20% off this week")
    body = message.get_body(("html",))
    assert body is not None
    assert "<p>Hello!</p>" in body.get_content()
    [pixel] = re.findall(rf'"{PUBLIC_URL}(/t/o/[^"]+)"', body.get_content())
    await visit(there, pixel)
    await reads(there, uid, "open", "alice@example.com")
    [link] = re.findall(rf"<{PUBLIC_URL}(/u/[^>]+)>", message["List-Unsubscribe"])
    await visit(there, link, b"List-Unsubscribe=One-Click")
    await reads(there, uid, "unsubscribe", "alice@example.com")
    await run(there, "E-43", DONE, uid=message["Message-ID"].strip("<>"))
    await reads(there, uid, "bounce", "alice@example.com")
    wish = {"message_id": message["Message-ID"], "type": "spam", "description": "no"}
    await there.ok("POST", "/api/v1/notification/feedback", wish)
    await reads(there, uid, "feedback", "alice@example.com")
    await reads(there, uid, "tracking", "alice@example.com")
    assert await log(there, uid, "click") == []
    found = (await get(there, f"/campaigns/{uid}"))["statistics"]
    counts = {"open_count": 1, "uniq_open_count": 1, "uniq_open_rate": 1.0, "click_count": 0}
    counts |= {"bounce_count": 1, "abuse_feedback_count": 1, "unsubscribe_count": 1}
    assert_shape(found, {"subscriber_count": 1, **counts})


async def visit(there: World, path: str, body: bytes | None = None) -> None:
    """Fetch or post as the program of a reader does."""

    def fetch() -> None:
        request = Request(there.engine.api + path, body, headers=READER)  # noqa: S310 - loopback
        with suppress(OSError):
            urlopen(request, timeout=20).close()  # noqa: S310

    await asyncio.to_thread(fetch)


async def log(there: World, uid: str, kind: str) -> list[dict[str, str]]:
    """Download a log as CSV."""

    def fetch() -> tuple[str, str]:
        url = f"{there.engine.api}/api/v1/campaigns/{uid}/{kind}-log/download"
        headers = {"Authorization": f"Bearer {there.engine.key}"}
        with urlopen(Request(url, headers=headers), timeout=20) as answer:  # noqa: S310
            return answer.headers["Content-Type"], answer.read().decode()

    media, text = await asyncio.to_thread(fetch)
    assert media.startswith("text/csv")
    return list(csv.DictReader(io.StringIO(text)))


async def reads(there: World, uid: str, kind: str, email: str) -> None:
    """Wait until a log tells of an address."""

    async def looked() -> bool:
        return any(one["email"] == email for one in await log(there, uid, kind))

    await until(looked)


@row("E-41", "E-42")
async def test_an_automation_is_set_off(there: World) -> None:
    uid = await new_list(there)
    audience = f"aud_{uid}"
    for name in ("erin", "fred"):
        wish = {"list_uid": uid, "EMAIL": f"{name}@example.com"}
        await there.engine.call("POST", "/api/v1/subscribers", wish)
    template = await there.ok(
        "POST", "/v1/templates", {"name": "t", "subject": "Set off", "text": "By {{ data.by }}"}
    )
    await there.ok("POST", f"/v1/templates/{template['id']}/publish")
    made = await there.ok(
        "POST",
        "/v1/automations",
        {
            "name": "Order",
            "status": "active",
            "trigger": {"type": "api", "audience_id": audience},
            "steps": [
                {"type": "send", "template_id": template["id"], "from": "hi@acme.com"},
                {"type": "tag", "add": ["ordered"]},
            ],
        },
    )
    [shown] = await get(there, "/automations")
    assert_shape(shown, {"uid": made["id"][4:], "name": "Order", "status": "active"})
    path = f"/api/v1/automations/{shown['uid']}/execute"
    assert await there.ok("POST", path, {"EMAIL": "erin@example.com", "by": "name"}) == {
        "success": True
    }
    message = await there.arrived("erin@example.com")
    assert (message["Subject"], message.get_content().strip()) == ("Set off", "By name")
    unknown = await there.engine.call("POST", path, {"EMAIL": "nobody@example.com"})
    assert unknown.status == 403
    assert_shape(unknown.body, {"EMAIL": [str]})
    change = {"steps": [{"type": "tag", "add": ["all"]}]}
    await there.ok("PATCH", f"/v1/automations/{made['id']}", change)
    assert await run(there, "E-42", {}, uid=shown["uid"]) == {"success": True}

    async def looked() -> bool:
        return await tagged(there, uid) == {"erin@example.com", "fred@example.com"}

    await until(looked)
    gone = await there.engine.call("POST", "/api/v1/automations/ZZ/execute")
    assert gone.status == 404


async def tagged(there: World, uid: str) -> set[str]:
    query = f"/v1/audiences/aud_{uid}/contacts?tag=all"
    return {str(one["email"]) for one in (await there.ok("GET", query))["data"]}


@row("E-47")
async def test_lines_are_told_what_is_wrong(there: World) -> None:
    line = EMAILFLOW["E-07"].replace('from_email="hi@acme.com"', 'from_email="hi"')
    assert json.dumps(await there.curl(line)) == json.dumps(
        {"from_email": ["The from email must be a valid email address."]}
    )
