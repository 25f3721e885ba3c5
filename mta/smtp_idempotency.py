"""Messages that come twice over SMTP with one idempotency key: accepted once, answered alike.

The key is remembered in the transaction that accepts the message, as over HTTP, for 24 hours; it
counts for a tenant, whichever client sends it. Not here: the header fields (core/idempotency.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mta.core.envelope import Envelope
from mta.core.frozen import frozen
from mta.core.header import HeaderBlock
from mta.core.idempotency import fingerprint, header_digest, key_of
from mta.core.message import Message
from storage import idempotency
from storage.database import Connection
from storage.idempotency import StoredAnswer
from storage.submissions import Acceptance, AcceptedEmail

SCOPE = "SMTP"
"""What stands for method and path."""


@frozen
class Repeated:
    """The message was accepted before, as this "em_..."; nothing was written."""

    public_id: str


@frozen
class KeyReused:
    """The key came with another message before; nothing was written."""


@frozen
class Token:
    """A key and what is known of its message before the body has come."""

    key: str
    header: bytes

    @classmethod
    def of(cls, block: HeaderBlock) -> Token | None:
        """Return the token of a message, None when its header has no key.

        Raises:
            HeaderError: as core.idempotency.key_of.
        """
        key = key_of(block)
        return cls(key, header_digest(block)) if key else None

    def fingerprint(self, envelope: Envelope, message: Message) -> bytes:
        """Return what another message under this key would not have."""
        return fingerprint(envelope, self.header, message.body_hash)


def accept_once(
    connection: Connection,
    accept: Callable[[Connection], Acceptance],
    *,
    tenant_id: int,
    key: str,
    fingerprint: bytes,
    now: datetime,
) -> Acceptance | Repeated | KeyReused:
    """Accept a message unless its key says that this has been done."""
    found = idempotency.fresh(connection, tenant_id=tenant_id, scope=SCOPE, key=key, now=now)
    if found is not None:
        is_same = found.fingerprint == fingerprint
        return Repeated(found.body.decode()) if is_same else KeyReused()
    accepted = accept(connection)
    if isinstance(accepted, AcceptedEmail):
        answer = StoredAnswer(fingerprint, 250, accepted.public_id.encode(), now)
        idempotency.remember(connection, tenant_id=tenant_id, scope=SCOPE, key=key, answer=answer)
    return accepted
