"""Looks at the DNS records of sender domains: when they are due, and when somebody asks.

A look ends in one transaction that writes what was found, whether the domain is verified, the
switch to the next DKIM keys, and the event. The API asks for a look by a call: both are in one
process, storage has the result either way, and nobody has to poll for it.

Not here: the lookups (domain_lookup.py), the decisions (core/domain_standing.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from config.settings import Settings
from mta.core.domain_records import Instance
from mta.core.domain_report import report_json
from mta.dkim_keys import KeyFiles
from mta.domain_lookup import look_at
from mta.logs import log_event
from mta.resolver import Resolver
from storage import domain_checks, domains
from storage.database import Database
from storage.domain_checks import CheckRules, Concluded, Look
from storage.domains import DkimKeyRecord, DomainRecord
from storage.errors import STORAGE_TROUBLE, StorageFull, StorageUnavailable

AT_ONCE = 10
"""Domains looked at at the same time because they are due, and as many because somebody asks."""
LONGEST_SLEEP = 60.0
"""Seconds until it is looked whether something is due; a lost kick costs no more."""
STORAGE_PAUSE = 10.0
"""Seconds for which storage is left alone after it has failed."""
FAULT_PAUSE = timedelta(minutes=15)
"""Until the next look at a domain at which we have failed."""
LEAST_KEY_LIFE = timedelta(days=7)
"""How long the record of a retired key stays at least: other servers queue mail too."""

logger = logging.getLogger(__name__)


def check_rules(settings: Settings) -> CheckRules:
    """Return how often to look, and how long a retired key stays, by the configuration."""
    return CheckRules(
        interval=settings.domains.check_interval,
        key_life=max(LEAST_KEY_LIFE, settings.delivery.retry.lifetime),
    )


async def take_look(domain: DomainRecord, instance: Instance, resolver: Resolver) -> Look:
    """Look all records of a domain up; storage.domain_checks writes down what follows."""
    report = await look_at(domain.facts, instance, resolver)
    return Look(domain.keys, report_json(report), report.is_verified, report.is_next_seen)


class DomainVerifier:
    """Keeps what is known about all domains fresh, and their keys."""

    def __init__(  # noqa: PLR0913 - collaborators
        self,
        database: Database,
        resolver: Resolver,
        key_files: KeyFiles,
        *,
        instance: Instance,
        rules: CheckRules,
        now: Callable[[], datetime],
        on_events: Callable[[], object],
    ) -> None:
        """Take the collaborators; build it on the running event loop.

        Args:
            database: has the domains.
            resolver: names the nameservers to ask.
            key_files: makes and removes private keys.
            instance: what the records of all domains depend on.
            rules: how often to look.
            now: the current time (aware, UTC).
            on_events: called when the journal has grown.
        """
        self._database = database
        self._resolver = resolver
        self._key_files = key_files
        self._instance = instance
        self._rules = rules
        self._now = now
        self._on_events = on_events
        self._kicked = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)

    def kick(self) -> None:
        """Say that a domain has come or changed."""
        self._kicked.set()

    async def run(self) -> None:
        """Look at domains when they are due, until cancelled."""
        while True:
            self._kicked.clear()
            try:
                seconds = await self._look_at_due()
            except* (StorageFull, StorageUnavailable) as errors:
                logger.warning("domains wait for storage: %s", errors.exceptions[0])
                seconds = STORAGE_PAUSE
            await self._sleep(seconds)

    async def verify(self, domain_id: str) -> None:
        """Look at a domain now and write down what follows; nothing when there is none such.

        Takes as long as domain_lookup.PATIENCE at most, and waits for its turn before.

        Raises:
            StorageError: nothing was written.
        """
        domain = await self._read(domain_id)
        if domain is not None:
            async with self._turns:
                await self._verify(domain)

    async def make_keys(self, name: str, selector: str) -> tuple[DkimKeyRecord, ...]:
        """Make the keys that a domain gets; see KeyFiles.make."""
        return await self._key_files.make(name, selector)

    async def remove_keys(self, keys: Sequence[DkimKeyRecord]) -> None:
        """Remove the private halves of keys."""
        await self._key_files.remove(keys)

    async def _look_at_due(self) -> float:
        """Look at what is due; return how many seconds nothing will be."""
        due = await self._database.read(
            lambda db: domain_checks.due(db, self._now(), limit=AT_ONCE)
        )
        async with asyncio.TaskGroup() as group:
            for domain_id in due:
                group.create_task(self._verify_due(domain_id), name=domain_id)
        next_due = await self._database.read(domain_checks.next_due)
        if next_due is None:
            return LONGEST_SLEEP
        return min((next_due - self._now()).total_seconds(), LONGEST_SLEEP)

    async def _verify_due(self, domain_id: str) -> None:
        """Look at one of several; what nobody expected to go wrong with it is only its own."""
        try:
            domain = await self._read(domain_id)
            if domain is not None:
                await self._verify(domain)
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("domain %s: no look at its records", domain_id)
            until = self._now() + FAULT_PAUSE
            await self._database.write(lambda db: domain_checks.put_off(db, domain_id, until=until))

    async def _read(self, domain_id: str) -> DomainRecord | None:
        return await self._database.read(lambda db: domains.get_domain(db, None, domain_id))

    async def _verify(self, domain: DomainRecord) -> None:
        look = await take_look(domain, self._instance, self._resolver)
        concluded = await self._database.write(
            lambda db: domain_checks.conclude(
                db, domain.id, look, rules=self._rules, now=self._now()
            )
        )
        if concluded is not None:
            await self._follow_up(concluded)

    async def _follow_up(self, concluded: Concluded) -> None:
        """Do what a look leads to outside storage."""
        name = concluded.domain.name
        await self._key_files.remove(concluded.forgotten)
        if concluded.is_switched:
            log_event("dkim_switched", domain=name)
        if concluded.event is not None:
            log_event(concluded.event.value, domain=name)
            self._on_events()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._kicked.wait()
        except TimeoutError:
            return
