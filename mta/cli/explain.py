"""What a queue entry waits for, until when, and why: the sentence that ends a support case.

Pure: takes what storage says and the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mta.cli.output import clock, distance
from mta.core.disposition import Why
from storage.engine_state import Suspension

_REASONS = {
    Why.NEW: "accepted, not tried yet",
    Why.SCHEDULED: "its sender asked for this time",
    Why.REPLY: "the server put it off",
    Why.UNREACHABLE: "no server of the domain could be spoken to",
    Why.DNS: "the DNS gave no usable answer",
    Why.AMBIGUOUS: "the connection was lost after the message; it may arrive twice",
    Why.LOCAL: "the message could not be read or signed here",
    Why.HELD: "an operator holds it; `mta queue release` lets it go",
    Why.RELEASED: "an operator asked for it now",
    Why.SITE_BUSY: "handed back untried: its site was left alone, or the engine stopped",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one entry stands.

    Attributes:
        state: label of its EntryState.
        domain: recipient domain.
        due_at: while it waits: when it is tried next; None otherwise.
        why: a Why value while it waits or is held, else "".
        host: server of the last attempt, "" for none.
    """

    state: str
    domain: str
    due_at: datetime | None
    why: str
    host: str


def explain(entry: Standing, suspensions: Sequence[Suspension], now: datetime) -> str:
    """Return one sentence; "" for an entry that waits for nothing any more."""
    if entry.state == "claimed":
        return "the engine is delivering it right now"
    if entry.state not in {"waiting", "held"}:
        return ""
    reason = _REASONS[Why(entry.why)]
    if entry.due_at is None:
        return reason
    suspension = _suspension_of(entry, suspensions, now)
    if suspension is not None and suspension.until > entry.due_at:
        until = f"{clock(suspension.until)} ({distance(suspension.until, now)})"
        return f"its site {suspension.site} is left alone until {until}: {suspension.detail}"
    if entry.due_at <= now:
        return f"due since {clock(entry.due_at)}, waiting for its turn: {reason}"
    return f"next attempt {clock(entry.due_at)} ({distance(entry.due_at, now)}): {reason}"


def _suspension_of(
    entry: Standing, suspensions: Sequence[Suspension], now: datetime
) -> Suspension | None:
    """Return the suspension that the entry is under, as far as its last attempt shows its site."""
    for suspension in suspensions:
        names = {suspension.site, *suspension.site.split(",")}
        if suspension.until > now and names & {entry.domain, entry.host}:
            return suspension
    return None
