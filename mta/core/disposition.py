"""What we decide about a queue entry after an attempt: the one place that makes outcomes fates.

Not here: acting on it (storage/queue.py settles), when the next attempt is (retry.py), the kind of
failure (bounce.py). Follows RFC 5321 4.2.1, 4.2.5 and 4.5.4.1.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import assert_never

from mta.core import bounce
from mta.core.bounce import BounceClass, Classify
from mta.core.frozen import frozen
from mta.core.outcome import Accepted, Ambiguous, Command, Outcome, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule


class Why(enum.Enum):
    """Why an entry waits. Every move of an entry records one of these."""

    NEW = "new"
    """Accepted, waiting for its first attempt."""
    SCHEDULED = "scheduled"
    """Its sender asked for a later time (send_at)."""
    QUOTA = "quota"
    """Its tenant's sending quota is used up until then."""
    REPLY = "reply"
    """The peer answered 4yz."""
    UNREACHABLE = "unreachable"
    """No server of the site could be spoken to."""
    DNS = "dns"
    """The DNS gave no usable answer for now."""
    AMBIGUOUS = "ambiguous"
    """The connection was lost after the final dot; it may arrive twice."""
    LOCAL = "local"
    """The message could not be read or signed here, or what nobody expected went wrong."""
    HELD = "held"
    """An operator holds it."""
    RELEASED = "released"
    """An operator released it, or asked for a retry now."""
    DAMAGED = "damaged"
    """It is held until an operator has looked: what is stored of it is not what was accepted, or
    what became of an attempt could not be written down."""
    SITE_BUSY = "site_busy"
    """Handed back untried: its site was suspended or the engine stopped."""


@frozen
class Delivered:
    """Final: the next hop has it."""


@frozen
class Deferred:
    """Try again at `due_at` (aware, UTC)."""

    due_at: datetime
    why: Why
    bounce_class: BounceClass


@frozen
class Bounced:
    """Final: refused for good."""

    bounce_class: BounceClass


@frozen
class Expired:
    """Final: its lifetime ended while it was still being deferred."""

    why: Why
    bounce_class: BounceClass


@frozen
class Quarantined:
    """Held until an operator has looked; see Why.DAMAGED."""


Disposition = Delivered | Deferred | Bounced | Expired | Quarantined


@frozen
class EntryFacts:
    """What the decision needs to know of an entry.

    Attributes:
        eligible_at: acceptance time, or send_at when that is later (aware, UTC).
        attempts: attempts made so far, the one being decided included; at least 1.
    """

    eligible_at: datetime
    attempts: int


_OF_SESSION = frozenset({Command.CONNECT, Command.EHLO, Command.STARTTLS, Command.AUTH})
_BY_STAGE = {
    Stage.ROUTE: (Why.DNS, BounceClass.NETWORK),
    Stage.TLS: (Why.UNREACHABLE, BounceClass.TLS),
    Stage.LOCAL: (Why.LOCAL, BounceClass.UNKNOWN),
}


def decide(
    outcome: Outcome,
    entry: EntryFacts,
    schedule: RetrySchedule,
    *,
    now: datetime,
    draw: float,
    classify: Classify = bounce.classify,
) -> Disposition:
    """Return the fate of one entry after one attempt.

    A permanent refusal bounces only when it is about this mail. Refused before MAIL, the session
    was: a misspelt smarthost password or a blocked address is ours to mend, so the mail waits.

    Args:
        outcome: what the peer did.
        entry: the entry's age and attempts.
        schedule: backoff and lifetime.
        now: end of the attempt (aware, UTC).
        draw: uniform in [0, 1), for the retry jitter.
        classify: tells the class of a refusal; the default looks at its codes only.
    """
    match outcome:
        case Accepted():
            return Delivered()
        case Refused(reply, command):
            bounce_class = classify(reply, command)
            if reply.is_permanent and command not in _OF_SESSION:
                return Bounced(bounce_class)
            why = Why.REPLY
        case Unreachable(Stage.DAMAGED):
            return Quarantined()
        case Unreachable(stage, _, is_permanent, enhanced):
            if is_permanent:
                return Bounced(classify(Reply(550, enhanced, ""), None))
            why, bounce_class = _BY_STAGE.get(stage, (Why.UNREACHABLE, BounceClass.NETWORK))
        case Ambiguous():
            why, bounce_class = Why.AMBIGUOUS, BounceClass.NETWORK
        case _:
            assert_never(outcome)
    due = schedule.next_attempt(
        eligible_at=entry.eligible_at, attempts=entry.attempts, now=now, draw=draw
    )
    return Expired(why, bounce_class) if due is None else Deferred(due, why, bounce_class)
