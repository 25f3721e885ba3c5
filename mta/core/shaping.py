"""How hard a site may be worked: connections, the window that feedback moves, suspension, room.

A site is where the TCP goes (all domains that share an MX set), so that is what is shaped. All of
this is decisions on values; the sites themselves are in mta/site.py and the sockets elsewhere.

The window follows the scheduler of Postfix (its SCHEDULER_README): 1/N feedback up, at the end of a
run of successes; 1/N feedback down, at the start of a run of failures.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mta.core.bounce import BounceClass, classify
from mta.core.frozen import frozen
from mta.core.outcome import Accepted, Ambiguous, Command, Outcome, Refused, Stage, Unreachable
from mta.core.retry import RetrySchedule

RAMP_DEPTH = 5
"""Deliveries that may wait for each open connection before another one is worth its handshake."""
RAMP_PATIENCE = timedelta(seconds=1)
"""A delivery that has waited so long is worth another connection however short the queue is."""
KEEP_FREE_FROM = 4
"""Connections that a site bears from which on one of them is not for bulk: urgent mail waits for no
server that takes its time over a newsletter, and the newsletter has most of them still."""
DEAD_AFTER = 3
"""Failures in a row, at least, before a site that can be connected to counts as dead."""
REGRET = 25
"""Rounds of successes that a failure costs before the window grows again."""
READY_SPAN = timedelta(seconds=10)
"""So much work of a site is kept in memory: enough never to wait for storage, and little enough
that an urgent message, which overtakes what is in storage only, is not behind minutes of bulk."""
MIN_READY = 100
"""Entries that a site may have in memory however slow it is, and until its pace is known."""
SUSPENSION = RetrySchedule(first=timedelta(seconds=30), ceiling=timedelta(minutes=15), jitter=0.25)
"""How long a site that failed is left alone, the first and the following times in a row."""


def suspensions_within(retry: RetrySchedule) -> RetrySchedule:
    """Return SUSPENSION, shortened where the entries' own retries come sooner."""
    return replace(
        SUSPENSION,
        first=min(SUSPENSION.first, retry.first),
        ceiling=min(SUSPENSION.ceiling, retry.ceiling),
    )


@frozen
class Limits:
    """What one engine does at once, at most.

    Attributes:
        max_connections: to all sites together. A site may hold as many as it leaves free, so that
            slow sites cannot take them all; a site's first connection needs one free only.
        max_connections_per_site: the window never grows past it.
        max_messages_per_connection: transactions before a connection is closed.
        max_recipients_per_transaction: RCPT commands in one transaction (RFC 5321 4.5.3.1.8).
        max_ready_per_site: queue entries in memory for one site.
        max_ready: weight in memory for all sites together (weight_of); shared like connections.
        idle_timeout: how long an open connection waits for more work.
        suspension: how long a dead site is left alone.
    """

    max_connections: int = 200
    max_connections_per_site: int = 20
    max_messages_per_connection: int = 100
    max_recipients_per_transaction: int = 100
    max_ready_per_site: int = 1000
    max_ready: int = 20_000
    idle_timeout: timedelta = timedelta(seconds=5)
    suspension: RetrySchedule = SUSPENSION


def weight_of(size: int) -> int:
    """Return what a message of `size` bytes in memory counts for: one for each 4 KiB begun."""
    return 1 + size // 4096


