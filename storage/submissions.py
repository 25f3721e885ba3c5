"""Accepting mail: the one transaction after whose COMMIT we are responsible for a message.

Reads the facts, lets core/submission decide, and writes message, body, entries and events. Not
here: building a Submission (each door does), idempotency (idempotency.py), large bodies, which are
in the spool before this begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mta.core import ids, json_text, sandbox
from mta.core.access import Denial, may_send_from
from mta.core.disposition import Why
from mta.core.quota import UNLIMITED, Quota
from mta.core.submission import AcceptFacts, Prepared, Submission, delayed, prepare
from storage import domains, events, faults, quotas, suppressions, tracking, unsubscribes
from storage.database import Connection
from storage.entries import EntryState


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """What the operator demands of mail.

    Attributes:
        require_verified_domain: the domain of From, or a parent of it, is a verified domain of the
            tenant.
        sender_domains: as core.access.Access.domains of the key that is used; empty: all.
        bounce_domain: where our own return paths are, which any key may use; "" for none.
        quota: of tenants that have none of their own.
        sandbox_domain: where recipients are sandbox addresses, and test mail goes.
    """

    require_verified_domain: bool = True
    sender_domains: tuple[str, ...] = ()
    bounce_domain: str = ""
    quota: Quota = UNLIMITED
    sandbox_domain: str = sandbox.DEFAULT_DOMAIN


@dataclass(frozen=True, slots=True)
class AcceptedEmail:
    """The message is ours after COMMIT.

    Attributes:
        message_id: row id.
        public_id: "em_...".
        entries: how many queue entries it has, suppressed ones included.
        queued_at: aware, UTC.
        status: "queued", "scheduled", or "suppressed" when no entry will be tried.
    """

    message_id: int
    public_id: str
    entries: int
    queued_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class DomainNotAllowed:
    """Nothing was written: the tenant may not send from this domain ("": there is no From).

    denial is set where the tenant may, but not the key.
    """

    domain: str
    denial: Denial | None = None


Acceptance = AcceptedEmail | DomainNotAllowed


def accept(
    connection: Connection, submission: Submission, *, policy: AcceptPolicy, now: datetime
) -> Acceptance:
    """Write a submission into the queue, or refuse it by policy.

    Args:
        connection: of a write.
        submission: what the door made of the client's wish.
        policy: what must hold.
        now: time of acceptance (aware, UTC).
    """
    refusal = check(connection, submission, policy)
    if refusal is not None:
        return refusal
    suppressed = _suppressed(connection, submission, policy.sandbox_domain, now)
    prepared = prepare(submission, AcceptFacts(now, suppressed))
    if submission.is_test:
        prepared = _in_sandbox(prepared, policy.sandbox_domain)
    else:
        prepared = _within_quota(connection, submission, prepared, policy)
    accepted = _insert(connection, submission, prepared, now)
    faults.reach("before_accept")
    return accepted


def accept_batch(
    connection: Connection,
    submissions: Sequence[Submission],
    *,
    policy: AcceptPolicy,
    now: datetime,
) -> list[Acceptance]:
    """Do what accept() does for each, in one transaction; refused ones do not affect the others.

    For all or nothing, see what check() says of each first.
    """
    return [accept(connection, one, policy=policy, now=now) for one in submissions]


def check(
    connection: Connection, submission: Submission, policy: AcceptPolicy
) -> DomainNotAllowed | None:
    """Return why policy forbids a submission; None when it does not."""
    domain = submission.header.sender_domain
    for named in _sender_domains(submission, policy):
        if denial := may_send_from(policy.sender_domains, named):
            return DomainNotAllowed(named, denial)
    if not policy.require_verified_domain:
        return None
    if domain and domains.verified_among(connection, submission.tenant_id, _with_parents(domain)):
        return None
    return DomainNotAllowed(domain)


def _sender_domains(submission: Submission, policy: AcceptPolicy) -> Iterator[str]:
    """Yield the domains that a message gives as its sender's: From, and a return path of theirs."""
    yield submission.header.sender_domain
    mail_from = submission.envelope.mail_from
    if mail_from is not None and mail_from.domain != policy.bounce_domain:
        yield mail_from.domain


def _suppressed(
    connection: Connection, submission: Submission, sandbox_domain: str, now: datetime
) -> dict[str, str]:
    """Return suppression key -> reason; sandbox addresses are what their names say."""
    addresses = [recipient.address for recipient in submission.envelope.recipients]
    keys = [address.key for address in addresses]
    tenant_id, offer = submission.tenant_id, submission.unsubscribe
    suppressed = suppressions.lookup(connection, tenant_id, keys, now)
    if offer is not None and offer.scope:
        suppressed |= unsubscribes.lookup(connection, tenant_id, offer.scope, keys)
    for address in addresses:
        if (is_suppressed := sandbox.is_suppressed(address, sandbox_domain)) is not None:
            suppressed.pop(address.key, None)
            if is_suppressed:
                suppressed[address.key] = sandbox.SUPPRESSED_FOR
    return suppressed


def _in_sandbox(prepared: Prepared, sandbox_domain: str) -> Prepared:
    entries = tuple(replace(entry, routing_domain=sandbox_domain) for entry in prepared.entries)
    return replace(prepared, entries=entries)


