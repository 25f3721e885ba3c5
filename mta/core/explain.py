"""What a queue entry waits for, and until when: the one answer that the CLI and the API give.

Several things may stand in an entry's way; the one that ends last is what holds it. Not here: who
is to blame for a failure (bounce.py), and when the next attempt is (disposition.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime

from mta.core.disposition import Why
from mta.core.frozen import frozen


class Constraint(enum.Enum):
    """What keeps an entry from being tried right now."""

    DELIVERY = "delivery"
    """The engine has it: it is being delivered, or waits for a connection to its site."""
    HOLD = "hold"
    """An operator or its sender holds it until it is released."""
    SCHEDULE = "schedule"
    """Its sender asked for a later time."""
    QUOTA = "quota"
    """Its sender has used up what may be sent in this hour or day."""
    RETRY = "retry"
    """An attempt failed for now; the next one follows."""
    SITE_SUSPENSION = "site_suspension"
    """The engine leaves its site alone for a while, because nobody got through."""
    DOMAIN_SUSPENSION = "domain_suspension"
    """An operator has suspended its domain."""
    CONNECTION_LIMIT = "connection_limit"
    """It is due; its turn comes when its site has room."""


@frozen
class Block:
    """Something that keeps all mail of a site or domain back.

    Attributes:
        name: of the site (core.route.Route.site) or the domain.
        until: when it ends (aware, UTC).
        detail: the reply or error that led to it, or the operator's reason; one line, may be "".
        is_operator: an operator wants it, and `name` is a domain; else the engine, and it is a site
            or, without a route, a domain.
    """

    name: str
    until: datetime
    detail: str
    is_operator: bool = False

    def covers(self, domain: str, host: str) -> bool:
        """Whether mail to the domain, last tried at the host ("": never), is meant."""
        if self.is_operator:
            return self.name == domain or (bool(host) and host in self.name.split(","))
        return self.name in (domain, host) or (bool(host) and host in self.name.split(","))


@frozen
class Standing:
    """Where one entry stands.

    Attributes:
        state: label of its state: "waiting", "claimed", "held", or a final one.
        domain: recipient domain.
        due_at: while it waits: when it is tried next (aware, UTC); None otherwise.
        why: a Why value while it waits or is held, else "".
        attempts: made so far.
        host: server of the last attempt, "" for none.
        answer: what that led to: the reply or the error, "" before the first attempt.
    """

    state: str
    domain: str
    due_at: datetime | None
    why: str
    attempts: int = 0
    host: str = ""
    answer: str = ""


@frozen
class Explanation:
    """What holds an entry.

    Attributes:
        constraint: the one thing, as a word.
        sentence: the same for people, without the time.
        until: when it ends by what is known now (aware, UTC); None: nobody knows, or it is due.
    """

    constraint: Constraint
    sentence: str
    until: datetime | None = None


def explain(entry: Standing, blocks: Iterable[Block], now: datetime) -> Explanation | None:
    """Return what holds an entry; None for one that waits for nothing any more.

    Args:
        entry: where it stands.
        blocks: all that there are; those that do not cover it, or are over, are passed by.
        now: aware, UTC.
    """
    if entry.state == "claimed":
        sentence = "the engine is delivering it right now, or has it next in line for its site"
        return Explanation(Constraint.DELIVERY, sentence)
    if entry.state == "held":
        return Explanation(Constraint.HOLD, _held(entry))
    if entry.state != "waiting" or entry.due_at is None:
        return None
    found = [_own(entry, entry.due_at)]
    found += [_blocked(block) for block in blocks if block.covers(entry.domain, entry.host)]
    last = max(found, key=lambda one: one.until or now)
    if last.until is not None and last.until > now:
        return last
    return Explanation(Constraint.CONNECTION_LIMIT, f"{_TURN}: {_reason(entry)}")


_TURN = "it is due and waits for its turn with its site"


def _own(entry: Standing, due_at: datetime) -> Explanation:
    """Return what holds the entry by itself."""
    return Explanation(_CONSTRAINTS.get(entry.why, Constraint.RETRY), _reason(entry), due_at)


def _reason(entry: Standing) -> str:
    reason = _REASONS.get(entry.why, f"it waits ({entry.why})")
    return f"{reason}: {entry.answer}" if entry.attempts and entry.answer else reason


def _held(entry: Standing) -> str:
    if entry.why != Why.DAMAGED.value:
        return _REASONS[Why.HELD.value]
    error = f": {entry.answer}" if entry.answer else ""
    return f"{_REASONS[Why.DAMAGED.value]}{error}; it is held until somebody releases it"


def _blocked(block: Block) -> Explanation:
    because = f": {block.detail}" if block.detail else ""
    if block.is_operator:
        sentence = f"an operator has suspended {block.name}{because}"
        return Explanation(Constraint.DOMAIN_SUSPENSION, sentence, block.until)
    sentence = f"its site {block.name} is left alone for a while{because}"
    return Explanation(Constraint.SITE_SUSPENSION, sentence, block.until)


_CONSTRAINTS = {
    Why.SCHEDULED.value: Constraint.SCHEDULE,
    Why.QUOTA.value: Constraint.QUOTA,
    Why.SITE_BUSY.value: Constraint.SITE_SUSPENSION,
}
_REASONS = {
    why.value: reason
    for why, reason in {
        Why.NEW: "it was accepted and has not been tried yet",
        Why.SCHEDULED: "its sender asked for this time",
        Why.QUOTA: "its sender had used up the sending quota of the hour or day",
        Why.REPLY: "the server put it off",
        Why.UNREACHABLE: "no server of the domain could be spoken to",
        Why.DNS: "the DNS gave no usable answer",
        Why.AMBIGUOUS: "the connection was lost after the message; it may arrive twice",
        Why.LOCAL: "something went wrong here",
        Why.HELD: "it is held until somebody releases it",
        Why.DAMAGED: "what is stored of it is damaged, or we failed at it",
        Why.RELEASED: "somebody asked for it now",
        Why.SITE_BUSY: "it was handed back untried: its site was left alone, or the engine stopped",
    }.items()
}
