"""The reports listener on real storage: who may give it what, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mta.core.return_path import Purpose
from mta.core.unsubscribe import UnsubscribeOffer
from mta.reports import MAX_REPORTS, ReportsHandler
from mta.smtp_session import Limits, Service
from storage import reports, return_hosts
from tests.mta.test_report_intake import RULES, path
from tests.storage import builders
from tests.support.databases import new_database
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import listening

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LIMITS = Limits(message_size=5000, recipients=10, errors=10)


class Door:
    """A listener, its storage, and how often a report was announced."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.database = new_database(directory)
        self.kicks = 0
        self.now = NOW
        self.handler = ReportsHandler(
            self.database,
            RULES,
            hostname="mta.test",
            max_per_minute=options.get("max_per_minute", 100),
            on_report=self._kicked,
            now=lambda: self.now,
        )
        self.service = Service("mta.test", self.handler, LIMITS, home="b.test")

    def _kicked(self) -> None:
        self.kicks += 1

    def entry(self, *to: str, **changes: Any) -> int:
        def work(db: Any) -> int:
            builders.accept(db, *(to or ("ant@example.net",)), **changes)
            return int(db.execute("SELECT MAX(id) FROM entries").fetchone()[0])

        return self.database.write_now(work)

    def know(self, host: str, *, tenant_id: int) -> None:
        """Have the DNS lead a tenant's host here."""
        found = {"record": "Return-Path", "name": host, "status": "good"}
        self.database.write_now(
            lambda db: return_hosts.note(
                db,
                tenant_id=tenant_id,
                domain=host.partition(".")[2],
                host=host,
                report={"records": [found]},
            )
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.database.read_now(lambda db: db.execute(sql).fetchall())

    async def give(self, to: str, text: bytes = b"Subject: x\r\n\r\nhello\r\n") -> str:
        """Hand in one report; return the reply that decided."""
        async with listening(self.service) as port, dialogue(port) as client:
            await client.ask("EHLO mx.test")
            if not (reply := await client.ask("MAIL FROM:<>")).startswith("250"):
                return reply
            if not (reply := await client.ask(f"RCPT TO:<{to}>")).startswith("250"):
                return reply
            await client.ask("DATA")
            await client.send(text + b".\r\n")
            return await client.reply()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path)
    yield door
    door.database.close()


async def test_a_report_is_kept_as_it_came_before_250(door: Door) -> None:
    to = path(door.entry())
    assert (await door.give(to.upper())).startswith("250")
    assert door.rows("SELECT source, client, recipients, data, state FROM reports") == [
        ("smtp", "127.0.0.1", f'["{to}"]', b"Subject: x\r\n\r\nhello\r\n", 0)
    ]
    assert door.kicks == 1


async def test_the_same_report_again_is_taken_and_dropped(door: Door) -> None:
    to = path(door.entry())
    for hop in (b"Received: a\r\n", b"Received: b\r\n"):
        assert (await door.give(to, hop + b"Subject: x\r\n\r\nhello\r\n")).startswith("250")
    assert door.rows("SELECT COUNT(*) FROM reports") == [(1,)]
    assert door.kicks == 1


async def test_a_return_path_wears_out(door: Door) -> None:
    to = path(door.entry())
    for number in range(MAX_REPORTS):
        text = f"Subject: x\r\n\r\n{number}\r\n".encode()
        assert (await door.give(to, text)).startswith("250")
    assert (await door.give(to, b"Subject: x\r\n\r\none more\r\n")).startswith("550 5.7.1")


@pytest.mark.parametrize(
    ("to", "reply"),
    [
        ("nobody@b.test", "550 5.1.1"),
        ("postmaster@elsewhere.test", "550 5.1.1"),
        (path(1, tenant_id=2), "550 5.7.1"),  # sealed by us, but the entry is another tenant's
        (path(99), "550 5.7.1"),  # the mail has been forgotten
        ("b-" + "a" * 40 + "@b.test", "550 5.7.1"),
        (path(99, purpose=Purpose.UNSUBSCRIBE), "550 5.7.1"),
    ],
)
async def test_m09_what_is_not_ours_is_refused_at_rcpt(door: Door, to: str, reply: str) -> None:
    door.entry()
    assert (await door.give(to)).startswith(reply)
    assert door.rows("SELECT COUNT(*) FROM reports") == [(0,)]