def _within_quota(
    connection: Connection, submission: Submission, prepared: Prepared, policy: AcceptPolicy
) -> Prepared:
    """Take places in the tenant's quota for what will be tried, and let what is over it wait."""
    quota = quotas.own_quota(connection, submission.tenant_id) or policy.quota
    if not quota.limits():
        return prepared
    counted = [index for index, one in enumerate(prepared.entries) if not one.is_suppressed]
    times = [prepared.entries[index].due_at for index in counted]
    due = quotas.take_places(connection, submission.tenant_id, quota, submission.priority, times)
    return delayed(prepared, dict(zip(counted, due, strict=True)))


def _with_parents(domain: str) -> list[str]:
    """Return the domain and its parents down to two labels."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(max(len(labels) - 1, 1))]


_INSERT_MESSAGE = """
INSERT INTO messages (
    public_id, tenant_id, door, mail_from, ret, envid, from_address, sender_domain, subject,
    message_id, header_to, header_cc, header_bcc, reply_to, has_8bit_header, size, header_size,
    body_hash, is_8bit, batch_id, tags, metadata, created_at, send_at, status, recipients, pending,
    settled_at, has_body, is_test, unsubscribe, tracking
) VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?
)
RETURNING id
"""

_INSERT_ENTRY = """
INSERT INTO entries (
    message_id, tenant_id, recipient, domain, notify, orcpt, priority, state, due_at, why, reply,
    eligible_at, attempts
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
RETURNING id
"""


def _insert(
    connection: Connection, submission: Submission, prepared: Prepared, now: datetime
) -> AcceptedEmail:
    now_ms = ids.milliseconds(now)
    pending = sum(not entry.is_suppressed for entry in prepared.entries)
    send_at_ms = None
    if submission.send_at is not None and submission.send_at > now:
        send_at_ms = ids.milliseconds(submission.send_at)
    status = "queued" if send_at_ms is None else "scheduled"
    if not pending:
        status = "suppressed"
    counts = (len(prepared.entries), pending, None if pending else now_ms)
    extras = (
        submission.is_test,
        unsubscribes.to_column(submission.unsubscribe),
        tracking.to_column(submission.tracking),
    )
    row = (*_facts(submission), now_ms, send_at_ms, status, *counts, *extras)
    message_row = _inserted(connection, _INSERT_MESSAGE, row)
    connection.execute(
        "INSERT INTO bodies (message_id, file, data) VALUES (?, ?, ?)",
        (message_row, submission.message.file, submission.message.data),
    )
    if submission.tags:
        _insert_tags(connection, submission, message_row, now_ms)
    _insert_entries(connection, submission, prepared, message_row)
    return AcceptedEmail(message_row, submission.public_id, counts[0], now, status)


def _facts(submission: Submission) -> tuple[object, ...]:
    """Return the columns that do not depend on the moment of acceptance."""
    envelope, header, message = submission.envelope, submission.header, submission.message
    return (
        submission.public_id,
        submission.tenant_id,
        submission.door.value,
        str(envelope.mail_from or ""),
        envelope.ret,
        envelope.envid,
        header.from_address,
        header.sender_domain,
        header.subject,
        header.message_id,
        _json(header.to),
        _json(header.cc),
        _json(header.bcc),
        _json(header.reply_to),
        header.has_8bit_header,
        message.size,
        message.header_size,
        message.body_hash,
        message.is_8bit,
        submission.batch_id,
        _json(submission.tags),
        events.json_data(submission.metadata),
    )


def _insert_tags(
    connection: Connection, submission: Submission, message_row: int, now_ms: int
) -> None:
    connection.executemany(
        "INSERT INTO message_tags (tenant_id, name, value, created_at, message_id)"
        " VALUES (?, ?, ?, ?, ?)",
        [
            (submission.tenant_id, name, value, now_ms, message_row)
            for name, value in dict.fromkeys(submission.tags)  # the same tag may be given twice
        ],
    )


def _insert_entries(
    connection: Connection, submission: Submission, prepared: Prepared, message_row: int
) -> None:
    journal: list[events.EventRow] = []
    for draft, event in zip(prepared.entries, prepared.events, strict=True):
        address = draft.recipient.address
        row = (
            message_row,
            submission.tenant_id,
            str(address),
            draft.domain,
            draft.recipient.notify,
            draft.recipient.orcpt,
            submission.priority,
            EntryState.SUPPRESSED if draft.is_suppressed else EntryState.WAITING,
            ids.milliseconds(draft.due_at),
            "" if draft.is_suppressed else draft.why.value,
            draft.suppressed_for or None,
            ids.milliseconds(draft.due_at) if draft.why is Why.QUOTA else None,
        )
        entry_row = _inserted(connection, _INSERT_ENTRY, row)
        at_ms, data = ids.milliseconds(event.at), events.json_data(event.data)
        journal.append(
            (message_row, entry_row, submission.tenant_id, event.kind.value, at_ms, data)
        )
    events.append(connection, journal)


def _json(values: Sequence[object]) -> str:
    return json_text.encode(values).decode() if values else "[]"


def _inserted(connection: Connection, statement: str, row: tuple[object, ...]) -> int:
    """Insert a row and return its id."""
    [(row_id,)] = connection.execute(statement, row).fetchall()
    return int(row_id)
