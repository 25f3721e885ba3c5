"""Accepting mail: the one transaction after whose COMMIT we are responsible for a message.

Reads the facts, lets core/submission decide, and has message, body, entries and events written
(submission_rows.py). Not here: building a Submission (each door does), idempotency
(idempotency.py), large bodies, which are in the spool before this begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mta.core import sandbox
from mta.core.access import Denial, may_send_from
from mta.core.frozen import frozen
from mta.core.quota import UNLIMITED, Quota
from mta.core.submission import AcceptFacts, Prepared, Submission, delayed, prepare
from storage import domains, faults, quotas, submission_rows, suppressions, unsubscribes
from storage.credits import InsufficientCredits, Reservations
from storage.database import Connection
from storage.submission_rows import NewMessage


@frozen
class AcceptPolicy:
    """What the operator demands of mail.

    Attributes:
        require_verified_domain: the domain of From, or a parent of it, is a verified domain of the
            tenant.
        sender_domains: as core.access.Access.domains of the key that is used; empty: all.
        bounce_domain: where our own return paths are, which any key may use; "" for none.
        quota: of tenants that have none of their own.
        sandbox_domain: where recipients are sandbox addresses, and test mail goes.
        takes_credits: whether recipients take credits of the tenant.
    """

    require_verified_domain: bool = True
    sender_domains: tuple[str, ...] = ()
    bounce_domain: str = ""
    quota: Quota = UNLIMITED
    sandbox_domain: str = sandbox.DEFAULT_DOMAIN
    takes_credits: bool = False


@frozen
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


@frozen
class DomainNotAllowed:
    """Nothing was written: the tenant may not send from this domain ("": there is no From).

    denial is set where the tenant may, but not the key.
    """

    domain: str
    denial: Denial | None = None


Acceptance = AcceptedEmail | DomainNotAllowed | InsufficientCredits


@frozen
class Wish:
    """A submission, and what must hold for it to be accepted."""

    submission: Submission
    policy: AcceptPolicy


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
    [acceptance] = accept_all(connection, [Wish(submission, policy)], now=now)
    return acceptance


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
    return accept_all(connection, [Wish(one, policy) for one in submissions], now=now)


def accept_all(
    connection: Connection, wishes: Sequence[Wish], *, now: datetime
) -> list[Acceptance]:
    """Do what accept() does for each, and what is the same for several only once."""
    known = _Known(connection, [wish.submission for wish in wishes], now)
    judged = [known.judge(wish) for wish in wishes]
    new = [one for one in judged if isinstance(one, NewMessage)]
    written = submission_rows.write(connection, new, now) if new else []
    submissions = (one.submission for one in new)
    known.reservations.record(zip(written, submissions, strict=True), now)
    rows = iter(written)
    for _ in new:
        faults.reach("before_accept")
    return [
        _accepted(one, next(rows), now) if isinstance(one, NewMessage) else one for one in judged
    ]


def check(
    connection: Connection, submission: Submission, policy: AcceptPolicy
) -> DomainNotAllowed | None:
    """Return why policy forbids a submission; None when it does not."""
    return _Senders(connection).refusal(Wish(submission, policy))


def may_send_as(
    connection: Connection, tenant_id: int, domain: str, policy: AcceptPolicy
) -> DomainNotAllowed | None:
    """Return why policy forbids a tenant to send from a domain (A-label); None when it does not."""
    return _Senders(connection).refusal_of(tenant_id, domain, policy, [domain])


class _Senders:
    """Who may send as which domain, each asked of storage once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._verified: dict[tuple[int, str], bool] = {}

    def refusal(self, wish: Wish) -> DomainNotAllowed | None:
        """Return why policy forbids a submission; None when it does not."""
        submission, policy = wish.submission, wish.policy
        names = _sender_domains(submission, policy)
        domain = submission.header.sender_domain
        return self.refusal_of(submission.tenant_id, domain, policy, names)

    def refusal_of(
        self, tenant_id: int, domain: str, policy: AcceptPolicy, names: Iterable[str]
    ) -> DomainNotAllowed | None:
        """Return why a tenant must not send from a domain, with these named as its sender's."""
        for named in names:
            if denial := may_send_from(policy.sender_domains, named):
                return DomainNotAllowed(named, denial)
        if not policy.require_verified_domain or self._is_verified(tenant_id, domain):
            return None
        return DomainNotAllowed(domain)

    def _is_verified(self, tenant_id: int, domain: str) -> bool:
        known = self._verified.get((tenant_id, domain))
        if known is None:
            names = _with_parents(domain)
            known = bool(domain) and domains.verified_among(self._connection, tenant_id, names)
            self._verified[tenant_id, domain] = known
        return known


