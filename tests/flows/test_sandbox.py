"""A test key: everything happens but the delivery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.engine import configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Receiver

EMAIL = {"from": "app@sender.test", "subject": "hi", "text": "hello"}
WEBHOOKS = '\n[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'


async def test_mail_of_a_test_key_lives_a_whole_life_and_never_leaves(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        HttpReceiver() as endpoint,
        running(
            tmp_path,
            configuration(routing={"*": f"smtp://127.0.0.1:{receiver.port}"}, extra=WEBHOOKS),
        ) as engine,
        engine.journal() as until,
    ):
        live = engine.key
        _, made, _ = await engine.mta("key", "create", "--name", "t", "--test", "--json")
        engine.key = json.loads(made)["key"]
        hook = await engine.call("POST", "/v1/webhooks", {"url": endpoint.url})
        assert hook.status == 200, hook.body
        names = ("delivered", "bounced+1", "soft-bounced", "complained", "suppressed", "deferred")
        to = [f"{name}@sandbox.test" for name in names] + ["ant@example.net"]
        sent = await engine.call("POST", "/v1/emails", {**EMAIL, "to": to})
        assert sent.status == 200, sent.body
        email = sent.body["id"]
        await until(kind="complained", email_id=email)
        delivered = await until(count=3, kind="delivered", email_id=email)
        await until(count=2, kind="bounced", email_id=email)
        await until(count=2, kind="deferred", email_id=email)  # it is tried again
        (suppressed,) = await until(kind="suppressed", email_id=email)
        engine.key = live
        await engine.call("POST", "/v1/emails", {**EMAIL, "to": ["bounced@sandbox.test"]})
        await until(count=3, kind="bounced")
        hooked = [_type(one.body) for one in await endpoint.wait_for(10)]
        shown = await engine.call("GET", f"/v1/emails/{email}")
    assert {one["recipient"] for one in delivered} == {
        "delivered@sandbox.test",
        "complained@sandbox.test",
        "ant@example.net",
    }
    assert suppressed["data"]["reason"] == "sandbox"
    assert {"email.delivered", "email.bounced", "email.suppressed", "email.delayed"} <= set(hooked)
    assert shown.status == 200
    assert receiver.connections == 0


def _type(body: bytes) -> Any:
    return json.loads(body)["type"]


async def test_a_quota_delays_the_excess_and_says_until_when(tmp_path: Path) -> None:
    quota = "\n[quota]\nper_day = 2\n"
    async with (
        Receiver() as receiver,
        running(
            tmp_path,
            configuration(routing={"*": f"smtp://127.0.0.1:{receiver.port}"}, extra=quota),
        ) as engine,
        engine.journal() as until,
    ):
        people = [f"u{number}@dest.test" for number in range(3)]
        sent = await engine.call("POST", "/v1/emails", {**EMAIL, "to": people})
        await until(count=2, kind="delivered")
        code, output, _ = await engine.mta("message", "show", sent.body["id"])
        usage = (await engine.call("GET", "/v1/usage")).body["quota"]
    assert code == 0
    assert "quota" in output
    assert usage["windows"][0]["limit"] == 2
