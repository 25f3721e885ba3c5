"""What comes back about an entry after it was sent, and what that does to its address.

    record_failure     a report says that it was not delivered after all     "reported"
    record_complaint   its recipient called it spam                          "complained"
    note_failure       it was refused in the session (settlement.py)
    note_delivery      a server has taken mail for the address again

All of them write in the transaction of the caller. When an address is suppressed is decided in
core/suppression.py; reputation, policy and content never do it. Not here: reading reports
(mta/report_intake.py), whose address a report is about (correlation.py), and recipients who want
no more (unsubscribes.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from mta.core import ids
from mta.core.bounce import BounceClass
from mta.core.delivery_status import wants
from mta.core.dsn import Action
from mta.core.event import EventKind, JsonValue
from mta.core.findings import Failure
from mta.core.frozen import frozen
from mta.core.submission import Door
from mta.core.suppression import MAX_FAILURES, Suppress, SuppressionPolicy
from storage import delivery_reports, events, suppressions
from storage.database import Connection
from storage.delivery_reports import Due
from storage.entries import EntryState
from storage.suppressed_entries import key_of, suppress_waiting

REPORTED, COMPLAINED = 1, 2
"""Bits of entries.reported."""
OLDEST = timedelta(days=400)
"""Age at which a failure is forgotten, whatever the rules: the addresses are somebody's."""


@frozen
class EntryRef:
    """The entry that something is about.

    Attributes:
        id, message_id: row ids.
        email_id: "em_...".
        tenant_id: whose it is.
        recipient: address as text.
        state: where it stands.
        reported: what came back before, bits.
        door: where the message came in.
        mail_from: return path that the message was submitted with, "" for the null one.
        notify: what its sender wants to be told (RFC 3461 4.1).
        scope: the list it was sent to, "" for none.
        route: the domain that it was sent to, the sandbox's for what went there.
        is_test: sent with a test key.
    """

    id: int
    message_id: int
    email_id: str
    tenant_id: int
    recipient: str
    state: EntryState
    reported: int
    door: str
    mail_from: str
    notify: str
    scope: str
    route: str = ""
    is_test: bool = False

    def is_simulated(self, policy: SuppressionPolicy) -> bool:
        """Tell whether it only went to the sandbox, so that nothing follows for its address."""
        return self.is_test or (bool(self.route) and self.route == policy.sandbox_domain)

    @property
    def has_failed(self) -> bool:
        """Whether it is known to have failed already."""
        return self.state in {EntryState.BOUNCED, EntryState.EXPIRED} or bool(
            self.reported & REPORTED
        )


def record_failure(
    connection: Connection,
    entry: EntryRef,
    failure: Failure,
    *,
    policy: SuppressionPolicy,
    tells: bool,
    now: datetime,
) -> bool:
    """Note that an entry was not delivered after all; False when that was known.

    Args:
        connection: of a write.
        entry: as it was before.
        failure: what is known of it.
        policy: which failures suppress their address.
        tells: whether whoever submitted mail by SMTP is told of failures; at most once for each
            entry, however many reports come.
        now: aware, UTC.
    """
    if entry.has_failed or entry.state in {EntryState.CANCELED, EntryState.SUPPRESSED}:
        return False
    data: dict[str, JsonValue] = {
        "reported": True,
        "class": failure.bounce_class.value,
        "permanent": failure.is_permanent,
        "hard": failure.is_hard,
        "enhanced": failure.status,
        "text": failure.diagnostic,
        "rule": failure.rule,
        "reported_recipient": failure.recipient,
    }
    event_id = _record(connection, entry, EventKind.REPORTED, REPORTED, data, now)
    fault = Fault(
        entry.tenant_id,
        entry.recipient,
        failure.bounce_class,
        is_hard=failure.is_hard,
        is_reported=True,
        cause=suppressions.Cause(
            failure.rule or failure.bounce_class.value, event_id, entry.email_id
        ),
    )
    if not entry.is_simulated(policy):
        note_failure(connection, fault, policy=policy, now=now)
    if tells:
        _note_due(connection, entry, failure, now)
    return True


def _note_due(connection: Connection, entry: EntryRef, failure: Failure, now: datetime) -> None:
    is_owed = entry.door == Door.SMTP.value and bool(entry.mail_from)
    if not is_owed or not wants(entry.notify, "FAILURE"):
        return
    text = failure.diagnostic or "A server further on reported that it could not be delivered."
    failed = Action.FAILED.value
    due = Due(entry.id, entry.message_id, failed, now, enhanced=failure.status, reply=text)
    delivery_reports.note(connection, [due])


def record_complaint(
    connection: Connection, entry: EntryRef, feedback_type: str, *, now: datetime
) -> bool:
    """Note a complaint and suppress the address at once; False when it was noted before."""
    if entry.reported & COMPLAINED:
        return False
    data: dict[str, JsonValue] = {"feedback_type": feedback_type}
    event_id = _record(connection, entry, EventKind.COMPLAINED, COMPLAINED, data, now)
    cause = suppressions.Cause(feedback_type, event_id, entry.email_id)
    if not entry.is_test:
        suppress(connection, entry.tenant_id, entry.recipient, "complaint", now, cause=cause)
    return True


