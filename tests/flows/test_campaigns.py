"""A campaign through a real engine: killed, paused, resumed; everybody has exactly one email."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.engine import Engine, configuration
from tests.support.receiver import Drip, Receiver

BASE = "https://mail.sender.test"
MEMBERS = 900
TEMPLATE = {
    "name": "news",
    "subject": "News for {{ name }}",
    "html": "<p>Dear {{ name }} of {{ city }},</p><a href='https://shop.example/'>look</a>"
    "<a href='{{ unsubscribe_url }}'>leave</a>",
}


def config_for(receiver: Receiver, *, delivery: str = "") -> str:
    routing = {"*": f"smtp://{receiver.address}:{receiver.port}"}
    text = configuration(routing=routing, **({"delivery": delivery} if delivery else {}))
    return text.replace("[api]\n", f'[api]\npublic_url = "{BASE}"\n')


async def ok(engine: Engine, method: str, path: str, body: Any = None) -> Any:
    answer = await engine.call(method, path, body)
    assert answer.status == 200, answer.body
    return answer.body


async def audience_of(engine: Engine, count: int) -> str:
    """Make an audience of so many people; return its id."""
    made = await ok(engine, "POST", "/v1/audiences", {"name": "News"})
    for start in range(0, count, 1000):
        people = [
            {
                "email": f"m{number}@dest.test",
                "name": f"M{number}",
                "properties": {"city": f"C{number}"},
            }
            for number in range(start, min(start + 1000, count))
        ]
        await ok(engine, "POST", f"/v1/audiences/{made['id']}/contacts", {"contacts": people})
    return str(made["id"])


async def campaign_of(engine: Engine, audience: str, **more: Any) -> str:
    template = await ok(engine, "POST", "/v1/templates", TEMPLATE)
    await ok(engine, "POST", f"/v1/templates/{template['id']}/publish")
    made = await ok(
        engine,
        "POST",
        "/v1/campaigns",
        {
            "name": "Spring",
            "audience_id": audience,
            "from": "Shop <shop@sender.test>",
            "template": {"id": template["id"]},
            "tracking": True,
            **more,
        },
    )
    return f"/v1/campaigns/{made['id']}"


def leave(engine: Engine, data: bytes) -> int:
    """Follow the link to unsubscribe in a mail, and press the button; return the status."""
    message = cast("EmailMessage", email.message_from_bytes(data, policy=email.policy.default))
    body = message.get_body(("html",))
    assert body is not None
    [link] = re.findall(rf"href='{BASE}(/u/[^']*)'", body.get_content())
    url = f"{engine.api}{link}"
    with urllib.request.urlopen(url, timeout=20) as page:  # noqa: S310 - loopback
        assert "Unsubscribe" in page.read().decode()
    form = b"List-Unsubscribe=One-Click"
    with urllib.request.urlopen(url, form, timeout=20) as page:  # noqa: S310 - loopback
        return int(page.status)


@pytest.mark.timeout(180)
async def test_killed_once_and_paused_once_everybody_has_one_email(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        engine = Engine(tmp_path, config_for(receiver))
        await engine.start()
        try:
            audience = await audience_of(engine, MEMBERS)
            path = await campaign_of(engine, audience)
            await ok(engine, "POST", f"{path}/send")
            await receiver.wait_for(150, within=30)
            await engine.kill()
            await engine.start()
            await receiver.wait_for(400, within=30)
            paused = await ok(engine, "POST", f"{path}/pause")
            assert (paused["status"], paused["pause_reason"]) == ("paused", "requested")
            await asyncio.sleep(1.0)  # what goes out within a second of the pause
            count = len(receiver.messages)
            await asyncio.sleep(1.0)
            assert len(receiver.messages) == count
            await ok(engine, "POST", f"{path}/resume")
            async with engine.journal() as until:
                await until(kind="campaign_completed", within=60)
            shown = await ok(engine, "GET", path)
            accepted = await ok(engine, "GET", f"/v1/emails?campaign_id={path[14:]}&include=total")
            assert await asyncio.to_thread(leave, engine, receiver.messages[0].data) == 200
            stats = await ok(engine, "GET", f"{path}/stats")
            counts = (await ok(engine, "GET", f"/v1/audiences/{audience}"))["counts"]
            assert await engine.stop() == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                await engine.kill()
    arrived = [one.recipients[0] for one in receiver.messages]
    assert set(arrived) == {f"m{number}@dest.test" for number in range(MEMBERS)}
    assert len(receiver.message_ids) == MEMBERS  # the kill may repeat a delivery, not an email
    assert accepted["total"] == MEMBERS
    assert shown["total_recipients"] == MEMBERS
    assert shown["counts"] == {
        **dict.fromkeys(shown["counts"], 0),
        "sent": MEMBERS,
        "delivered": MEMBERS,
    }
    assert stats["counts"]["unsubscribed"] == 1
    assert counts == {"subscribed": MEMBERS - 1, "unsubscribed": 1}


async def test_a_pause_calls_back_what_waits_for_a_slow_server(tmp_path: Path) -> None:
    slow = Drip("250 2.0.0 queued", 0.02)  # a third of a second for each message
    async with Receiver(script={"DOT": slow}) as receiver:
        engine = Engine(tmp_path, config_for(receiver))
        await engine.start()
        try:
            people = [f"p{number}@dest.test" for number in range(500)]
            body = {"name": "n", "recipients": people, "from": "s@sender.test", "text": "Hi"}
            made = await ok(engine, "POST", "/v1/campaigns", body)
            path = f"/v1/campaigns/{made['id']}"
            await ok(engine, "POST", f"{path}/send")
            await receiver.wait_for(20, within=30)
            await ok(engine, "POST", f"{path}/pause")
            await asyncio.sleep(1.0)  # what goes out within a second of the pause
            count = len(receiver.messages)
            await asyncio.sleep(1.5)
            assert len(receiver.messages) == count
            depth = await ok(engine, "GET", "/v1/queue")
            await engine.kill()
        finally:
            if engine.process is not None and engine.process.returncode is None:
                await engine.kill()
    assert count < 300
    assert (depth["waiting"], depth["claimed"]) == (0, 0)
    assert depth["held"] + count <= 500
