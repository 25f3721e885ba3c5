"""One event of the journal as a line for people and as a JSON object for programs."""

from __future__ import annotations

from collections.abc import Mapping

from mta.cli.output import Cell, Styled, clock, stamp
from mta.core.event import EventKind
from storage.events import JournalEntry

STYLES: Mapping[EventKind, str] = {
    EventKind.QUEUED: "quiet",
    EventKind.SCHEDULED: "quiet",
    EventKind.DEFERRED: "waiting",
    EventKind.DELIVERED: "good",
    EventKind.BOUNCED: "bad",
    EventKind.EXPIRED: "bad",
    EventKind.CANCELED: "bad",
    EventKind.SUPPRESSED: "bad",
    EventKind.DOMAIN_VERIFIED: "good",
    EventKind.DOMAIN_FAILED: "bad",
    EventKind.WEBHOOK_DISABLED: "bad",
    EventKind.REPORTED: "bad",
    EventKind.COMPLAINED: "bad",
    EventKind.UNSUBSCRIBED: "quiet",
    EventKind.OPENED: "good",
    EventKind.CLICKED: "good",
    EventKind.SUPPRESSION_ADDED: "quiet",
    EventKind.SUPPRESSION_REMOVED: "quiet",
    EventKind.CONTACT_CREATED: "good",
    EventKind.CONTACT_UPDATED: "quiet",
    EventKind.CONTACT_DELETED: "quiet",
    EventKind.CONTACT_SUBSCRIBED: "good",
    EventKind.CONTACT_UNSUBSCRIBED: "quiet",
    EventKind.CONTACT_TAGGED: "quiet",
    EventKind.CAMPAIGN_STARTED: "good",
    EventKind.CAMPAIGN_PAUSED: "bad",
    EventKind.CAMPAIGN_COMPLETED: "good",
    EventKind.IMPORT_COMPLETED: "good",
}
_KIND_WIDTH = max(len(kind.value) for kind in EventKind if "_" not in kind.value)
"""That of mail; the few others stand out."""


def event_json(event: JournalEntry) -> dict[str, object]:
    """Return an event as `mta events --json` and `mta message show --json` print it."""
    return {
        "seq": event.seq,
        "id": event.id,
        "kind": event.kind.value,
        "at": stamp(event.at),
        "email_id": event.email_id,
        "entry_id": event.entry_id,
        "recipient": event.recipient,
        "from": event.from_,
        "subject": event.subject,
        "message_id": event.message_id,
        "data": event.data,
        "tags": [{"name": name, "value": value} for name, value in event.tags],
        "metadata": event.metadata,
    }


def event_cells(event: JournalEntry) -> tuple[Cell, ...]:
    """Return time, kind, recipient, and the details if there are any."""
    kind = Styled(event.kind.value.ljust(_KIND_WIDTH), STYLES[event.kind])
    details = _details(event)
    about = event.recipient or str(event.data.get("name") or event.data.get("email") or "")
    return (clock(event.at), kind, about, *([details] if details else []))


def _details(event: JournalEntry) -> str:
    """Return the reply or error of an attempt and its server, or why there was none."""
    data = event.data
    reply = " ".join(str(data[name]) for name in ("code", "enhanced", "text") if name in data)
    parts = [reply]
    if host := data.get("host"):
        address = data.get("address")
        parts.append(f"from {host}" if address in {None, host} else f"from {host} [{address}]")
    parts += [f"{name} {data[name]}" for name in ("class", "reason", "send_at") if name in data]
    return "; ".join(part for part in parts if part)
