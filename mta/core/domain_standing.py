"""How a domain stands, how a look at the DNS changes that, and when to look again.

Two looks in a row that find a required record missing or wrong are needed before a verified domain
loses its standing: its mail is refused from then on. A DNS that does not answer changes nothing.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from datetime import datetime, timedelta

from mta.core.event import EventKind
from mta.core.frozen import frozen

FAILURES_TO_FALL = 2
SOON = timedelta(minutes=5)
"""Until the second look at a domain that may fall, or whose next keys are being published."""
PENDING_STEPS = (
    (timedelta(minutes=10), timedelta(minutes=1)),
    (timedelta(hours=1), SOON),
    (timedelta(days=3), timedelta(minutes=30)),
)
"""Age of a domain that was never verified, and the wait for its next look while younger: records
are published within minutes, or much later."""


class DomainStatus(enum.Enum):
    """A domain in one word."""

    NOT_STARTED = "not_started"
    """Added; the DNS has not been looked at yet."""
    PENDING = "pending"
    """Looked at, never verified."""
    VERIFIED = "verified"
    FAILED = "failed"
    """Was verified and is not any more."""


@frozen
class Standing:
    """What is remembered about the looks at a domain; times are aware, None is never.

    Attributes:
        created_at: when it was added.
        checked_at: the last look.
        verified_at: the last look that found all that is required; None: not verified.
        failed_at: when it lost its standing; None: it did not, or got it back.
        failures: looks since verified_at that found something required not to be right.
    """

    created_at: datetime
    checked_at: datetime | None = None
    verified_at: datetime | None = None
    failed_at: datetime | None = None
    failures: int = 0

    @property
    def status(self) -> DomainStatus:
        """The domain in one word."""
        if self.verified_at is not None:
            return DomainStatus.VERIFIED
        if self.failed_at is not None:
            return DomainStatus.FAILED
        return DomainStatus.NOT_STARTED if self.checked_at is None else DomainStatus.PENDING


def after_look(
    standing: Standing, *, is_verified: bool | None, now: datetime
) -> tuple[Standing, EventKind | None]:
    """Return how the domain stands after a look, and the event that this is, if any.

    `is_verified` is what the look found; None: the DNS did not answer.
    """
    seen = replace(standing, checked_at=now)
    if is_verified is None:
        return seen, None
    if is_verified:
        event = None if standing.verified_at else EventKind.DOMAIN_VERIFIED
        return replace(seen, verified_at=now, failed_at=None, failures=0), event
    if standing.verified_at is None:
        return seen, None
    failures = standing.failures + 1
    if failures < FAILURES_TO_FALL:
        return replace(seen, failures=failures), None
    return replace(seen, verified_at=None, failed_at=now, failures=0), EventKind.DOMAIN_FAILED


def next_look(
    standing: Standing, *, is_rotating: bool, interval: timedelta, now: datetime
) -> datetime:
    """Return when to look at the domain again.

    Args:
        standing: after the last look.
        is_rotating: it has DKIM keys that wait for being seen.
        interval: between two looks when nothing is to be expected.
        now: aware.
    """
    waits = [interval]
    if is_rotating or standing.failures:
        waits.append(SOON)
    if standing.status in {DomainStatus.NOT_STARTED, DomainStatus.PENDING}:
        age = now - standing.created_at
        waits += [wait for limit, wait in PENDING_STEPS if age < limit]
    return now + min(waits)
