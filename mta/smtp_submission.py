"""The SMTP door for apps: who may submit, what is added to a header, and the queue behind it.

250 is replied to the final dot only after COMMIT. Bytes pass through exactly, save for what
mta/core/header.outgoing_header changes. Not here: the dialogue (smtp_server.py) and what is written
(storage/submissions.py). Follows RFC 6409 as far as it does not ask to rewrite mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import assert_never

from mta.acceptor import Acceptor
from mta.core.access import EMAILS_SEND, Access, Denial, Reason, may_use
from mta.core.address import Address
from mta.core.api_key import key_hash, looks_like_key
from mta.core.envelope import Envelope, Priority
from mta.core.expiring import ExpiringMap
from mta.core.frozen import frozen
from mta.core.header import (
    HeaderBlock,
    HeaderError,
    Stamp,
    facts,
    outgoing_header,
    received_field,
    rfc5322_date,
)
from mta.core.ids import milliseconds, new_id
from mta.core.loops import is_looping
from mta.core.message import HeaderFacts, Message
from mta.core.network import IpNetwork, in_networks
from mta.core.reply import Reply
from mta.core.submission import Door, Submission
from mta.core.unsubscribe import UnsubscribeOffer
from mta.entropy import Entropy
from mta.logs import log_event
from mta.smtp_idempotency import KeyReused, Repeated, Token, accept_once
from mta.smtp_session import Arrival, Identity, Session
from storage import faults, submissions, tenants
from storage.credits import InsufficientCredits
from storage.database import Database
from storage.submissions import Acceptance, AcceptedEmail, AcceptPolicy, DomainNotAllowed, Wish

MAX_CLIENTS = 1000
REMEMBERED_FOR = 60.0
"""Of how many clients, and for how many seconds, it is known whether they send bulk."""

_DEFAULT = Identity(tenants.DEFAULT_TENANT, "default", b"", 0.0)
"""Whom a client in a trusted network submits for when it does not authenticate."""


@frozen
class SubmissionRules:
    """What the operator decided.

    Attributes:
        hostname: our name in Received and Message-ID fields.
        trusted_networks: who needs no AUTH.
        policy: what must hold for mail to be accepted.
        recheck: how long a key that was good is believed to be; a revoked one ends its sessions.
        can_unsubscribe: whether there is a page of ours, or an address, to unsubscribe at.
    """

    hostname: str
    trusted_networks: tuple[IpNetwork, ...]
    policy: AcceptPolicy
    recheck: timedelta = timedelta(seconds=1)
    can_unsubscribe: bool = False


@frozen
class Callbacks:
    """Who hears of what, at once.

    Attributes:
        on_accepted: a message is committed.
        on_urgent: a transactional message is to be expected, or is here.
        on_key_used: that key ("key_...") is at work.
    """

    on_accepted: Callable[[], object]
    on_urgent: Callable[[], object] = bool
    on_key_used: Callable[[str], object] = bool


class SubmissionHandler:
    """Takes mail from clients in trusted networks and from those who show an API key."""

    def __init__(
        self,
        database: Database,
        rules: SubmissionRules,
        *,
        hear: Callbacks,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes] | None = None,
    ) -> None:
        """Take storage, the rules, who hears of what happens, and clock and entropy."""
        trusted = partial(in_networks, networks=rules.trusted_networks)
        self._is_trusted = lru_cache(maxsize=1024)(trusted)
        self._hear = hear
        self._sent_last: ExpiringMap[str, Priority] = ExpiringMap(MAX_CLIENTS)
        self._database = database
        self._acceptor = Acceptor(database, now=now)
        self._rules = rules
        self._policy = lru_cache(maxsize=256)(partial(_policy, rules.policy))
        self._now = now
        self._entropy = entropy or Entropy()

    async def authenticate(self, session: Session, user: str, password: bytes) -> Identity | None:
        """Return the tenant whose API key the password is; the user name may be anything."""
        key = password.decode("utf-8", "replace")
        return await self._identify(key_hash(key)) if looks_like_key(key) else None

    async def may_send(self, session: Session) -> Reply | None:
        """Let clients through that are trusted, or whose key is still good, while there is room."""
        self._database.require_room(0)
        if session.identity:
            denied = await self._recheck(session, session.identity) or self._judge_key(session)
            if denied is None:
                self._expect(session)
            return denied
        if self._is_trusted(session.address):
            self._expect(session)
            return None
        if session.may_authenticate:
            return Reply(530, "5.7.0", "Authentication required: the password is an API key")
        return Reply(
            550, "5.7.1", "Relaying denied: authenticate, with TLS, or have your network trusted"
        )

    async def recipient(self, session: Session, address: Address) -> Reply | None:
        """Take any recipient: this is where mail leaves for everywhere."""
        return None

    def begin(self, session: Session, envelope: Envelope, header: bytes) -> Arrival | Reply:
        """Read the header and write the one that will be kept."""
        try:
            block = HeaderBlock.parse(header)
            said = facts(block)
            token = Token.of(block)
        except HeaderError as error:
            return Reply(550, "5.6.0", str(error))
        wish = block.get(b"X-MTA-Priority") or b"transactional"
        priority = Priority.named(wish.decode("latin-1"))
        if priority is None:
            return Reply(550, "5.6.0", "X-MTA-Priority must be transactional or bulk")
        if is_looping(block, self._rules.hostname):
            return Reply(554, "5.4.6", "Mail loop: this mail has been here before")
        offer = self._offer(block)
        if isinstance(offer, Reply):
            return offer
        self._remember(session, priority)
        at = self._now()
        draft = _Draft(
            public_id=new_id("em", milliseconds(at), self._entropy(10)),
            identity=session.identity or _DEFAULT,
            envelope=envelope,
            priority=priority,
            token=token,
            unsubscribe=offer,
        )
        stamp = self._stamp(session, draft, at)
        if not said.message_id:
            said = replace(said, message_id=stamp.message_id.decode())
        return _Acceptance(self, draft, said, outgoing_header(block, stamp=stamp))

    def _offer(self, block: HeaderBlock) -> UnsubscribeOffer | Reply | None:
        """Return what X-MTA-Unsubscribe asks for, or why it cannot be."""
        match (block.get(b"X-MTA-Unsubscribe") or b"no").lower():
            case b"no":
                return None
            case b"yes" if self._rules.can_unsubscribe:
                return UnsubscribeOffer()
            case b"yes":
                text = "X-MTA-Unsubscribe needs api.public_url, which is not set here"
            case _:
                text = "X-MTA-Unsubscribe must be yes or no"
        return Reply(550, "5.6.0", text)

    async def accept(self, submission: Submission, token: Token | None, access: Access) -> Reply:
        """Commit a submission of somebody with this access, and say so; with a token, at most once.

        Raises:
            StorageError
        """
        if submission.priority is Priority.TRANSACTIONAL:
            self._hear.on_urgent()
        message, recipients = submission.message, len(submission.envelope.recipients)
        self._database.require_room(len(message.data or b""))
        accepted = await self._accept(Wish(submission, self._policy(access.domains)), token)
        faults.reach("after_accept")
        match accepted:
            case AcceptedEmail():
                self._hear.on_accepted()
                email = accepted.public_id
                log_event("queued", email=email, size=message.size, recipients=recipients)
                return Reply(250, "2.0.0", f"Ok: queued as {email}")
            case DomainNotAllowed(domain, denial):
                return _denied(denial) if denial else _not_allowed(domain)
            case InsufficientCredits(needed, available):
                text = f"Not enough credits: this message takes {needed}, {available} are available"
                return Reply(452, "4.7.1", text)
            case Repeated(email):
                if message.file is not None:  # the reply takes the message, and nobody needs it
                    await asyncio.to_thread(self._database.spool.remove, message.file)
                return Reply(250, "2.0.0", f"Ok: queued as {email}")
            case KeyReused():
                return Reply(550, "5.6.0", "This idempotency key came with another message before")
            case _:
                assert_never(accepted)

    async def _accept(self, wish: Wish, token: Token | None) -> Acceptance | Repeated | KeyReused:
        if token is None:
            return await self._acceptor.accept(wish)
        now, submission = self._now(), wish.submission
        return await self._database.write(
            partial(
                accept_once,
                accept=partial(
                    submissions.accept, submission=submission, policy=wish.policy, now=now
                ),
                tenant_id=submission.tenant_id,
                key=token.key,
                fingerprint=token.fingerprint(submission.envelope, submission.message),
                now=now,
            )
        )

    def _expect(self, session: Session) -> None:
        """Say at MAIL that urgent mail comes, unless this client's last message was bulk.

        Half of what such a message takes is over when it is here whole.
        """
        now = asyncio.get_running_loop().time()
        if self._sent_last.get(_client(session), now) is not Priority.BULK:
            self._hear.on_urgent()

    def _remember(self, session: Session, priority: Priority) -> None:
        ends_at = asyncio.get_running_loop().time() + REMEMBERED_FOR
        self._sent_last.put(_client(session), priority, ends_at)

    def _judge_key(self, session: Session) -> Reply | None:
        """Refuse what the key may not do, or not from there, and say why."""
        identity = session.identity or _DEFAULT
        denial = may_use(identity.access, EMAILS_SEND, address=session.address, now=self._now())
        if denial is not None:
            return _denied(denial)
        self._hear.on_key_used(identity.key_id)
        return None

    async def _identify(self, hashed: bytes) -> Identity | None:
        key = await self._database.read(partial(tenants.authenticate, key_hash=hashed))
        if key is None or key.access.is_over(self._now()):
            return None
        now = asyncio.get_running_loop().time()
        return Identity(key.tenant_id, key.tenant_name, hashed, now, key.access, key.id)

    async def _recheck(self, session: Session, identity: Identity) -> Reply | None:
        """See whether the key is still good, at most once in `recheck` so that bulk stays fast."""
        age = asyncio.get_running_loop().time() - identity.checked_at
        if age < self._rules.recheck.total_seconds():
            return None
        session.identity = await self._identify(identity.key_hash)
        return None if session.identity else Reply(421, "4.7.0", "The API key was revoked")

    def _stamp(self, session: Session, draft: _Draft, at: datetime) -> Stamp:
        hostname = self._rules.hostname
        received = received_field(
            helo=session.helo,
            peer=session.address,
            hostname=hostname,
            protocol=session.protocol,
            identifier=draft.public_id,
            tenant=draft.identity.tenant_name,
            at=at,
            tls=session.tls,
        )
        message_id = f"<{draft.public_id.removeprefix('em_')}@{hostname}>"
        return Stamp(received, rfc5322_date(at).encode(), message_id.encode())


@frozen
class _Draft:
    """What is known of a submission before its body has come."""

    public_id: str
    identity: Identity
    envelope: Envelope
    priority: Priority
    token: Token | None
    unsubscribe: UnsubscribeOffer | None


@frozen
class _Acceptance:
    """A message on its way into the queue; see smtp_session.Arrival."""

    handler: SubmissionHandler
    draft: _Draft
    facts: HeaderFacts
    header: bytes

    async def complete(self, message: Message) -> Reply:
        """Accept the message."""
        submission = Submission(
            public_id=self.draft.public_id,
            tenant_id=self.draft.identity.tenant_id,
            door=Door.SMTP,
            envelope=self.draft.envelope,
            message=message,
            header=self.facts,
            priority=self.draft.priority,
            is_test=self.draft.identity.access.is_test,
            unsubscribe=self.draft.unsubscribe,
        )
        return await self.handler.accept(submission, self.draft.token, self.draft.identity.access)


def _policy(policy: AcceptPolicy, domains: tuple[str, ...]) -> AcceptPolicy:
    """Return the policy for a key that may send as these domains only; empty: as all."""
    return replace(policy, sender_domains=domains)


def _client(session: Session) -> str:
    return session.identity.key_id if session.identity else session.address


def _denied(denial: Denial) -> Reply:
    if denial.reason is Reason.EXPIRED:
        return Reply(421, "4.7.0", denial.message)
    return Reply(550, "5.7.1", denial.message)


def _not_allowed(domain: str) -> Reply:
    if not domain:
        return Reply(550, "5.6.0", "The message needs a From field with one address")
    text = (
        f"{domain} is not a verified sender domain of yours: run `mta domain add {domain}`,"
        f" publish the DNS records it prints, then run `mta domain verify {domain}`"
    )
    return Reply(550, "5.7.1", text)
