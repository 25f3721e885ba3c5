"""Credits through a real server: fifty at once never overspend, a crash leaves none reserved."""

from __future__ import annotations

import asyncio
import smtplib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage import credit_ledger
from storage.credits import account
from storage.database import Connection, Database
from tests.flows.test_crash import Clients, message
from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

ON = "\n[credits]\nenabled = true\n"
EMAIL = {"from": "a@sender.test", "to": ["b@dest.test"], "subject": "x", "text": "x"}


def paying(receiver: Receiver, processes: int = 2) -> str:
    routing = {"*": f"smtp://{receiver.address}:{receiver.port}"}
    return configuration(routing=routing, extra=ON, processes=processes)


async def give(engine: Engine, amount: int) -> None:
    code, key, errors = await engine.mta("key", "create", "--name", "op", "--scope", "admin")
    assert code == 0, errors
    answer = await engine.call(
        "POST",
        "/v1/credits/adjust",
        {"amount": amount, "type": "purchase"},
        {"Authorization": f"Bearer {key.strip()}"},
    )
    assert answer.status == 200, answer.body


async def settled(engine: Engine) -> Any:
    """Return the account once nothing is reserved any more."""
    async with asyncio.timeout(30):
        while True:
            body = (await engine.call("GET", "/v1/credits")).body
            assert body["available"] >= 0
            if not body["reserved"]:
                return body
            await asyncio.sleep(0.1)


def assert_sums_up(engine: Engine) -> None:
    """Compare account, ledger and holds in the file of a server that has ended."""

    def look(connection: Connection) -> None:
        found = account(connection, 1)
        assert credit_ledger.summed(connection, 1) == found
        assert found.reserved == 0
        [(charged,)] = connection.execute(
            "SELECT COALESCE(-SUM(amount), 0) FROM credit_transactions WHERE type = 'charge'"
        ).fetchall()
        [(delivered,)] = connection.execute(
            "SELECT COUNT(*) FROM entries WHERE state = 10"
        ).fetchall()
        assert charged == delivered
        assert connection.execute("SELECT COUNT(*) FROM credit_holds").fetchone() == (0,)

    database = Database.open(engine.data)
    try:
        database.read_now(look)
    finally:
        database.close()


def smtp_reply(port: int) -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo("app.sender.test")
        client.mail("a@sender.test")
        client.rcpt("b@dest.test")
        code, text = client.data(message(1))
        return code, text.decode()


async def test_fifty_at_once_over_both_doors_never_overspend(tmp_path: Path) -> None:
    """Four processes: two take mail, and two settle it."""
    async with Receiver() as receiver, running(tmp_path, paying(receiver, 4)) as engine:
        await give(engine, 20)
        http = [engine.call("POST", "/v1/emails", EMAIL) for _ in range(25)]
        smtp = [asyncio.to_thread(smtp_reply, engine.smtp_port) for _ in range(25)]
        answers, replies = await asyncio.gather(asyncio.gather(*http), asyncio.gather(*smtp))
        sent = sum(one.status == 200 for one in answers) + sum(r[0] == 250 for r in replies)
        assert sent == 20
        assert {one.status for one in answers} <= {200, 402}
        refused = {text for code, text in replies if code != 250}
        expected = "4.7.1 Not enough credits: this message takes 1, 0 are available"
        assert refused <= {expected}
        body = await settled(engine)
        assert (body["balance"], body["available"]) == (0, 0)
        code, text = await asyncio.to_thread(smtp_reply, engine.smtp_port)
        assert (code, text) == (452, expected)
        last = await engine.call("POST", "/v1/emails", EMAIL)
        assert (last.status, last.body["needed"], last.body["available"]) == (402, 1, 0)
        assert await engine.stop() == 0
        assert_sums_up(engine)


@pytest.mark.timeout(180)
async def test_kill_9_while_sending_leaves_nothing_reserved(tmp_path: Path) -> None:
    clients = Clients()
    del clients.left[600:]
    async with Receiver() as receiver:
        engine = Engine(tmp_path, paying(receiver))
        try:
            await engine.start()
            await give(engine, 5000)
            for stop_at in (150, 400):
                load = asyncio.create_task(clients.submit_all(engine.smtp_port))
                await clients.until(stop_at)
                await engine.kill()
                await load
                await engine.start()
            await clients.submit_all(engine.smtp_port)
            body = await settled(engine)
            assert body["balance"] <= 5000 - len(clients.acknowledged)
            assert await engine.stop() == 0
        finally:
            if engine.process is not None and engine.process.returncode is None:
                await engine.kill()
    assert_sums_up(engine)


async def ok(engine: Engine, method: str, path: str, body: Any = None) -> Any:
    answer = await engine.call(method, path, body)
    assert answer.status == 200, answer.body
    return answer.body


@pytest.mark.timeout(180)
async def test_a_campaign_that_is_killed_pays_for_what_it_delivers(tmp_path: Path) -> None:
    campaign = {
        "name": "Spring",
        "from": "shop@sender.test",
        "subject": "Spring",
        "text": "Spring is here",
        "recipients": [f"p{number}@dest.test" for number in range(600)],
    }
    async with Receiver() as receiver:
        public = paying(receiver).replace("[api]\n", '[api]\npublic_url = "https://m.test"\n', 1)
        async with running(tmp_path, public) as engine:
            await give(engine, 610)
            await ok(engine, "POST", "/v1/suppressions", {"email": "p7@dest.test"})
            path = f"/v1/campaigns/{(await ok(engine, 'POST', '/v1/campaigns', campaign))['id']}"
            later = f"/v1/campaigns/{(await ok(engine, 'POST', '/v1/campaigns', campaign))['id']}"
            async with engine.journal() as until:
                await ok(engine, "POST", f"{path}/send")
                await receiver.wait_for(50, within=30)
                await engine.kill()
                await engine.start()
                await until(kind="campaign_completed", within=60)
                body = await settled(engine)
                assert (body["balance"], body["available"]) == (11, 11)
                soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
                await ok(engine, "POST", f"{later}/send", {"send_at": soon})
                await until(kind="campaign_paused")
            paused = await ok(engine, "GET", later)
            assert (paused["status"], paused["pause_reason"]) == ("paused", "insufficient_credits")
            assert await engine.stop() == 0
    assert_sums_up(engine)
