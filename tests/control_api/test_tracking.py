"""Tracked mail from the request to the counters."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from config.settings import Api as ApiSettings
from mta.core.tracking import Places, fill
from storage import instance_secrets, queue, tracking
from tests.control_api.conftest import EMAIL, Api

SECRET = b"s" * 32
BASE = "https://mail.test"
HTML = '<p><a href="https://shop.example/?a=1&amp;b=ü">buy</a></p>'
BROWSER = {"user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}


@pytest.fixture
async def tracked(api: Api) -> Api:
    made = api.with_settings(api=ApiSettings(public_url=BASE))
    made.database.write_now(
        lambda db: instance_secrets.ensure(db, entropy=lambda _: SECRET, now=made.clock.now)
    )
    return made


async def send(api: Api, **fields: Any) -> str:
    """Send and return the body that the first recipient gets."""
    answer = await api.client.post("/v1/emails", EMAIL | {"html": HTML} | fields)
    assert answer.status == 200, answer.json
    request = [queue.ClaimRequest("example.net", 1)]
    [claimed] = api.database.write_now(
        lambda db: queue.claim(db, request, now=api.clock.now, owner="test")
    ).messages
    places = claimed.message.tracking or Places("-" * 31, ())
    data = claimed.message.message.data or b""
    entry = claimed.entries[0].id
    return fill(data, places, SECRET, tenant_id=1, entry=entry).decode().replace("=\r\n", "")


def links(body: str) -> tuple[str, str]:
    body = body.replace("=3D", "=")
    [image] = re.findall(rf'"{BASE}(/t/o/[^"]*)"', body)
    [link] = re.findall(rf'"{BASE}(/t/c/[^"]*)"', body)
    return image, link


async def test_opening_and_clicking(tracked: Api) -> None:
    image, link = links(await send(tracked, tracking=True))
    shown = await tracked.anonymous.get(image, **BROWSER)
    assert (shown.status, shown.headers["content-type"]) == (200, "image/gif")
    assert "no-store" in shown.headers["cache-control"]
    for _ in range(3):
        led = await tracked.anonymous.get(link, **BROWSER)
        assert led.status == 302
        assert led.headers["location"] == "https://shop.example/?a=1&b=%C3%BC"
    assert tracked.tracker.pending == 2
    await tracked.tracker.flush()
    found = tracked.database.read_now(lambda db: tracking.of_message(db, 1))[1]
    assert (found.opens, found.clicks, found.machine_opens) == (1, 3, 0)


@pytest.mark.parametrize("path", ["/t/o/{}.gif", "/t/o/x.gif"])
async def test_every_image_is_shown_and_only_ours_count(tracked: Api, path: str) -> None:
    shown = await tracked.anonymous.get(path.format("A" * 35), **BROWSER)
    assert shown.status == 200
    assert tracked.tracker.pending == 0


async def test_no_open_redirect(tracked: Api) -> None:
    _, link = links(await send(tracked, tracking={"opens": True, "clicks": True}))
    token = link.split("/")[3]
    evil = base64.urlsafe_b64encode(b"https://evil.example/").decode().rstrip("=")
    for path in (f"/t/c/{token}/{evil}", f"/t/c/{'A' * 35}/{evil}", f"/t/c/{token}/x"):
        led = await tracked.anonymous.get(path, **BROWSER)
        assert led.status == 404
        assert "location" not in led.headers
    assert tracked.tracker.pending == 0


@pytest.mark.parametrize("wish", [None, False, {}, {"opens": False}])
async def test_mail_is_the_same_when_nothing_is_tracked(tracked: Api, wish: Any) -> None:
    plain = await send(tracked, tracking=wish)
    assert "/t/" not in plain
    assert "https://shop.example/" in plain


@pytest.mark.parametrize(
    ("wish", "field"),
    [({"open": True}, "tracking.open"), ({"opens": "yes"}, "tracking.opens"), (1, "tracking")],
)
async def test_a_wrong_wish_is_named(tracked: Api, wish: Any, field: str) -> None:
    answer = await tracked.client.post("/v1/emails", EMAIL | {"html": HTML, "tracking": wish})
    assert answer.status == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


async def test_without_a_public_url_nobody_can_be_led_here(api: Api) -> None:
    answer = await api.client.post("/v1/emails", EMAIL | {"html": HTML, "tracking": True})
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "not_configured")


async def test_persons_and_machines_at_the_same_moment_are_told_apart(tracked: Api) -> None:
    image, link = links(await send(tracked, tracking=True))
    for agent in ("Mozilla/5.0", "Barracuda Sentinel", *BROWSER.values(), "Mozilla/5.0"):
        await tracked.anonymous.get(image, user_agent=agent)
    await tracked.anonymous.get(link, user_agent="curl/8.0")
    await tracked.anonymous.get(link, **BROWSER)
    await tracked.anonymous.request("HEAD", link, headers=BROWSER)
    await tracked.tracker.flush()
    found = tracked.database.read_now(lambda db: tracking.of_message(db, 1))[1]
    assert (found.opens, found.machine_opens) == (1, 3)
    assert (found.clicks, found.machine_clicks) == (1, 2)


async def test_a_flood_of_hits_is_one_row(tracked: Api) -> None:
    image, _ = links(await send(tracked, tracking=True))
    for _ in range(200):
        await tracked.anonymous.get(image, **BROWSER)
    assert tracked.tracker.pending == 1
    await tracked.tracker.flush()
    assert tracked.count("engagement") == 1
    assert tracked.count("events") == 2  # queued and opened


async def test_a_domain_has_a_host_of_its_own_once_it_leads_here(tracked: Api) -> None:
    report = '{"records":[{"record":"Tracking","name":"click.sender.example","status":"%s"}]}'
    tracked.database.write_now(
        lambda db: db.execute(
            "INSERT INTO domains (id, tenant_id, name, created_at, tracking_host, report)"
            " VALUES ('dom_1', 1, 'sender.example', 0, 'click.sender.example', ?)",
            (report % "good",),
        )
    )
    assert await tracked.tracker.secrets() == (SECRET,)
    assert tracked.tracker.base_url(1, "sender.example") == "https://click.sender.example"
    assert tracked.tracker.base_url(2, "sender.example") == BASE


async def test_hits_are_kept_apart(tracked: Api) -> None:
    first, _ = links(await send(tracked, tracking=True))
    second, _ = links(await send(tracked, tracking=True))
    for image in (first, second, second):
        await tracked.anonymous.get(image, **BROWSER)
    await tracked.tracker.flush()
    found = [
        tracked.database.read_now(lambda db, row=row: tracking.of_message(db, row))
        for row in (1, 2)
    ]
    assert [one[row].opens for row, one in enumerate(found, 1)] == [1, 2]


async def test_an_export_tells_a_person_what_was_noted(tracked: Api) -> None:
    image, link = links(await send(tracked, tracking=True))
    await send(tracked, subject="Second")
    await tracked.anonymous.get(image, **BROWSER)
    await tracked.anonymous.get(link, **BROWSER)
    await tracked.tracker.flush()
    [address] = EMAIL["to"]
    assert (await tracked.client.post("/v1/contacts", {"email": address})).status == 200
    exported = (await tracked.client.get(f"/v1/contacts/{address}/export")).json["emails"]
    assert [one["subject"] for one in exported] == ["Second", EMAIL["subject"]]
    assert exported[0]["events"] == []
    told = exported[1]["events"]
    assert [one["type"] for one in told] == ["email.opened", "email.clicked"]
    assert told[0]["data"]["details"]["user_agent"] == BROWSER["user_agent"]
    other = tracked.client_with(tracked.new_key(2))
    assert (await other.post("/v1/contacts", {"email": address})).status == 200
    assert (await other.get(f"/v1/contacts/{address}/export")).json["emails"] == []