@frozen
class Window:
    """How many connections a site bears, as far as its answers tell.

    Attributes:
        size: connections, at least 1.
        credit: successes since the size last changed; `size` of them make it grow by one. Negative
            after a failure: what has just been too many is not tried again soon.
        grace: failures that are still forgiven before the size shrinks again.
        failed: failures since the last success.
    """

    size: int = 5
    credit: int = 0
    grace: int = 0
    failed: int = 0

    def after_success(self, limit: int) -> Window:
        """Return the window after a transaction that went well; `limit` caps its size."""
        if self.credit + 1 < self.size:
            return Window(self.size, self.credit + 1, self.grace)
        if self.size < limit:
            return Window(self.size + 1)
        return Window(self.size, self.credit, self.grace) if self.failed else self

    def after_failure(self, borne: int) -> Window:
        """Return the window after the site failed: smaller at once, then only after `size` more.

        Args:
            borne: connections that it has open, when it refused one more; the size otherwise.
        """
        if self.grace:
            return Window(self.size, self.credit, self.grace - 1, self.failed + 1)
        size = max(1, min(self.size - 1, borne))
        return Window(size, -REGRET * size, size, self.failed + 1)

    @property
    def is_dead(self) -> bool:
        """True when as many failures as connections came in a row, so nobody gets through."""
        return self.failed >= max(self.size, DEAD_AFTER)


PROBE = Window(size=1)
"""The window of a site that comes back from a suspension: one connection shows whether it lives."""


@frozen
class Good:
    """The site took a message."""


@frozen
class Neutral:
    """Something about the message, its sender or a recipient; nothing about the site."""


@frozen
class Bad:
    """The site is in trouble, or wants less from us; `outcome` says it best."""

    outcome: Outcome


Verdict = Good | Neutral | Bad
_GOOD, _NEUTRAL = Good(), Neutral()
_OVERLOAD = {BounceClass.RATE_LIMIT, BounceClass.REMOTE_ERROR}


def judge(outcomes: Sequence[Outcome]) -> Verdict:
    """Return what the outcomes of one transaction, one for each recipient, tell about the site.

    421 anywhere, a broken session, and a temporary refusal of MAIL that speaks of load are bad.
    Greylisting, or any other refusal of one recipient, must not slow the others down.
    """
    for outcome in outcomes:
        if isinstance(outcome, Accepted):
            return _GOOD
    bad = next(filter(_is_bad, outcomes), None)
    return _NEUTRAL if bad is None else Bad(bad)


def _is_bad(outcome: Outcome) -> bool:
    match outcome:
        case Refused(reply, command):
            overloaded = command is Command.MAIL and classify(reply, command) in _OVERLOAD
            return reply.code == 421 or (reply.is_transient and overloaded)
        case Unreachable(stage):
            return stage not in {Stage.LOCAL, Stage.DAMAGED}
        case Ambiguous():
            return True
        case Accepted():
            return False


def is_too_many_recipients(outcome: Outcome) -> bool:
    """Return whether a recipient belongs in another transaction (RFC 5321 4.5.3.1.10).

    452 without an enhanced status may mean something else; trying once more at once does no harm,
    provided that some recipient of the transaction was accepted.
    """
    match outcome:
        case Refused(reply, Command.RCPT):
            return reply.code in {452, 552} and (
                reply.enhanced in {"4.5.3", "5.5.3"} or (reply.code == 452 and not reply.enhanced)
            )
        case _:
            return False


def suspended_until(
    schedule: RetrySchedule, *, strikes: int, now: datetime, draw: float
) -> datetime:
    """Return until when a dead site is left alone.

    Args:
        schedule: Limits.suspension.
        strikes: suspensions in a row, this one included; at least 1.
        now: aware, UTC.
        draw: uniform in [0, 1), so that sites do not come back together.
    """
    due = schedule.next_attempt(eligible_at=now, attempts=strikes, now=now, draw=draw)
    return due or now


class Holding(enum.Enum):
    """What keeps a site from getting more connections or more work."""

    EMPTY = "empty"
    """Nothing is ready."""
    SUSPENDED = "suspended"
    """It failed lately and is left alone for a while."""
    KEEPING_UP = "keeping_up"
    """The open connections are enough for what is ready."""
    WINDOW = "window"
    """Its own answers keep the number of connections down."""
    SITE_LIMIT = "site_limit"
    """max_connections_per_site."""
    ENGINE_LIMIT = "engine_limit"
    """max_connections, or this site's share of it."""
    KEPT_FREE = "kept_free"
    """Only bulk is ready, and one more connection is kept for urgent mail."""
    READY_FULL = "ready_full"
    """max_ready_per_site, or this site's share of the memory."""


