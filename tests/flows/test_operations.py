"""What operators do to a running server: suspend a domain, move lists of suppressions, watch it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver


def pinned(receiver: Receiver) -> dict[str, str]:
    return {"*": f"smtp://{receiver.address}:{receiver.port}"}


def email(to: str) -> dict[str, str]:
    return {"from": "app@sender.test", "to": to, "subject": "Hi", "text": "Hi"}


async def fetch(engine: Engine, path: str, body: bytes | None = None) -> str:
    """Get, or post CSV; return the text of the answer."""

    def work() -> str:
        request = urllib.request.Request(  # noqa: S310 - the engine's own address
            engine.api + path,
            data=body,
            headers={"Authorization": f"Bearer {engine.key}", "Content-Type": "text/csv"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return str(answer.read().decode())

    return await asyncio.to_thread(work)


async def test_a_suspended_domain_waits_through_a_restart(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
    ):
        assert (await engine.mta("queue", "suspend", "dest.test", "--for", "1h"))[0] == 0
        waits = (await engine.call("POST", "/v1/emails", email("you@dest.test"))).body["id"]
        async with engine.journal() as until:
            await engine.call("POST", "/v1/emails", email("you@other.test"))
            await until(kind="delivered", recipient="you@other.test")
        assert await engine.stop() == 0
        await engine.start()
        async with engine.journal() as until:
            await engine.call("POST", "/v1/emails", email("two@other.test"))
            await until(kind="delivered", recipient="two@other.test")
            shown = (await engine.call("GET", f"/v1/emails/{waits}")).body
            explained = shown["recipients"][0]["explain"]
            assert explained["constraint"] == "domain_suspension"
            assert (await engine.mta("queue", "resume", "dest.test"))[0] == 0
            await until(kind="delivered", recipient="you@dest.test")


async def test_lists_of_suppressions_go_in_and_come_out(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as engine:
        rows = "".join(f"u{number}@x.test\n" for number in range(20_000))
        answer = json.loads(await fetch(engine, "/v1/suppressions/import", rows.encode()))
        assert answer["added"] == 20_000
        assert (await fetch(engine, "/v1/suppressions/export")).count("\n") == 20_001
        undone = await engine.call("POST", "/v1/suppressions/undo", {"rule": answer["id"]})
        assert undone.body["removed"] == 20_000


async def test_figures_can_be_watched_and_requests_looked_up(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
        engine.journal() as until,
    ):
        await engine.call("POST", "/v1/emails", email("you@dest.test"))
        await until(kind="delivered")
        figures = await fetch(engine, "/metrics")
        assert 'mailwright_events_total{kind="delivered",class="",provider="other"} 1' in figures
        assert "mailwright_smtp_connections" in figures
        stats = (await engine.call("GET", "/v1/stats")).body
        assert stats["counts"]["delivered"] == 1
        await engine.stop()
        await engine.start()
        logs = (await engine.call("GET", "/v1/logs")).body["data"]
        assert [one["path"] for one in logs] == ["/v1/stats", "/v1/emails"]
