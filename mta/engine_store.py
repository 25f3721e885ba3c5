"""What the engine asks of storage, each as one call that waits out trouble.

A full disk or a locked file must not forget what a server has answered, so every call is repeated
until it works. Errors that only a restart or a person can mend are raised: a damaged file, a failed
sync (storage/database.py), a fault of our own SQL. Tests put a fake in the place of this class.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from mta.batching import Batcher
from mta.core.disposition import Why
from mta.core.frozen import frozen
from mta.core.suppression import NO_SUPPRESSION, SuppressionPolicy
from mta.logs import log_warning
from storage import directives, domains, engine_state, faults, queue, return_hosts
from storage.database import Connection, Database
from storage.domains import DkimKeyRecord
from storage.errors import STORAGE_TROUBLE, StorageFull, StorageUnavailable
from storage.queue import Claim, ClaimRequest, DomainDue, Settlement

T = TypeVar("T")
Work = Callable[[Connection], T]

FIRST_WAIT = 0.5
MAX_WAIT = 30.0
"""Seconds between two tries of a call that storage could not carry out; doubling."""

logger = logging.getLogger(__name__)


@frozen
class Marks:
    """How far the engine has read: the newest entry and directive it knows of (row ids)."""

    entry_id: int
    directive_id: int


@frozen
class News:
    """Domains whose entries may be due sooner than is known, and the marks to go on from.

    Of campaigns (row numbers), and of entries (row ids), whatever is claimed is to come back to
    storage.
    """

    due: Sequence[DomainDue]
    marks: Marks
    campaigns: frozenset[int] = frozenset()
    entries: frozenset[int] = frozenset()


@frozen
class KeyBook:
    """What mail of a domain is sent with.

    Attributes:
        keys: all DKIM keys by signing domain.
        version: of the set (domains.keys_version).
        return_hosts: tenant and sender domain -> the host of its own that return paths are in.
    """

    keys: Mapping[str, Sequence[DkimKeyRecord]]
    version: int
    return_hosts: Mapping[tuple[int, str], str] = field(default_factory=dict)

    def return_host(self, tenant_id: int, sender_domain: str) -> str:
        """Return the host for return paths of a domain, else of its closest parent; "" for none."""
        while "." in sender_domain and self.return_hosts:
            if host := self.return_hosts.get((tenant_id, sender_domain)):
                return host
            sender_domain = sender_domain.partition(".")[2]
        return ""


class EngineStore:
    """The queue as the engine sees it."""

    def __init__(
        self,
        database: Database,
        owner: str,
        *,
        on_events: Callable[[], object] = bool,
        on_told: Callable[[], object] = bool,
        policy: SuppressionPolicy = NO_SUPPRESSION,
    ) -> None:
        """Take the collaborators.

        Args:
            database: the queue.
            owner: the name of this process that claims are recorded under.
            on_events: called when the journal has grown by what was settled.
            on_told: called when senders are to be told of something.
            policy: which failures suppress their addresses; the default suppresses none.
        """
        self._on_told = on_told
        self._policy = policy
        self._database = database
        self._owner = owner
        self._on_events = on_events
        self._settling: Batcher[Settlement] = Batcher(self._settle)

    async def begin(self, now: datetime) -> News:
        """Free what this process had claimed before it died, and return the whole schedule."""
        owner = self._owner
        await self._write(lambda connection: queue.free_claims(connection, now, owner=owner))
        return await self._read(_schedule)

    async def news(self, since: Marks) -> News:
        """Return what was added or changed since then."""
        return await self._read(lambda connection: _news(connection, since))

    async def after_set_back(self, now: datetime, longest: timedelta) -> News:
        """See to mail that is due too late because the clock was set back.

        longest: wait between two attempts.
        """
        await self._write(lambda connection: queue.hasten(connection, now, longest))
        return await self._read(_schedule)

    async def claim(self, requests: Sequence[ClaimRequest], now: datetime) -> Claim:
        """Claim due entries for this process."""
        owner = self._owner
        claim = await self._note(
            lambda connection: queue.claim(connection, requests, now=now, owner=owner)
        )
        faults.reach("after_claim")
        return claim

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write down what became of attempts, in one go with all others that end meanwhile."""
        faults.reach("before_settle")
        await self._settling.add(settlements)

    async def _settle(self, settlements: Sequence[Settlement]) -> None:
        try:
            await self._note(partial(queue.settle, settlements=settlements, policy=self._policy))
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("%d attempts cannot be settled together", len(settlements))
            await self._settle_apart(settlements)
        faults.reach("after_settle")
        self._on_events()
        if any(settlement.tell for settlement in settlements):
            self._on_told()

    async def _settle_apart(self, settlements: Sequence[Settlement]) -> None:
        """Settle one after the other, and what fails again without a word of strangers'."""
        for one in settlements:
            try:
                await self._note(partial(queue.settle, settlements=[one], policy=self._policy))
            except STORAGE_TROUBLE:
                raise
            except Exception:
                logger.exception("entry %d: held or delivered without words", one.entry_id)
                plain = queue.without_words(one.entry_id, one.attempts, one.attempt)
                await self._note(partial(queue.settle, settlements=[plain]))

    async def give_back(self, entry_ids: Sequence[int], due_at: datetime, why: Why) -> None:
        """Let claimed entries wait again, untried."""
        await self._write(
            lambda connection: queue.give_back(connection, entry_ids, due_at=due_at, why=why)
        )

    async def suspend(self, site: str, until: datetime, why: Why, detail: str) -> None:
        """Record that a site is left alone, for people to see."""
        await self._write(
            lambda connection: engine_state.suspend(connection, site, until, why, detail)
        )

    async def lift(self, site: str) -> None:
        """Record that a site is no longer left alone."""
        await self._write(lambda connection: engine_state.lift(connection, site))

    async def key_book(self) -> KeyBook:
        """Return all signing keys."""
        return await self._read(_key_book)

    async def _write(self, work: Work[T]) -> T:
        return await self._patiently(self._database.write, work)

    async def _note(self, work: Work[T]) -> T:
        return await self._patiently(self._database.note, work)

    async def _read(self, work: Work[T]) -> T:
        return await self._patiently(self._database.read, work)

    async def _patiently(self, call: Callable[[Work[T]], Awaitable[T]], work: Work[T]) -> T:
        wait = FIRST_WAIT
        while True:
            try:
                return await call(work)
            except (StorageFull, StorageUnavailable) as error:
                if self._database.is_failed:
                    raise
                log_warning("storage_trouble", error=error, retry_in=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_WAIT)


def _schedule(connection: Connection) -> News:
    marks = Marks(queue.last_entry_id(connection), directives.last_id(connection))
    return News(queue.schedule(connection), marks)


def _news(connection: Connection, since: Marks) -> News:
    due, entry_id = queue.new_since(connection, since.entry_id)
    wishes, directive_id = directives.after(connection, since.directive_id)
    for domain in {wish.target for wish in wishes if wish.kind == directives.DUE_CHANGED}:
        due_at = queue.next_due(connection, domain)
        if due_at is not None:
            due.append(DomainDue(domain, due_at))
    held, suppressed = (
        frozenset(int(one.target) for one in wishes if one.kind == kind)
        for kind in (directives.CAMPAIGN_HELD, directives.SUPPRESSED)
    )
    return News(due, Marks(entry_id, directive_id), held, suppressed)


def _key_book(connection: Connection) -> KeyBook:
    return KeyBook(
        domains.signing_keys(connection),
        domains.keys_version(connection),
        return_hosts.used(connection),
    )
