"""Unsubscribe links: nothing without a click, nothing by a forged one, and a way back."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from config.settings import Api as ApiSettings
from mta.core.unsubscribe import Unsubscribe, token
from storage import events, instance_secrets, retention, suppressions
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Reply

SECRET = b"s" * 32
ONE_CLICK = b"List-Unsubscribe=One-Click"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def page(api: Api) -> Api:
    """An application with a public URL, a secret, and entry 1: mail to Bee."""
    made = api.with_settings(api=ApiSettings(public_url="https://mail.test"))
    made.database.write_now(
        lambda db: instance_secrets.ensure(db, entropy=lambda _: SECRET, now=made.clock.now)
    )
    answer = await made.client.post("/v1/emails", EMAIL | {"unsubscribe": True})
    assert answer.status == 200, answer.json
    return made


def link(entry: int = 1, tenant_id: int = 1, scope: str = "", secret: bytes = SECRET) -> str:
    return f"/u/{token(Unsubscribe(tenant_id, entry, scope), secret)}"


def suppressed(api: Api) -> dict[str, str]:
    keys = ["bee@example.net"]
    return api.database.read_now(lambda db: suppressions.lookup(db, 1, keys, api.clock.now))


async def click(api: Api, path: str, body: bytes = ONE_CLICK, **headers: str) -> Reply:
    return await api.anonymous.request("POST", path, body=body, headers=FORM | headers)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_l03_looking_changes_nothing(page: Api, method: str) -> None:
    answer = await page.anonymous.request(method, link())
    assert answer.status == 200
    assert suppressed(page) == {}
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", ONE_CLICK),
        ("application/x-www-form-urlencoded", ONE_CLICK + b"&via=page"),
        (
            "multipart/form-data; boundary=B",
            b'--B\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n',
        ),
    ],
)
async def test_one_click_acts(page: Api, kind: str, body: bytes) -> None:
    answer = await page.anonymous.request("POST", link(), body=body, headers={"content-type": kind})
    assert answer.status == 200
    assert suppressed(page) == {"bee@example.net": "unsubscribe"}
    assert b"bee@" not in answer.body
    again = await click(page, link())
    assert (again.status, again.body) == (200, answer.body)
    kinds = [e.kind.value for e in page.database.read_now(partial(events.read, after=0, limit=9))]
    assert kinds.count("unsubscribed") == 1


@pytest.mark.parametrize("body", [b"", b"x=y", b"List-Unsubscribe=yes", b"x" * 100_000])
async def test_a_post_without_the_words_does_not(page: Api, body: bytes) -> None:
    assert (await click(page, link(), body)).status == 400
    assert suppressed(page) == {}


@pytest.mark.parametrize(
    "path",
    [
        link(secret=b"x" * 32),
        link()[:-1],
        link() + "A",
        link(entry=99),
        link(tenant_id=2),
        "/u/x",
        "/u/" + "A" * 60,
        "/u/%00",
        "/u/%E2%82%AC",
    ],
)
async def test_l02_l04_every_wrong_link_gets_the_same_answer(page: Api, path: str) -> None:
    answers = [await page.anonymous.request("GET", path), await click(page, path)]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert suppressed(page) == {}


async def test_the_way_back(page: Api) -> None:
    answer = await click(page, link())
    proof = re.search(rb'name="resubscribe" value="([\w-]+)"', answer.body)
    assert proof
    wrong = b"resubscribe=" + proof[1][:-2] + b"AA"
    assert (await click(page, link(), wrong)).status == 404
    assert (await click(page, link(scope="aud_1"), b"resubscribe=" + proof[1])).status == 404
    assert suppressed(page)
    assert (await click(page, link(), b"resubscribe=" + proof[1])).status == 200
    assert suppressed(page) == {}


async def test_the_way_back_opens_no_other_door(page: Api) -> None:
    """A complaint stays, whoever clicks on what."""
    answer = await click(page, link())
    proof = re.search(rb'name="resubscribe" value="([\w-]+)"', answer.body)
    assert proof
    page.database.write_now(lambda db: db.execute("UPDATE suppressions SET reason = 'complaint'"))
    await click(page, link(), b"resubscribe=" + proof[1])
    assert suppressed(page) == {"bee@example.net": "complaint"}


async def test_of_one_list_only(page: Api) -> None:
    offer = {"unsubscribe": {"audience_id": "aud_1"}}
    assert (await click(page, link(scope="aud_1"))).status == 200
    assert suppressed(page) == {}
    for fields, status in ((offer, "suppressed"), ({}, "queued")):
        answer = await page.client.post("/v1/emails", EMAIL | fields)
        assert answer.json["status"] == status


async def test_a_link_outlives_its_mail(page: Api) -> None:
    page.database.write_now(
        lambda db: db.execute("UPDATE messages SET settled_at = 1, pending = 0")
    )
    later = page.clock.now.replace(year=page.clock.now.year + 1)
    page.database.write_now(
        lambda db: retention.prune(db, bodies_before=later, events_before=later, limit=99)
    )
    assert page.count("entries") == 0
    assert (await click(page, link())).status == 200
    assert suppressed(page) == {"bee@example.net": "unsubscribe"}


@pytest.mark.parametrize(
    ("offer", "field"),
    [
        ("yes", "unsubscribe"),
        ({"url": "javascript:alert(1)"}, "unsubscribe.url"),
        ({"url": "https://a.test/x>, <mailto:x"}, "unsubscribe.url"),
        ({"url": "https://a.test/\r\nBcc: x"}, "unsubscribe.url"),
        ({"url": "https://a.test/", "audience_id": "aud_1"}, "unsubscribe.url"),
        ({"one_click": "yes"}, "unsubscribe.one_click"),
        ({"odd": 1}, "unsubscribe.odd"),
    ],
)
async def test_wrong_offers(page: Api, offer: Any, field: str) -> None:
    answer = await page.client.post("/v1/emails", EMAIL | {"unsubscribe": offer})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


async def test_an_offer_needs_a_page_and_no_rival(api: Api, page: Api) -> None:
    answer = await api.client.post("/v1/emails", EMAIL | {"unsubscribe": True})
    assert answer.json["errors"][0]["code"] == "not_configured"
    own = {"unsubscribe": True, "headers": {"List-Unsubscribe": "<mailto:x@y.test>"}}
    answer = await page.client.post("/v1/emails", EMAIL | own)
    assert answer.json["errors"][0]["code"] == "conflict"
    url = {"unsubscribe": {"url": "https://shop.test/out"}}
    assert (await api.client.post("/v1/emails", EMAIL | url)).status == 200