async def test_an_old_return_path_has_expired_and_unsubscribing_has_not(door: Door) -> None:
    entry = door.entry(unsubscribe=UnsubscribeOffer())
    door.now = NOW + timedelta(days=400)
    assert (await door.give(path(entry))).startswith("550 5.7.1")
    assert (await door.give(path(entry, purpose=Purpose.UNSUBSCRIBE))).startswith("250")


async def test_roles_are_served(door: Door) -> None:
    for name in ("postmaster", "ABUSE", "fbl"):
        assert (await door.give(f"{name}@b.test")).startswith("250")


async def test_the_postmaster_needs_no_domain(door: Door) -> None:
    assert (await door.give("Postmaster", b"Subject: x\r\n\r\nhelp\r\n")).startswith("250")
    assert door.rows("SELECT recipients FROM reports") == [('["postmaster@b.test"]',)]
    assert (await door.give("abuse")).startswith("501 5.1.3")


async def test_a_tenants_own_host_takes_its_return_paths(door: Door) -> None:
    door.know("bounce.ant.test", tenant_id=1)
    door.know("bounce.bee.test", tenant_id=2)
    local, _, _ = path(door.entry()).partition("@")
    assert (await door.give(f"{local}@bounce.ant.test")).startswith("250")
    assert door.rows("SELECT recipients FROM reports") == [(f'["{local}@bounce.ant.test"]',)]
    for role in ("postmaster", "abuse"):
        assert (await door.give(f"{role}@bounce.ant.test")).startswith("250")
    # What another tenant's zone leads here is no place for this one's return paths.
    assert (await door.give(f"{local}@bounce.bee.test")).startswith("550 5.7.1")
    assert (await door.give(f"{local}@bounce.elk.test")).startswith("550 5.1.1")
    assert (await door.give("postmaster@bounce.elk.test")).startswith("550 5.1.1")
    out = path(door.entry(unsubscribe=UnsubscribeOffer()), purpose=Purpose.UNSUBSCRIBE)
    assert (await door.give(out.replace("b.test", "bounce.ant.test"))).startswith("550 5.7.1")


async def test_rates_are_bounded_for_each_client(tmp_path: Path) -> None:
    door = Door(tmp_path, max_per_minute=2)
    replies = [await door.give("fbl@b.test", f"S: {n}\r\n\r\n{n}\r\n".encode()) for n in range(3)]
    assert [reply[:9] for reply in replies] == ["250 2.0.0", "250 2.0.0", "451 4.7.1"]
    door.now += timedelta(minutes=1)
    assert (await door.give("fbl@b.test")).startswith("250")
    door.database.close()


async def test_size_and_backlog_are_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    big = b"Subject: x\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 80
    assert (await door.give("fbl@b.test", big)).startswith("552")
    monkeypatch.setattr(reports, "MAX_WAITING", 1)
    assert (await door.give("fbl@b.test")).startswith("250")
    assert (await door.give("fbl@b.test", b"S: 2\r\n\r\n2\r\n")).startswith("452")


async def test_m06_what_goes_round_is_refused(door: Door) -> None:
    hop = b"Received: by mta.test (Mailwright) with ESMTP id x; date\r\n"
    assert (await door.give("fbl@b.test", hop * 7 + b"\r\nx\r\n")).startswith("554 5.4.6")


async def test_a_header_that_is_none_is_taken(door: Door) -> None:
    assert (await door.give("fbl@b.test", b"no header here\r\n\r\nx\r\n")).startswith("250")


async def test_auth_is_not_offered(door: Door) -> None:
    async with listening(door.service) as port, dialogue(port) as client:
        assert "AUTH" not in await client.ask("EHLO mx.test")
        assert (await client.ask("AUTH PLAIN AGEAYg==")).startswith("502")


async def test_a_report_storm_leaves_the_queue_alone(door: Door) -> None:
    """M06: nothing that comes in here ever becomes mail."""
    to = path(door.entry())
    before = door.rows("SELECT COUNT(*) FROM messages")
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(door.give(to, f"S: x\r\n\r\n{number}\r\n".encode()))
    assert door.rows("SELECT COUNT(*) FROM messages") == before
