"""The journal's vocabulary: every kind of event, its meaning, and its name towards webhooks.

One event has three renderings, none of them here: a journal row (storage/events.py), a log line
(mta/logs.py) and a webhook body (control_api/webhook_sender.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class EventKind(enum.Enum):
    """What happened to a queue entry (one recipient of one message)."""

    QUEUED = "queued"
    """Accepted and committed; the engine is now responsible for it."""
    DEFERRED = "deferred"
    """An attempt failed for now; another follows at `due_at`."""
    DELIVERED = "delivered"
    """The next hop answered 2yz to the final dot. Not: a person has read it."""
    BOUNCED = "bounced"
    """Refused for good in session, or undeliverable by what the DNS says."""
    EXPIRED = "expired"
    """Still deferred when its lifetime ended."""
    CANCELED = "canceled"
    """Taken out of the queue by its owner or an operator before delivery."""
    SUPPRESSED = "suppressed"
    """Never attempted: the address is on the tenant's suppression list."""

    @property
    def webhook_type(self) -> str:
        """The event type that webhooks and the API use, for example "email.delivered"."""
        return _WEBHOOK_TYPES[self]


_WEBHOOK_TYPES: Mapping[EventKind, str] = {
    EventKind.QUEUED: "email.queued",
    EventKind.DEFERRED: "email.delayed",
    EventKind.DELIVERED: "email.delivered",
    EventKind.BOUNCED: "email.bounced",
    EventKind.EXPIRED: "email.failed",
    EventKind.CANCELED: "email.canceled",
    EventKind.SUPPRESSED: "email.suppressed",
}

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one queue entry, before it has a place in the journal.

    Attributes:
        kind: what happened.
        at: when (aware, UTC).
        recipient: the entry's address as text.
        data: details that depend on the kind: attempt, reply, host, due_at, reason, ...
            Only JSON values; empty when there is nothing to add.
    """

    kind: EventKind
    at: datetime
    recipient: str
    data: Mapping[str, JsonValue] = field(default_factory=dict)
