"""Looks that are due, looks that are asked for, and what follows from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mta import domain_verification
from mta.core.domain_records import Instance, KeyState, dkim_record
from mta.core.domain_standing import DomainStatus
from mta.core.event import EventKind
from mta.dkim_keys import ED25519, KeyFiles
from mta.domain_verification import DomainVerifier, take_look
from mta.resolver import Resolver
from storage import dkim_rotation, domain_checks, domains, events
from storage.database import Database
from storage.domain_checks import CheckRules, Look
from storage.domains import DkimKeyRecord, DomainRecord
from tests.support.databases import new_database
from tests.support.fake_dns import FakeDns, Fault

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Rig:
    """A verifier with its database and two nameservers of the same content.

    Attributes:
        patience: for each look into the DNS.
    """

    database: Database
    servers: tuple[FakeDns, FakeDns]
    data_dir: Path
    patience: timedelta
    now: datetime = NOW
    told: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.key_files = KeyFiles(self.data_dir, [ED25519])
        self.verifier = DomainVerifier(
            self.database,
            Resolver(
                [server.endpoint for server in self.servers],
                timeout=self.patience,
                max_queries=50,
                clock=asyncio.get_running_loop().time,
            ),
            self.key_files,
            instance=Instance("mta.test"),
            rules=CheckRules(DAY, 7 * DAY),
            now=lambda: self.now,
            on_events=self.told.set,
        )

    async def add(self, name: str) -> DomainRecord:
        keys = await self.verifier.make_keys(name, "s1")
        return await self.database.write(
            lambda db: domains.add_domain(
                db, tenant_id=1, domain_id=f"dom_{name}", name=name, keys=keys, now=self.now
            )
        )

    def domain(self, name: str = "a.test") -> DomainRecord:
        found = self.database.read_now(lambda db: domains.get_domain(db, None, name))
        assert found is not None
        return found

    def publish(self, name: str = "a.test", *, server: int | None = None) -> None:
        """Publish the keys of a domain, on one server or on both."""
        domain = self.domain(name)
        for key in domain.facts.keys:
            record = dkim_record(name, key)
            for one in self.servers if server is None else [self.servers[server]]:
                one.records[record.name] = {"TXT": [f'"{record.value}"']}

    def kinds(self) -> list[EventKind]:
        found = self.database.read_now(lambda db: events.read(db, after=0, limit=99))
        return [event.kind for event in found]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.verifier.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def set_up(directory: Path, patience: timedelta) -> AsyncIterator[Rig]:
    database = new_database(directory)
    async with FakeDns({}) as first, FakeDns({}) as second:
        yield Rig(database, (first, second), directory, patience)
    database.close()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with set_up(tmp_path / "data", timedelta(seconds=5)) as rig:
        yield rig


@pytest.fixture
async def hasty_rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """One that soon gives up on nameservers that do not answer."""
    async with set_up(tmp_path / "data", timedelta(seconds=1)) as rig:
        yield rig


async def test_a_look_that_is_asked_for(rig: Rig) -> None:
    domain = await rig.add("a.test")
    await rig.verifier.verify(domain.id)
    assert rig.domain().standing.status is DomainStatus.PENDING
    rig.publish()
    await rig.verifier.verify(domain.id)
    assert rig.domain().standing.status is DomainStatus.VERIFIED
    assert rig.kinds() == [EventKind.DOMAIN_VERIFIED]
    assert rig.told.is_set()
    await rig.verifier.verify("dom_none")


async def test_what_is_due_is_looked_at_and_the_rest_is_not(rig: Rig) -> None:
    await rig.add("a.test")
    rig.publish()
    rig.now += DAY
    await rig.add("new.test")
    async with rig.running():
        await asyncio.wait_for(rig.told.wait(), 30)
    assert rig.domain().standing.status is DomainStatus.VERIFIED
    assert rig.domain("new.test").standing.status is DomainStatus.NOT_STARTED


async def test_one_at_which_we_fail_holds_up_no_other(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(domain: DomainRecord, instance: Instance, resolver: Resolver) -> Look:
        if domain.name == "bad.test":
            raise LookupError("nobody expected this")
        return await take_look(domain, instance, resolver)

    monkeypatch.setattr(domain_verification, "take_look", fail)
    for name in ("bad.test", "a.test"):
        await rig.add(name)
    rig.publish()
    rig.now += DAY
    await rig.verifier._look_at_due()
    assert "nobody expected this" in caplog.text
    assert rig.domain().standing.status is DomainStatus.VERIFIED
    due = rig.database.read_now(lambda db: domain_checks.due(db, rig.now, limit=9))
    assert due == []
    assert rig.domain("bad.test").standing.status is DomainStatus.NOT_STARTED


async def test_a_damaged_domain_does_not_keep_the_others_from_their_looks(rig: Rig) -> None:
    for name in ("bad.test", "a.test"):
        await rig.add(name)
    await rig.database.write(
        lambda db: db.execute("UPDATE domains SET created_at = '{' WHERE name = 'bad.test'")
    )
    rig.publish()
    rig.now += DAY
    await rig.verifier._look_at_due()
    assert rig.domain().standing.status is DomainStatus.VERIFIED
    due = rig.database.read_now(lambda db: domain_checks.due(db, rig.now, limit=9))
    assert due == []


async def test_a_kick_brings_the_next_look_forward(rig: Rig) -> None:
    await rig.add("a.test")
    rig.publish()
    async with rig.running():
        rig.now += timedelta(minutes=2)
        rig.verifier.kick()
        await asyncio.wait_for(rig.told.wait(), 30)
    assert rig.kinds() == [EventKind.DOMAIN_VERIFIED]


async def test_a_dns_in_trouble_never_takes_the_standing(hasty_rig: Rig) -> None:
    rig = hasty_rig
    domain = await rig.add("a.test")
    rig.publish()
    await rig.verifier.verify(domain.id)
    for fault in (Fault.SERVFAIL, Fault.TIMEOUT, Fault.REFUSED):
        for server in rig.servers:
            server.records["s1._domainkey.a.test"] = fault
        await rig.verifier.verify(domain.id)
    assert rig.domain().standing.status is DomainStatus.VERIFIED
    for server in rig.servers:
        del server.records["s1._domainkey.a.test"]
    await rig.verifier.verify(domain.id)
    assert rig.domain().standing.status is DomainStatus.VERIFIED  # once is no proof
    await rig.verifier.verify(domain.id)
    assert rig.kinds() == [EventKind.DOMAIN_VERIFIED, EventKind.DOMAIN_FAILED]


async def rotate(rig: Rig) -> tuple[DkimKeyRecord, ...]:
    keys = await rig.verifier.make_keys("a.test", "s2")
    await rig.database.write(lambda db: dkim_rotation.begin(db, "dom_a.test", keys, rig.now))
    return keys


async def test_a_rotation_waits_for_every_server(rig: Rig) -> None:
    await rig.add("a.test")
    rig.publish()
    await rotate(rig)

    async def signing() -> list[str]:
        await rig.verifier.verify("dom_a.test")
        return [key.selector for key in rig.domain().keys_in(KeyState.ACTIVE)]

    assert await signing() == ["s1"]
    rig.publish(server=0)
    assert await signing() == ["s1"]
    rig.publish(server=1)
    assert await signing() == ["s2"]
    assert rig.domain().standing.status is DomainStatus.VERIFIED

    old, new = (rig.data_dir / key.key_file for key in rig.domain().keys)
    rig.now += 8 * DAY
    await rig.verifier.verify("dom_a.test")
    assert [key.selector for key in rig.domain().keys] == ["s2"]
    assert (old.exists(), new.exists()) == (False, True)


async def test_keys_are_removed(rig: Rig) -> None:
    keys = await rig.verifier.make_keys("a.test", "s1")
    await rig.verifier.remove_keys(keys)
    await rig.verifier.remove_keys(keys)
    assert not (rig.data_dir / keys[0].key_file).exists()