def _record(
    connection: Connection,
    entry: EntryRef,
    kind: EventKind,
    bit: int,
    data: Mapping[str, JsonValue],
    now: datetime,
) -> str:
    """Mark the entry, write the event and return its id."""
    connection.execute("UPDATE entries SET reported = reported | ? WHERE id = ?", (bit, entry.id))
    return write_event(connection, entry, kind, data, now)


def write_event(
    connection: Connection,
    entry: EntryRef,
    kind: EventKind,
    data: Mapping[str, JsonValue],
    now: datetime,
) -> str:
    """Write an event about an entry; return its "ev_..." id."""
    at_ms = ids.milliseconds(now)
    kept = {name: value for name, value in data.items() if value != ""}
    row = (entry.message_id, entry.id, entry.tenant_id, kind.value, at_ms, events.json_data(kept))
    events.append(connection, [row])
    return ids.numbered_id("ev", at_ms, events.last_seq(connection))


@frozen
class Fault:
    """A failure that may tell against an address.

    Attributes:
        tenant_id: whose mail it was.
        recipient: the address as text.
        bounce_class, is_hard: what kind of failure it was.
        is_reported: whether it was learned from a report, not in the session.
        cause: what a suppression would be put down to.
    """

    tenant_id: int
    recipient: str
    bounce_class: BounceClass
    is_hard: bool
    is_reported: bool
    cause: suppressions.Cause


def note_failure(
    connection: Connection, fault: Fault, *, policy: SuppressionPolicy, now: datetime
) -> bool:
    """Suppress the address where the policy says so; return whether that was done just now."""
    rule = policy.rules.get(fault.bounce_class)
    if rule is None:
        return False
    key = key_of(fault.recipient)
    earlier: list[datetime] = []
    if rule.failures > 1:
        earlier = _earlier(connection, fault, key, now - rule.within)
        _remember(connection, fault, key, now)
    decision = policy.decide(fault.bounce_class, is_hard=fault.is_hard, earlier=earlier, now=now)
    if not isinstance(decision, Suppress):
        return False
    return suppress(
        connection,
        fault.tenant_id,
        fault.recipient,
        "bounce",
        now,
        cause=fault.cause,
        until=decision.until,
    )


def suppress(  # noqa: PLR0913 - what a suppression is made of
    connection: Connection,
    tenant_id: int,
    recipient: str,
    reason: str,
    now: datetime,
    *,
    cause: suppressions.Cause,
    until: datetime | None = None,
) -> bool:
    """Suppress an address, and what waits for it; False when it was for as long before."""
    is_new = suppressions.add(
        connection,
        tenant_id=tenant_id,
        key=key_of(recipient),
        address=recipient,
        reason=reason,
        now=now,
        expires_at=until,
        cause=cause,
    )
    if is_new:
        suppress_waiting(connection, tenant_id, recipient, reason=reason, now=now)
    return is_new


def _earlier(connection: Connection, fault: Fault, key: str, since: datetime) -> list[datetime]:
    rows = connection.execute(
        "SELECT at FROM failures WHERE tenant_id = ? AND key = ? AND class = ? AND at >= ?"
        " ORDER BY at DESC LIMIT ?",
        (
            fault.tenant_id,
            key,
            fault.bounce_class.value,
            ids.milliseconds(since),
            10 * MAX_FAILURES,
        ),
    )
    return [ids.moment(at) for (at,) in rows]


def _remember(connection: Connection, fault: Fault, key: str, now: datetime) -> None:
    connection.execute(
        "INSERT INTO failures (tenant_id, key, class, at, is_reported) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (
            fault.tenant_id,
            key,
            fault.bounce_class.value,
            ids.milliseconds(now),
            fault.is_reported,
        ),
    )


def has_failures(connection: Connection) -> bool:
    """Tell whether any failure is remembered at all: mostly none is, and then nothing is to do."""
    return connection.execute("SELECT 1 FROM failures LIMIT 1").fetchone() is not None


def note_delivery(connection: Connection, tenant_id: int, recipient: str) -> None:
    """Forget failures in sessions with an address that has proved alive.

    Those that reports told of stay: where a server accepts first and bounces later, a 250 proves
    nothing.
    """
    connection.execute(
        "DELETE FROM failures WHERE tenant_id = ? AND key = ? AND is_reported = 0",
        (tenant_id, key_of(recipient)),
    )


def forget_failures(connection: Connection, now: datetime, *, limit: int) -> int:
    """Delete some failures that are too old for any rule; return how many."""
    deleted = connection.execute(
        "DELETE FROM failures WHERE (tenant_id, key, class, at) IN ("
        " SELECT tenant_id, key, class, at FROM failures WHERE at < ? LIMIT ?)",
        (ids.milliseconds(now - OLDEST), limit),
    )
    return deleted.rowcount
