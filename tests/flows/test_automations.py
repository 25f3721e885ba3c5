"""Automations over the wire: someone joins, gets a mail, and later another; crashes in between."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.control_api.conftest import parsed
from tests.support.engine import Engine, configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Receiver

EXTRA = '\n[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'
PEOPLE = [f"p{number}@dest.test" for number in range(12)]
WELCOME = {"name": "w", "subject": "Welcome {{ name }}", "text": "Hi", "html": "<p>Hi</p>"}


def config_for(receiver: Receiver, processes: int = 1) -> str:
    routing = {"*": f"smtp://{receiver.address}:{receiver.port}"}
    config = configuration(routing=routing, extra=EXTRA, processes=processes)
    return config.replace("[api]\n", '[api]\npublic_url = "https://mail.sender.test"\n')


async def ask(engine: Engine, method: str, path: str, body: Any = None) -> Any:
    reply = await engine.call(method, path, body)
    assert reply.status == 200, reply.body
    return reply.body


async def make(engine: Engine, *more: Any, **fields: Any) -> tuple[str, str]:
    """Make an audience, and an automation that welcomes; return their ids."""
    identity = {"name": "News", "from_email": "news@sender.test"}
    audience = (await ask(engine, "POST", "/v1/audiences", identity))["id"]
    template = (await ask(engine, "POST", "/v1/templates", WELCOME))["id"]
    await ask(engine, "POST", f"/v1/templates/{template}/publish")
    send = {"type": "send", "template_id": template}
    steps = [send, {"type": "wait", "seconds": 2}, send | {"subject": "Again {{ name }}"}, *more]
    trigger = {"type": "contact.subscribed", "audience_id": audience}
    wish = {"name": "a", "trigger": trigger, "steps": steps} | fields
    return audience, (await ask(engine, "POST", "/v1/automations", wish))["id"]


async def join(engine: Engine, audience: str, people: list[str]) -> None:
    contacts = [{"email": one, "name": one.partition("@")[0].upper()} for one in people]
    await ask(engine, "POST", f"/v1/audiences/{audience}/contacts", {"contacts": contacts})


async def until_ended(engine: Engine, automation: str, count: int) -> Any:
    """Wait until so many runs have ended; the journal's events tell when to look."""
    while True:
        counts = (await ask(engine, "GET", f"/v1/automations/{automation}"))["counts"]
        if counts["completed"] + counts["failed"] >= count:
            return counts
        # Answers at once when there is an event, and otherwise soon.
        await ask(engine, "GET", "/v1/events?after=latest&wait=1")


async def test_who_joins_gets_a_mail_and_later_another(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        HttpReceiver() as hooks,
        running(tmp_path, config_for(receiver, processes=2)) as engine,
    ):
        audience, automation = await make(engine, {"type": "webhook", "url": hooks.url})
        await join(engine, audience, ["bee@dest.test"])
        first, second = await receiver.wait_for(2, within=30)
        [post] = await hooks.wait_for(1)
        counts = await until_ended(engine, automation, 1)
        body = {"email": "bee@dest.test", "data": {"n": 1}}
        begun = await ask(engine, "POST", f"/v1/automations/{automation}/execute", body)
        await receiver.wait_for(4, within=30)
    assert [parsed(one.data)["Subject"] for one in (first, second)] == ["Welcome BEE", "Again BEE"]
    assert parsed(first.data)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert json.loads(post.body)["data"]["contact"]["email"] == "bee@dest.test"
    assert counts == {"runs": 1, "active": 0, "completed": 1, "failed": 0, "canceled": 0}
    assert (begun["object"], begun["status"]) == ("automation_run", "active")


@pytest.mark.parametrize("faults", ["", "before_automation_step:2", "after_automation_step:1"])
async def test_a_crash_loses_no_step_and_repeats_none(tmp_path: Path, faults: str) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, config_for(receiver), faults) as engine,
    ):
        audience, automation = await make(engine)
        with suppress(OSError):  # it may die before it has answered
            await join(engine, audience, PEOPLE)
        if faults:
            assert await engine.wait() == 137
        else:
            await receiver.wait_for(len(PEOPLE), within=30)
            await engine.kill()
        engine.faults = ""
        await engine.start()
        counts = await until_ended(engine, automation, len(PEOPLE))
        assert counts["completed"] == counts["runs"] == len(PEOPLE)
        total = (await ask(engine, "GET", "/v1/emails?include=total"))["total"]
        assert total == 2 * len(PEOPLE)
        while sum(map(len, ids(receiver).values())) < total:
            await receiver.wait_for(len(receiver.messages) + 1, within=30)
    assert {one: len(found) for one, found in ids(receiver).items()} == dict.fromkeys(PEOPLE, 2)


def ids(receiver: Receiver) -> dict[str, set[str]]:
    """Return Message-IDs by recipient: a crash may deliver one mail twice, but never makes two."""
    found: dict[str, set[str]] = defaultdict(set)
    for one in receiver.messages:
        found[one.recipients[0]].add(parsed(one.data)["Message-ID"])
    return found
