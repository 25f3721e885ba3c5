"""`mta webhook`: how endpoints fare, test posts, replays, on and off."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from storage import webhook_attempts, webhook_retries, webhooks
from storage.database import Connection
from storage.webhook_attempts import Result, WebhookAttempt
from tests.mta.cli.conftest import CommandLine
from tests.support.http_receiver import HttpReceiver, status

WEBHOOK = "wh_01KJMMA2G00000000000000001"


@contextmanager
def receiver(code: int) -> Iterator[HttpReceiver]:
    """A receiver in an event loop of its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = HttpReceiver()
    made.answer = status(code, body=b"said\x1b[31m so")
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def add(mta: CommandLine, url: str = "https://app.example/hook", tenant_id: int = 1) -> None:
    with mta.database() as database:
        database.write_now(
            lambda db: webhooks.create(
                db,
                tenant_id=tenant_id,
                webhook_id=WEBHOOK,
                url=url,
                kinds=None,
                secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                description="orders",
                now=mta.now,
            )
        )


def give_up(mta: CommandLine, seq: int, at: datetime) -> None:
    """Let the first events be passed, one of them given up."""
    made = WebhookAttempt(seq, at, at - at, 500, "", "", Result.GIVEN_UP)

    def write(db: Connection) -> None:
        webhook_attempts.append(db, WEBHOOK, [made])
        webhooks.advance(db, WEBHOOK, 2)

    with mta.database() as database:
        database.write_now(write)


def waiting(mta: CommandLine) -> list[int]:
    with mta.database() as database:
        rows = database.read_now(lambda db: webhook_retries.oldest(db, WEBHOOK, limit=99))
    return [row.event_seq for row in rows]


def test_list_and_show(mta: CommandLine) -> None:
    add(mta)
    mta.accept("a@one.test", "b@one.test")
    listed = mta("webhook", "list").stdout
    assert WEBHOOK in listed
    assert "enabled" in listed
    assert "orders" in listed
    shown = mta("webhook", "show", WEBHOOK).stdout
    assert "email.queued" in shown
    assert "pending" in shown
    [as_json] = json.loads(mta("webhook", "list", "--json").stdout)
    assert as_json["lag"]["events"] == 2
    assert json.loads(mta("webhook", "show", WEBHOOK, "--json").stdout)["id"] == WEBHOOK
    assert "whsec" not in listed + shown + str(as_json)


def test_on_and_off(mta: CommandLine) -> None:
    add(mta)
    assert mta("webhook", "disable", WEBHOOK).exit_code == 0
    assert mta("webhook", "disable", WEBHOOK).exit_code == 1
    assert "disabled" in mta("webhook", "list").stdout
    assert "disabled" in mta("webhook", "replay", WEBHOOK, "--since", "1h").stderr
    assert mta("webhook", "enable", WEBHOOK).exit_code == 0
    assert mta("webhook", "enable", WEBHOOK).exit_code == 1


@pytest.mark.parametrize("code", [200, 500])
def test_test_posts(mta: CommandLine, code: int) -> None:
    mta.configure('[webhooks]\nallow_private_targets = ["127.0.0.0/8"]')
    with receiver(code) as endpoint:
        add(mta, endpoint.url)
        result = mta("webhook", "test", WEBHOOK)
        as_json = json.loads(mta("webhook", "test", WEBHOOK, "--json").stdout)
    assert result.exit_code == (code != 200)
    assert f"answered {code} in" in result.stdout
    assert "\x1b" not in result.stdout
    assert (as_json["status"], as_json["type"]) == (code, "email.delivered")
    assert len(endpoint.received) == 2


def test_test_posts_do_not_reach_inside_the_network(mta: CommandLine) -> None:
    add(mta, "http://127.0.0.1:9999/")
    result = mta("webhook", "test", WEBHOOK)
    assert result.exit_code == 1
    assert "not public" in result.stdout


def test_replays(mta: CommandLine) -> None:
    add(mta)
    mta.accept("a@one.test", "b@one.test")
    give_up(mta, 1, mta.now)
    [event, *_] = [
        json.loads(line) for line in mta("events", "--json", "--after", "0").stdout.splitlines()
    ]
    assert json.loads(mta("webhook", "replay", WEBHOOK, "--since", "1h", "--json").stdout) == {
        "count": 1
    }
    assert waiting(mta) == [1]
    mta("webhook", "replay", WEBHOOK, "--since", "1h", "--all")
    assert waiting(mta) == [1, 2]
    assert "1 to be posted" in mta("webhook", "replay", WEBHOOK, event["id"]).stdout
    assert mta("webhook", "replay", WEBHOOK, "ev_1").exit_code == 1
    assert mta("webhook", "replay", WEBHOOK).exit_code == 2
    assert mta("webhook", "replay", WEBHOOK, event["id"], "--since", "1h").exit_code == 2


@pytest.mark.parametrize("name", ["show", "test", "enable", "disable"])
def test_unknown_ids(mta: CommandLine, name: str) -> None:
    mta.accept("a@one.test")
    result = mta("webhook", name, "wh_1")
    assert result.exit_code == 1
    assert "no webhook has this id" in result.stderr
