"""One worker: it opens one connection to a site and carries deliveries over it while there are any.

A transaction is settled before the message of the next one goes over the same connection, so that a
crash repeats at most one message for each connection (RFC 1047); only its commands may go before.
How many workers there are, and what a failure means for the site, is the dispatcher's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime
from functools import partial
from typing import Protocol

from mta.bulk_rest import BulkRest
from mta.core.envelope import Priority
from mta.core.extensions import Extensions
from mta.core.frozen import frozen
from mta.core.outcome import OUR_FAULT, Accepted, Attempt, Outcome, Peer, Unreachable
from mta.core.route import Route
from mta.core.shaping import is_too_many_recipients
from mta.core.transaction import Transaction
from mta.ready_queue import Delivery
from mta.settling import Result, Settler
from mta.site import Site
from mta.smtp_client import NotOpened
from mta.smtp_transaction import Following, Stale
from mta.transactions import TransactionBuilder
from storage import faults
from storage.queue import QueuedEntry, QueuedMessage

logger = logging.getLogger(__name__)


class MailSession(Protocol):
    """An open session: of smtp_transaction.Session, what a worker uses."""

    @property
    def peer(self) -> Peer:
        """Whom it is with."""

    @property
    def extensions(self) -> Extensions:
        """What the peer offers."""

    @property
    def is_open(self) -> bool:
        """Whether it can be given another transaction."""

    async def deliver(
        self, transaction: Transaction, following: Following
    ) -> Sequence[Outcome] | Stale:
        """Return an outcome for each recipient, in the same order."""

    async def close(self) -> None:
        """Take leave. Never fails."""


class SessionOpener(Protocol):
    """Opens sessions, as smtp_client.Connector does."""

    async def connect(self, route: Route) -> MailSession | NotOpened:
        """Return a session with the route, or why there is none."""


@frozen
class Tools:
    """What every worker works with; `now` gives the time (aware, UTC)."""

    connector: SessionOpener
    builder: TransactionBuilder
    settler: Settler
    now: Callable[[], datetime]
    bulk_rest: BulkRest = field(default_factory=BulkRest)


class Supervisor(Protocol):
    """What a worker asks of the dispatcher, and tells it."""

    def take(self, site: Site) -> Delivery | None:
        """Take what a connection is to carry next; None: nothing for now."""

    async def next(self, site: Site) -> Delivery | None:
        """Wait for what a connection is to carry next; None: close it."""

    async def not_opened(self, site: Site, attempt: Attempt) -> None:
        """No connection came about; the worker ends."""

    async def answered(self, site: Site, outcomes: Sequence[Outcome]) -> None:
        """The site has answered a transaction like this."""

    def release(self, site: Site, message: QueuedMessage, entries: int) -> None:
        """So many entries of the message are settled, or back in storage."""


class Worker:
    """One connection from before it is opened until it is closed.

    Attributes:
        is_connecting: it may be cancelled without harm: nothing is in its hands yet.
    """

    __slots__ = (
        "_is_broken_off",
        "_is_last",
        "_max_messages",
        "_prepared",
        "_session",
        "_site",
        "_supervisor",
        "_tools",
        "is_connecting",
    )

    def __init__(
        self, site: Site, tools: Tools, supervisor: Supervisor, *, max_messages: int
    ) -> None:
        self._site = site
        self._tools = tools
        self._supervisor = supervisor
        self._max_messages = max_messages
        self._session: MailSession | None = None
        self._is_broken_off = False
        self._is_last = False
        self._prepared: _Prepared | None = None
        self.is_connecting = True

    async def break_off(self) -> None:
        """Cut the connection in the middle of what it does.

        What the peer cannot have taken goes back to storage untried; what it may have taken becomes
        Ambiguous, and an attempt.
        """
        self._is_broken_off = True
        if self._session is not None:
            await self._session.close()

    async def run(self) -> None:
        """Connect and deliver; returns when the connection is closed."""
        started_at = self._tools.now()
        opened = await self._open()
        self.is_connecting = False
        if isinstance(opened, NotOpened):
            attempt = Attempt(opened.outcome, opened.peer, started_at, self._tools.now())
            await self._supervisor.not_opened(self._site, attempt)
            return
        self._session = opened
        self._site.established += 1
        try:
            await self._use(opened)
        finally:
            self._site.established -= 1
            if self._prepared is not None:
                self._site.ready.put_back(self._prepared.delivery)
            await opened.close()

    async def _open(self) -> MailSession | NotOpened:
        try:
            return await self._tools.connector.connect(self._site.route)
        except Exception:
            logger.exception("%s: we failed at connecting", self._site.route.site)
            return NotOpened(OUR_FAULT, Peer(self._site.route.site))

    async def _use(self, session: MailSession) -> None:
        site = self._site
        for number in range(self._max_messages):
            self._is_last = number == self._max_messages - 1
            delivery = await self._next()
            if delivery is None or not await self._deliver(session, delivery):
                return
            if not session.is_open or site.connections > site.window.size:
                return

    async def _next(self) -> Delivery | None:
        """Return what comes next: first that whose commands are ahead.

        Bulk among it rests too, as long as there is another connection for what it makes way for.
        """
        if self._prepared is not None:
            delivery = self._prepared.delivery
            if delivery.entries[0].priority is Priority.BULK and self._site.idle:
                await self._tools.bulk_rest.over()
            return delivery
        return await self._supervisor.next(self._site)

    async def _deliver(self, session: MailSession, delivery: Delivery) -> bool:
        """Carry out a delivery, in several transactions when the peer wants fewer recipients.

        Returns:
            False when the session turned out to be over before it began; what is left of the
            delivery is in the ready queue again.
        """
        message, entries = delivery.message, delivery.entries
        while entries:
            started_at = self._tools.now()
            outcomes = await self._transact(session, message, entries, started_at)
            self._end_rest(entries[0].priority)
            if isinstance(outcomes, Stale):
                delivery.entries = entries
                self._site.ready.put_back(delivery)
                return False
            share = _share_out(entries, outcomes, is_broken_off=self._is_broken_off)
            ended_at = self._tools.now()
            has_peer_dsn = session.extensions.dsn and not self._tools.builder.has_own_path(message)
            await self._tools.settler.settle(
                Result(
                    message,
                    entry,
                    Attempt(outcome, session.peer, started_at, ended_at),
                    has_peer_dsn,
                )
                for entry, outcome in share.tried
            )
            if share.untried:
                await self._tools.settler.give_back(share.untried, ended_at)
            self._supervisor.release(self._site, message, len(entries) - len(share.again))
            await self._supervisor.answered(self._site, outcomes)
            entries = share.again
        return True

    def _end_rest(self, sent: Priority) -> None:
        """Let bulk go on when all that it made way for is with the peer, or has failed."""
        if sent is Priority.TRANSACTIONAL and not self._site.ready.has(Priority.TRANSACTIONAL):
            self._tools.bulk_rest.end()

    async def _transact(
        self,
        session: MailSession,
        message: QueuedMessage,
        entries: list[QueuedEntry],
        now: datetime,
    ) -> Sequence[Outcome] | Stale:
        prepared, self._prepared = self._prepared, None
        transaction: Transaction | Unreachable
        try:
            if prepared is not None:
                transaction = prepared.transaction
            else:
                transaction = await self._tools.builder.build(message, entries, now)
            if isinstance(transaction, Unreachable):
                return (transaction,) * len(entries)
            outcomes = await session.deliver(
                transaction, partial(self._prepare, entries[0].priority)
            )
        except Exception:
            logger.exception("email %s: we failed at an attempt", message.public_id)
            await session.close()  # nobody knows what it is in the middle of
            return (OUR_FAULT,) * len(entries)
        faults.reach("after_remote_250")
        return outcomes

    async def _prepare(self, current: Priority) -> Transaction | None:
        """Take the next delivery while one is under way, where there is one for each connection.

        Its commands travel with the message before it, which saves a round trip and a write; it
        begins only when that message is settled. So urgent mail is not put behind bulk.
        """
        site = self._site
        if self._tools.bulk_rest.is_on:
            self._end_rest(current)  # the message goes out before anybody hears of it
            return None
        has_enough = len(site.ready) > site.connections and site.connections <= site.window.size
        is_hindered = current is Priority.BULK and site.ready.has(Priority.TRANSACTIONAL)
        if self._is_last or self._is_broken_off or is_hindered or not has_enough:
            return None
        delivery = self._supervisor.take(site)
        if delivery is None:
            return None
        transaction = None
        if delivery.message.message.data is not None:  # else others would wait for the disk
            transaction = await self._ahead(delivery)
        if not isinstance(transaction, Transaction):
            site.ready.put_back(delivery)
            return None
        self._prepared = _Prepared(delivery, transaction)
        return transaction

    async def _ahead(self, delivery: Delivery) -> Transaction | Unreachable | None:
        """Return its transaction; None where we fail at it, which its own turn will tell of."""
        now = self._tools.now()
        try:
            return await self._tools.builder.build(delivery.message, delivery.entries, now)
        except Exception:  # noqa: BLE001 - it is raised again
            return None


@frozen
class _Prepared:
    """A delivery in a worker's hands whose turn comes next, and its transaction."""

    delivery: Delivery
    transaction: Transaction


@frozen
class _Share:
    """The entries of a transaction by what is to be done with them.

    Attributes:
        tried: to be settled with these outcomes.
        again: belong in another transaction right away, which is no attempt.
        untried: cut off by us before the peer had the message.
    """

    tried: list[tuple[QueuedEntry, Outcome]]
    again: list[QueuedEntry]
    untried: list[QueuedEntry]


def _share_out(
    entries: list[QueuedEntry], outcomes: Sequence[Outcome], *, is_broken_off: bool
) -> _Share:
    share = _Share([], [], [])
    has_accepted = any(isinstance(outcome, Accepted) for outcome in outcomes)
    for entry, outcome in zip(entries, outcomes, strict=True):
        if has_accepted and is_too_many_recipients(outcome):
            share.again.append(entry)
        elif is_broken_off and isinstance(outcome, Unreachable):
            share.untried.append(entry)
        else:
            share.tried.append((entry, outcome))
    return share
