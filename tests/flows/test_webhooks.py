"""An app that hears of its mail: over crashes of the engine, and by asking."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

from mta.core.ids import number_of
from tests.support.engine import configuration, running
from tests.support.http_receiver import HttpReceiver, hang, status

LOOPBACK = '[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'
EMAILS = 20


def email(number: int) -> dict[str, Any]:
    """An email to nobody: the sandbox plays its delivery."""
    return {
        "from": "app@sender.test",
        "to": [f"delivered+{number}@sandbox.test"],
        "subject": f"Number {number}",
        "text": "Hi",
    }


def bodies(receiver: HttpReceiver) -> list[tuple[int, dict[str, Any]]]:
    """Return place in the journal and body of every post."""
    found = []
    for request in receiver.received:
        seq = number_of(request.headers["webhook-id"], "ev")
        assert seq is not None
        found.append((seq, json.loads(request.body)))
    return found


async def test_k06_everything_arrives_in_order_over_a_crash(tmp_path: Path) -> None:
    config = configuration() + LOOPBACK
    async with HttpReceiver() as receiver, running(tmp_path, config) as engine:
        created = await engine.call("POST", "/v1/webhooks", {"url": receiver.url})
        assert created.status == 200
        receiver.answer = hang  # the receiver is not itself today
        sent = await engine.call("POST", "/v1/emails/batch", [email(n) for n in range(EMAILS)])
        assert sent.body["sent"] == EMAILS
        await receiver.wait_for(5)
        await engine.kill()
        receiver.received.clear()
        receiver.answer = status(200)
        await engine.start()
        async with asyncio.timeout(30):
            while len({seq for seq, _ in bodies(receiver)}) < 2 * EMAILS:
                await receiver.wait_for(len(receiver.received) + 1)
        assert await engine.stop() == 0
    kinds: dict[str, list[str]] = {}
    for _, body in sorted(dict(bodies(receiver)).items()):
        kinds.setdefault(body["data"]["email_id"], []).append(body["type"])
    assert list(kinds.values()) == [["email.queued", "email.delivered"]] * EMAILS
    first_seen: dict[str, list[int]] = {}
    for seq, body in bodies(receiver):
        seen = first_seen.setdefault(body["data"]["email_id"], [])
        if seq not in seen:
            seen.append(seq)
    assert all(seqs == sorted(seqs) for seqs in first_seen.values())
    for request in receiver.received:
        Webhook(created.body["secret"]).verify(request.body, request.headers)


async def test_asking_app_hears_as_soon_as_there_is_something(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as engine:
        latest = (await engine.call("GET", "/v1/events?after=latest")).body["next"]
        asking = asyncio.create_task(
            engine.call("GET", f"/v1/events?after={latest}&types=email.delivered&wait=15")
        )
        sent = await engine.call("POST", "/v1/emails", email(1))
        answer = (await asking).body
        assert [one["type"] for one in answer["data"]] == ["email.delivered"]
        assert answer["data"][0]["data"]["email_id"] == sent.body["id"]