@frozen
class SiteState:
    """One site at one moment.

    Attributes:
        ready: deliveries that wait for a connection.
        oldest_at: since when the first of them waits (aware, UTC); None when nothing is ready.
        connections: open or being opened.
        opening: those of them that are being opened.
        window: connections that its answers allow.
        has_urgent: transactional mail is among what is ready.
        suspended_until: None when it is not suspended; a time in the past counts as None.
    """

    ready: int
    oldest_at: datetime | None
    connections: int
    opening: int
    window: int
    has_urgent: bool
    suspended_until: datetime | None = None


@frozen
class Open:
    """Another connection may be opened now."""


@frozen
class Wait:
    """Not now.

    Attributes:
        reason: the one limit that holds.
        until: when to ask again even if nothing happens before; None when only an event helps.
    """

    reason: Holding
    until: datetime | None = None


def bulk_connections(window: int, limits: Limits) -> int:
    """Return how many of a site's connections may carry bulk at the same time, at least 1.

    window: connections that its answers allow.
    """
    borne = min(window, limits.max_connections_per_site)
    return borne - 1 if borne >= KEEP_FREE_FROM else borne


def may_open(site: SiteState, limits: Limits, *, connections: int, now: datetime) -> Open | Wait:
    """Decide whether a site gets another connection.

    Args:
        site: the site now.
        limits: the engine's.
        connections: open or being opened to all sites together.
        now: aware, UTC.
    """
    if site.oldest_at is None:
        return Wait(Holding.EMPTY)
    if site.suspended_until is not None and now < site.suspended_until:
        return Wait(Holding.SUSPENDED, site.suspended_until)
    if site.connections and (enough := _has_enough(site, limits, site.oldest_at, now)):
        return enough
    free = limits.max_connections - connections
    return Open() if free > site.connections else Wait(Holding.ENGINE_LIMIT)


def _has_enough(site: SiteState, limits: Limits, oldest_at: datetime, now: datetime) -> Wait | None:
    """Return why the connections that a site has are enough; None when they are not."""
    if site.connections >= limits.max_connections_per_site:
        return Wait(Holding.SITE_LIMIT)
    if site.connections >= site.window:
        return Wait(Holding.WINDOW)
    if not site.has_urgent and site.connections >= bulk_connections(site.window, limits):
        return Wait(Holding.KEPT_FREE)
    if site.ready <= site.opening:
        return Wait(Holding.KEEPING_UP)
    patience_ends = oldest_at + RAMP_PATIENCE
    if site.ready <= RAMP_DEPTH * site.connections and now < patience_ends:
        return Wait(Holding.KEEPING_UP, patience_ends)
    return None


@frozen
class Load:
    """What one site has in memory, and how fast it works that off.

    Attributes:
        entries: waiting or in a transaction.
        weight: of those entries (weight_of).
        rate: entries finished in a second when it last had plenty to do; 0 when that is unknown.
    """

    entries: int
    weight: int
    rate: float


def room(load: Load, limits: Limits, *, total_weight: int) -> int:
    """Return how many more entries a site may have in memory; 0 when it has enough for now.

    A site is filled up when it has worked off half, so that entries come in batches. It may take
    half of the memory that is free: many slow sites together leave room for one more.

    Args:
        load: of the site.
        limits: the engine's.
        total_weight: of the entries of all sites.
    """
    span = max(MIN_READY, int(load.rate * READY_SPAN.total_seconds()))
    target = min(span, limits.max_ready_per_site)
    if load.entries > target // 2:
        return 0
    share = (limits.max_ready - total_weight) // 2 - load.weight
    return max(0, min(target - load.entries, share))
