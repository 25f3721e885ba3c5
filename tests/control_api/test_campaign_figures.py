"""Figures, recipients and logs of campaigns over HTTP."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from typing import Any

import pytest

from control_api.campaign_figures import LOGS
from storage import campaign_counts, feedback, tracking, unsubscribes
from storage.correlation import entry_of
from storage.database import Connection
from storage.tracking import CountedHit
from tests.control_api.campaigning import Campaigning
from tests.control_api.conftest import Api

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
PREFETCHER = "Mozilla/5.0"
PEOPLE = [f"p{number}@example.net" for number in range(4)]


@pytest.fixture
def desk(api: Api) -> Campaigning:
    return Campaigning(api)


async def read(desk: Campaigning, entry: int, *, url: str = "", agent: str = BROWSER) -> None:
    """Let somebody open, or follow a link of, the mail of an entry."""
    at = desk.api.clock()
    hit = CountedHit(1, entry, url, agent, "GET", "192.0.2.9", at, 1)
    desk.api.database.write_now(lambda db: tracking.record(db, [hit]))


def act(desk: Campaigning, work: Callable[[Connection, datetime], object]) -> None:
    at = desk.api.clock()
    desk.api.database.write_now(lambda db: work(db, at))


async def delivered(desk: Campaigning, **fields: Any) -> str:
    path = await desk.sent(recipients=PEOPLE, tracking=True, **fields)
    await desk.advance()
    desk.deliver()
    desk.api.clock.advance(minutes=5)
    return path


class TestStats:
    async def test_persons_and_machines_are_told_apart(self, desk: Campaigning) -> None:
        path = await delivered(desk)
        shop, news = "https://shop.example/", "https://news.example/"
        for entry, url in ((1, ""), (1, ""), (2, ""), (1, shop), (1, shop), (1, news), (3, shop)):
            await read(desk, entry, url=url)
        await read(desk, 4, agent=PREFETCHER)
        for entry in (3, 4):
            await read(desk, entry, url=news, agent="Barracuda Sentinel")
        found = await desk.ok("GET", f"{path}/stats")
        assert found["opens"] == {"total": 3, "unique": 2, "machine": 1, "rate": 0.5}
        assert found["clicks"] == {"total": 4, "unique": 2, "machine": 2, "rate": 0.5}
        assert found["links"] == [
            {"url": shop, "total": 3, "unique": 2},
            {"url": news, "total": 1, "unique": 1},
        ]
        assert (found["recipients"], found["rates"]["delivered"]) == (4, 1.0)

    async def test_what_comes_back_counts(self, desk: Campaigning) -> None:
        path = await delivered(desk)

        def complain(connection: Connection, at: datetime) -> None:
            entry = entry_of(connection, 1, 1)
            assert entry is not None
            feedback.record_complaint(connection, entry, "abuse", now=at)

        def leave(connection: Connection, at: datetime) -> None:
            target = unsubscribes.find(connection, 2, 1, None)
            assert target is not None
            unsubscribes.unsubscribe(connection, target, via="page", now=at)

        act(desk, complain)
        act(desk, leave)
        found = await desk.ok("GET", f"{path}/stats")
        assert (found["counts"]["complained"], found["counts"]["unsubscribed"]) == (1, 1)
        assert (found["rates"]["complained"], found["rates"]["unsubscribed"]) == (0.25, 0.25)
        shown = await desk.ok("GET", f"{path}/recipients")
        assert [one["status"] for one in shown["data"]] == [*["delivered"] * 3, "complained"]

    async def test_of_nothing_rates_are_zero(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=PEOPLE)
        found = await desk.ok("GET", f"{path}/stats")
        assert set(found["rates"].values()) == {0.0}
        assert (found["opens"]["rate"], found["links"]) == (0.0, [])

    async def test_links_beyond_a_thousand_are_one(
        self, desk: Campaigning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(campaign_counts, "MAX_LINKS", 2)
        path = await delivered(desk)
        for number in range(4):
            await read(desk, 1, url=f"https://shop.example/{number}")
        found = await desk.ok("GET", f"{path}/stats")
        assert [(one["url"], one["total"]) for one in found["links"]] == [
            (None, 2),
            ("https://shop.example/0", 1),
            ("https://shop.example/1", 1),
        ]


class TestRecipients:
    async def test_pages_both_ways(self, desk: Campaigning) -> None:
        path = await delivered(desk)
        await read(desk, 4)
        first = await desk.ok("GET", f"{path}/recipients?limit=3&include=total")
        assert [one["email"] for one in first["data"]] == PEOPLE[:0:-1]
        assert (first["total"], first["has_more"]) == (4, True)
        assert first["data"][0]["opens"] == 1
        assert first["data"][0]["opened_at"] == "2026-03-01T12:05:00.000Z"
        last = first["data"][-1]["id"]
        rest = await desk.ok("GET", f"{path}/recipients?after={last}")
        assert [one["email"] for one in rest["data"]] == PEOPLE[:1]
        back = await desk.ok("GET", f"{path}/recipients?before={rest['data'][0]['id']}&limit=2")
        assert [one["email"] for one in back["data"]] == [PEOPLE[2], PEOPLE[1]]
        numbered = await desk.ok("GET", f"{path}/recipients?page=2&limit=3")
        assert [one["email"] for one in numbered["data"]] == PEOPLE[:1]

    async def test_those_skipped_page_too(self, desk: Campaigning) -> None:
        people = [{"email": PEOPLE[0], "variables": {"city": "Rome"}}, *PEOPLE[1:]]
        path = await desk.sent(recipients=people, subject="{{ city }}")
        await desk.advance()
        first = await desk.ok("GET", f"{path}/recipients?status=skipped&limit=2&include=total")
        assert [one["email"] for one in first["data"]] == PEOPLE[:1:-1]
        assert (first["total"], first["has_more"]) == (3, True)
        last = first["data"][-1]["id"]
        rest = await desk.ok("GET", f"{path}/recipients?status=skipped&after={last}")
        assert [one["email"] for one in rest["data"]] == [PEOPLE[1]]
        back = await desk.ok("GET", f"{path}/recipients?status=skipped&before={last}")
        assert [one["email"] for one in back["data"]] == [PEOPLE[3]]

    @pytest.mark.parametrize("query", ["status=x", "limit=0", "after=x", "page=0", "no_such=1"])
    async def test_queries_that_are_wrong(self, desk: Campaigning, query: str) -> None:
        path = await desk.campaign(recipients=PEOPLE)
        assert (await desk.ask("GET", f"{path}/recipients?{query}")).status == 422


class TestLogs:
    async def test_tell_what_happened_in_order(self, desk: Campaigning) -> None:
        path = await delivered(desk)
        await read(desk, 2)
        await read(desk, 1, url="https://shop.example/")
        found = await desk.ok("GET", f"{path}/logs/tracking?include=total")
        assert [(one["type"], one["email"]) for one in found["data"]] == [
            ("email.opened", PEOPLE[1]),
            ("email.clicked", PEOPLE[0]),
        ]
        assert (found["data"][1]["url"], found["total"]) == ("https://shop.example/", 2)
        after = found["data"][0]["id"]
        rest = await desk.ok("GET", f"{path}/logs/tracking?after={after}")
        assert [one["type"] for one in rest["data"]] == ["email.clicked"]
        opened = await desk.ok("GET", f"{path}/logs/open")
        assert len(opened["data"]) == 1

    @pytest.mark.parametrize(
        ("agent", "is_machine"),
        [(BROWSER, False), (PREFETCHER, True), ("x GoogleImageProxy", False), ("curl/8", True)],
    )
    async def test_machines_are_those_that_stats_count_as_such(
        self, desk: Campaigning, agent: str, is_machine: bool
    ) -> None:
        path = await delivered(desk)
        await read(desk, 1, agent=agent)
        [told] = (await desk.ok("GET", f"{path}/logs/open"))["data"]
        assert told["is_machine"] is is_machine
        opens = (await desk.ok("GET", f"{path}/stats"))["opens"]
        assert (opens["total"], opens["machine"]) == (not is_machine, is_machine)

    async def test_bounces_are_told(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=PEOPLE)
        await desk.advance()
        desk.deliver("bounced")
        found = await desk.ok("GET", f"{path}/logs/bounce?limit=3")
        assert (len(found["data"]), found["has_more"]) == (3, True)
        assert found["data"][0]["details"]["code"] == 550

    async def test_csv_is_whole_and_holds_no_formula(
        self, desk: Campaigning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("control_api.campaign_figures.BATCH", 2)
        path = await delivered(desk)
        for entry in (1, 2, 3, 4):
            await read(desk, entry, agent="=1+1 Firefox")
        reply = await desk.ask("GET", f"{path}/logs/open?format=csv")
        assert reply.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(StringIO(reply.body.decode())))
        assert [row["email"] for row in rows] == PEOPLE
        assert {row["user_agent"] for row in rows} == {"'=1+1 Firefox"}
        asked = await desk.client.request(
            "GET", f"{path}/logs/open", headers={"Accept": "text/csv"}
        )
        assert asked.body == reply.body

    @pytest.mark.parametrize("name", sorted(LOGS))
    async def test_an_empty_one_is_a_list_and_a_header(self, desk: Campaigning, name: str) -> None:
        path = await desk.campaign(recipients=PEOPLE)
        assert (await desk.ok("GET", f"{path}/logs/{name}"))["data"] == []
        reply = await desk.ask("GET", f"{path}/logs/{name}?format=csv")
        assert reply.body.count(b"\n") == 1

    @pytest.mark.parametrize(
        ("tail", "status"),
        [("no-such", 404), ("open?format=xml", 422), ("open?before=ev_x", 422), ("open?x=1", 422)],
    )
    async def test_requests_that_are_wrong(self, desk: Campaigning, tail: str, status: int) -> None:
        path = await desk.campaign(recipients=PEOPLE)
        assert (await desk.ask("GET", f"{path}/logs/{tail}")).status == status
