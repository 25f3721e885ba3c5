"""The journal's vocabulary: every kind of event, its meaning, and its name towards webhooks.

One event has three renderings, none of them here: a journal row (storage/events.py), a log line
(mta/logs.py) and a webhook body (control_api/webhook_sender.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from mta.core.frozen import frozen


class EventKind(enum.Enum):
    """What happened to a queue entry (one recipient of one message), a domain, a contact, ..."""

    QUEUED = "queued"
    """Accepted and committed, or to be tried again at its sender's wish (data.retried); the engine
    is now responsible for it."""
    SCHEDULED = "scheduled"
    """Queued for a later time, data.send_at; or it was, and its sender has changed that time."""
    DEFERRED = "deferred"
    """An attempt failed for now; another follows at `due_at`. Or, with `why` "damaged", what is
    stored of it is damaged: it is held until an operator has looked."""
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
    REPORTED = "reported"
    """A report came back, at once or weeks later: it was not delivered after all."""
    COMPLAINED = "complained"
    """The recipient, or the recipient's provider, called it spam."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient wants no more of this mail."""
    OPENED = "opened"
    """Its images were fetched; the first time by a person, and by a machine (data.machine)."""
    CLICKED = "clicked"
    """A link of it was followed, data.url; the first time by a person, and by a machine."""
    DOMAIN_VERIFIED = "domain_verified"
    """A sender domain has all the DNS records that it needs."""
    DOMAIN_FAILED = "domain_failed"
    """A verified domain has lost one of them; its mail is refused from now on."""
    WEBHOOK_DISABLED = "webhook_disabled"
    """An endpoint is posted to no more: it failed for days, or answered 410 Gone."""
    SUPPRESSION_ADDED = "suppression_added"
    """Mail to an address, data.email, is no longer sent. Not told of each row of an import."""
    SUPPRESSION_REMOVED = "suppression_removed"
    """Mail to an address is sent again. Not told where many were removed together."""
    CONTACT_CREATED = "contact_created"
    """A contact is new: data.contact with `id` and `email`; data.audience_id when it joined one at
    the same time. Like all of contacts, not told of each row of an import."""
    CONTACT_UPDATED = "contact_updated"
    """Name or properties changed, or tags were taken off; with data.audience_id, values there."""
    CONTACT_DELETED = "contact_deleted"
    """A contact and its memberships are gone; earlier events no longer name its address."""
    CONTACT_SUBSCRIBED = "contact_subscribed"
    """A contact gets the mail of data.audience_id from now on: joined, confirmed, or came back."""
    CONTACT_UNSUBSCRIBED = "contact_unsubscribed"
    """A contact wants no more mail of data.audience_id."""
    CONTACT_TAGGED = "contact_tagged"
    """A contact got tags that it did not have, data.tags; also when it is new."""
    CAMPAIGN_STARTED = "campaign_started"
    """A campaign begins to go out: data.campaign with `id` and `name`, data.recipients."""
    CAMPAIGN_PAUSED = "campaign_paused"
    """Nothing more of it goes out until it is resumed, data.reason."""
    CAMPAIGN_COMPLETED = "campaign_completed"
    """Everybody has had a turn, and every email was tried at least once; data.recipients."""
    IMPORT_COMPLETED = "import_completed"
    """An import has ended: data.id, data.status, data.counts; instead of an event for each row."""

    @property
    def webhook_type(self) -> str:
        """The event type that webhooks and the API use, for example "email.delivered"."""
        return _WEBHOOK_TYPES[self]


_WEBHOOK_TYPES: Mapping[EventKind, str] = {
    EventKind.QUEUED: "email.queued",
    EventKind.SCHEDULED: "email.scheduled",
    EventKind.DEFERRED: "email.delayed",
    EventKind.DELIVERED: "email.delivered",
    EventKind.BOUNCED: "email.bounced",
    EventKind.EXPIRED: "email.failed",
    EventKind.CANCELED: "email.canceled",
    EventKind.SUPPRESSED: "email.suppressed",
    EventKind.REPORTED: "email.bounced",
    EventKind.COMPLAINED: "email.complained",
    EventKind.UNSUBSCRIBED: "email.unsubscribed",
    EventKind.OPENED: "email.opened",
    EventKind.CLICKED: "email.clicked",
    EventKind.DOMAIN_VERIFIED: "domain.verified",
    EventKind.DOMAIN_FAILED: "domain.failed",
    EventKind.WEBHOOK_DISABLED: "webhook.disabled",
    EventKind.SUPPRESSION_ADDED: "suppression.added",
    EventKind.SUPPRESSION_REMOVED: "suppression.removed",
    EventKind.CONTACT_CREATED: "contact.created",
    EventKind.CONTACT_UPDATED: "contact.updated",
    EventKind.CONTACT_DELETED: "contact.deleted",
    EventKind.CONTACT_SUBSCRIBED: "contact.subscribed",
    EventKind.CONTACT_UNSUBSCRIBED: "contact.unsubscribed",
    EventKind.CONTACT_TAGGED: "contact.tagged",
    EventKind.CAMPAIGN_STARTED: "campaign.started",
    EventKind.CAMPAIGN_PAUSED: "campaign.paused",
    EventKind.CAMPAIGN_COMPLETED: "campaign.completed",
    EventKind.IMPORT_COMPLETED: "import.completed",
}

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


@frozen
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
