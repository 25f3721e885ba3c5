"""What a client asks, and what the queue makes of it: the pure half of accepting mail.

Every door (SMTP, API) builds a Submission; storage/submissions.accept reads the facts, calls
prepare, and writes the result in one transaction. Not here: whether the tenant may send as that
domain, which storage knows.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime

from mta.core.disposition import Why
from mta.core.envelope import Envelope, Priority, Recipient
from mta.core.event import Event, EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.message import HeaderFacts, Message
from mta.core.tracking import Places
from mta.core.unsubscribe import UnsubscribeOffer


class Door(enum.Enum):
    """Where a submission came in."""

    SMTP = "smtp"
    API = "api"
    REPORT = "report"
    """A delivery report of our own, to whoever submitted by SMTP."""


@frozen
class Submission:
    """One message that a client asks to send.

    Attributes:
        public_id: the email's id, "em_...", made by the door so that Received can name it.
        tenant_id: whose mail it is.
        door: where it came in.
        envelope: return path and recipients.
        message: the bytes to deliver.
        header: what they say.
        priority: transactional goes ahead of bulk inside a site.
        send_at: not before this time (aware, UTC); None is now.
        tags: names and values, indexed and echoed in events.
        metadata: echoed in events, not indexed; any JSON object.
        batch_id: "bt_..." when it came in a batch, else "".
        is_test: came with a test key: it goes to the sandbox, whoever it is for.
        unsubscribe: how its recipients get out; None adds nothing to the message.
        tracking: where its body has placeholders for tokens of each recipient; None: nowhere.
        campaign: row number of the campaign that it is of; 0: of none.
    """

    public_id: str
    tenant_id: int
    door: Door
    envelope: Envelope
    message: Message
    header: HeaderFacts
    priority: Priority = Priority.TRANSACTIONAL
    send_at: datetime | None = None
    tags: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    batch_id: str = ""
    is_test: bool = False
    unsubscribe: UnsubscribeOffer | None = None
    tracking: Places | None = None
    campaign: int = 0


@frozen
class AcceptFacts:
    """What storage knows at the moment of acceptance.

    Attributes:
        now: time of acceptance (aware, UTC).
        suppressed: suppression key -> reason, for those recipients that are suppressed.
    """

    now: datetime
    suppressed: Mapping[str, str]


@frozen
class EntryDraft:
    """A queue entry to be written.

    Attributes:
        recipient: whom it is for.
        due_at: when it may first be tried (aware, UTC).
        why: why it waits.
        suppressed_for: reason of the suppression that makes it final from the start, else "".
        routing_domain: the domain whose route it takes; "" is the recipient's own.
    """

    recipient: Recipient
    due_at: datetime
    why: Why
    suppressed_for: str = ""
    routing_domain: str = ""

    @property
    def domain(self) -> str:
        """The domain whose route it takes: A-label, or an address literal."""
        return self.routing_domain or self.recipient.address.domain

    @property
    def is_suppressed(self) -> bool:
        """True when it is final at once and never attempted."""
        return bool(self.suppressed_for)


@frozen
class Prepared:
    """A submission turned into queue entries and the first events of each, in the same order."""

    entries: tuple[EntryDraft, ...]
    events: tuple[Event, ...]


def prepare(submission: Submission, facts: AcceptFacts) -> Prepared:
    """Turn a submission into one entry and one event per distinct recipient.

    Recipients that name the same mailbox (equal suppression keys) become one entry, the first.
    """
    due_at, why = facts.now, Why.NEW
    if submission.send_at is not None and submission.send_at > facts.now:
        due_at, why = submission.send_at, Why.SCHEDULED
    entries: dict[str, EntryDraft] = {}
    for recipient in submission.envelope.recipients:
        key = recipient.address.key
        if key not in entries:
            # A suppression without a reason must still suppress.
            reason = (facts.suppressed[key] or "unknown") if key in facts.suppressed else ""
            entries[key] = EntryDraft(recipient, due_at, why, reason)
    drafts = tuple(entries.values())
    return Prepared(drafts, tuple(_first_event(draft, facts.now) for draft in drafts))


def delayed(prepared: Prepared, due: Mapping[int, datetime]) -> Prepared:
    """Return it with those entries (by index) that are due later now waiting for the quota."""
    entries, events = list(prepared.entries), list(prepared.events)
    for index, due_at in due.items():
        if due_at > entries[index].due_at:
            entries[index] = replace(entries[index], due_at=due_at, why=Why.QUOTA)
            text = due_at.isoformat(timespec="milliseconds")
            data = {**events[index].data, "due_at": text, "why": Why.QUOTA.value}
            events[index] = replace(events[index], data=data)
    return Prepared(tuple(entries), tuple(events))


def _first_event(draft: EntryDraft, now: datetime) -> Event:
    recipient = str(draft.recipient.address)
    if draft.is_suppressed:
        return Event(EventKind.SUPPRESSED, now, recipient, {"reason": draft.suppressed_for})
    if draft.why is not Why.SCHEDULED:
        return Event(EventKind.QUEUED, now, recipient)
    data: dict[str, JsonValue] = {"send_at": draft.due_at.isoformat(timespec="milliseconds")}
    return Event(EventKind.SCHEDULED, now, recipient, data)