class _Known:
    """What storage knows about a batch, each fact asked for once."""

    def __init__(
        self, connection: Connection, submissions: Sequence[Submission], now: datetime
    ) -> None:
        self._connection = connection
        self._now = now
        self._senders = _Senders(connection)
        self._quotas: dict[int, Quota | None] = {}
        self._suppressed = _suppressed(connection, submissions, now)
        self.reservations = Reservations(connection)

    def judge(self, wish: Wish) -> NewMessage | DomainNotAllowed | InsufficientCredits:
        """Return what a wish comes to."""
        refusal = self._senders.refusal(wish)
        if refusal is not None:
            return refusal
        submission, policy = wish.submission, wish.policy
        prepared = prepare(submission, AcceptFacts(self._now, self._out(wish)))
        if submission.is_test:
            prepared = _in_sandbox(prepared, policy.sandbox_domain)
        else:
            lacking = self._without_credits(submission, prepared, policy)
            if lacking is not None:
                return lacking
            prepared = self._within_quota(submission, prepared, policy)
        return NewMessage.of(submission, prepared, self._now)

    def _without_credits(
        self, submission: Submission, prepared: Prepared, policy: AcceptPolicy
    ) -> InsufficientCredits | None:
        """Reserve credits for what will be tried, where that takes any."""
        if not policy.takes_credits:
            return None
        pending = sum(not entry.is_suppressed for entry in prepared.entries)
        return self.reservations.take(submission, pending)

    def _out(self, wish: Wish) -> Mapping[str, str]:
        """Return suppression key -> reason; sandbox addresses are what their names say."""
        submission, sandbox_domain = wish.submission, wish.policy.sandbox_domain
        addresses = [recipient.address for recipient in submission.envelope.recipients]
        known = self._suppressed[submission.tenant_id]
        found = {key: known[key] for key in (one.key for one in addresses) if key in known}
        offer = submission.unsubscribe
        if offer is not None and offer.scope:
            keys = [address.key for address in addresses]
            found |= unsubscribes.lookup(self._connection, submission.tenant_id, offer.scope, keys)
        for address in addresses:
            if (is_suppressed := sandbox.is_suppressed(address, sandbox_domain)) is not None:
                found.pop(address.key, None)
                if is_suppressed:
                    found[address.key] = sandbox.SUPPRESSED_FOR
        return found

    def _within_quota(
        self, submission: Submission, prepared: Prepared, policy: AcceptPolicy
    ) -> Prepared:
        """Take places in the tenant's quota for what will be tried; let what is over it wait."""
        tenant_id = submission.tenant_id
        if tenant_id not in self._quotas:
            self._quotas[tenant_id] = quotas.own_quota(self._connection, tenant_id)
        quota = self._quotas[tenant_id] or policy.quota
        if not quota.limits():
            return prepared
        counted = [index for index, one in enumerate(prepared.entries) if not one.is_suppressed]
        times = [prepared.entries[index].due_at for index in counted]
        due = quotas.take_places(self._connection, tenant_id, quota, submission.priority, times)
        return delayed(prepared, dict(zip(counted, due, strict=True)))


def _suppressed(
    connection: Connection, submissions: Iterable[Submission], now: datetime
) -> Mapping[int, Mapping[str, str]]:
    """Return tenant -> suppression key -> reason, for the recipients of all submissions."""
    keys: dict[int, dict[str, None]] = {}
    for submission in submissions:
        ours = keys.setdefault(submission.tenant_id, {})
        ours.update((one.address.key, None) for one in submission.envelope.recipients)
    return {
        tenant_id: suppressions.lookup(connection, tenant_id, tuple(ours), now)
        for tenant_id, ours in keys.items()
    }


def _accepted(new: NewMessage, row: int, now: datetime) -> AcceptedEmail:
    entries = len(new.prepared.entries)
    return AcceptedEmail(row, new.submission.public_id, entries, now, new.status)


def _sender_domains(submission: Submission, policy: AcceptPolicy) -> Iterator[str]:
    """Yield the domains that a message gives as its sender's: From, and a return path of theirs."""
    yield submission.header.sender_domain
    mail_from = submission.envelope.mail_from
    if mail_from is not None and mail_from.domain != policy.bounce_domain:
        yield mail_from.domain


def _in_sandbox(prepared: Prepared, sandbox_domain: str) -> Prepared:
    entries = tuple(replace(entry, routing_domain=sandbox_domain) for entry in prepared.entries)
    return replace(prepared, entries=entries)


def _with_parents(domain: str) -> list[str]:
    """Return the domain and its parents down to two labels."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(max(len(labels) - 1, 1))]
