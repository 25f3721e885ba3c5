"""What the SMTP server and its users share: the session's facts, its limits, and the Handler.

The dialogue itself is smtp_server.py. A Handler is what a door plugs in: submission
(smtp_submission.py) and the sink (sink.py) are two of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from mta.core.access import UNRESTRICTED, Access
from mta.core.address import Address
from mta.core.envelope import Envelope
from mta.core.frozen import frozen
from mta.core.message import Message
from mta.core.reply import Reply
from mta.intake import Intake
from mta.tls_certificate import ServerTls
from storage.spool import Spool


@frozen
class Limits:
    """What one client may use. The defaults are those of Postfix where it has the same limit.

    Attributes:
        message_size: bytes of a message; SIZE announces it.
        recipients: of one message; at least 100 (RFC 5321 4.5.3.1.8). As many again are told that
            they are too many (452); what still comes then counts as errors.
        connections: open at once, all clients together.
        connections_per_address: open at once from one IPv4 address or one IPv6 /64.
        junk_commands: NOOP, RSET, VRFY, HELP, EHLO between two messages.
        errors: replies 5yz between two messages.
        auth_failures: wrong passwords of a session; more end it.
        auth_delay: wait before a wrong password is answered.
        command_timeout: for a whole command line to arrive, and for DATA to get on (see data_rate).
        crowded_timeout: for a whole command line once more than half of all connections are open,
            so that whoever holds them idle cannot have them all for long.
        data_rate: bytes a second. Waiting for data costs its time, and each byte that comes gives
            1/data_rate back; who has waited off command_timeout is cut.
        session_time: after which a session gets no further command.
    """

    message_size: int = 25 * 2**20
    recipients: int = 1000
    connections: int = 1000
    connections_per_address: int = 100
    junk_commands: int = 100
    errors: int = 20
    auth_failures: int = 3
    auth_delay: timedelta = timedelta(seconds=1)
    command_timeout: timedelta = timedelta(minutes=5)
    crowded_timeout: timedelta = timedelta(seconds=10)
    data_rate: int = 500
    session_time: timedelta = timedelta(days=1)


@frozen
class Identity:
    """Who has authenticated.

    Attributes:
        tenant_id: whose mail this session submits.
        tenant_name: for the Received field.
        key_hash: hash of the API key that was shown.
        checked_at: monotonic time, in seconds, at which the key was last known to be good.
        access: what the key may do.
        key_id: "key_...", "" when it is not by a key of storage.
    """

    tenant_id: int
    tenant_name: str
    key_hash: bytes
    checked_at: float
    access: Access = UNRESTRICTED
    key_id: str = ""


@dataclass(slots=True)
class Session:
    """Facts about one connection.

    Attributes:
        address: IP address of the client.
        helo: name it gave, "" before HELO or EHLO.
        is_extended: whether it said EHLO.
        tls: protocol and cipher, "" in clear.
        may_authenticate: whether AUTH is offered as things stand.
        identity: who it is; None without AUTH.
    """

    address: str
    helo: str = ""
    is_extended: bool = False
    tls: str = ""
    may_authenticate: bool = False
    identity: Identity | None = None

    @property
    def protocol(self) -> str:
        """The protocol as a Received field names it (RFC 3848)."""
        if not self.is_extended:
            return "SMTP"
        return f"ESMTP{'S' if self.tls else ''}{'A' if self.identity else ''}"


class Arrival(Protocol):
    """One message on its way in: made after its header, completed after its final dot."""

    @property
    def header(self) -> bytes:
        """The header to keep in place of the one that came, with its blank line."""

    async def complete(self, message: Message) -> Reply:
        """Take responsibility for the message or refuse it; what is replied decides.

        A spool file belongs to whoever took the message; of a refused one it is removed.
        """


class Handler(Protocol):
    """What a door does with its clients. A Reply refuses; 421 ends the session besides."""

    async def authenticate(self, session: Session, user: str, password: bytes) -> Identity | None:
        """Return who shows these credentials, None when they are wrong."""

    async def may_send(self, session: Session) -> Reply | None:
        """Judge MAIL; None lets the client go on."""

    async def recipient(self, session: Session, address: Address) -> Reply | None:
        """Judge one RCPT; None takes the recipient."""

    def begin(self, session: Session, envelope: Envelope, header: bytes) -> Arrival | Reply:
        """Judge a message by its header.

        Args:
            session: the client.
            envelope: return path and recipients.
            header: the header block as it came, without the blank line.
        """


@frozen
class Service:
    """What all sessions of one listener share.

    Attributes:
        hostname: our name in greetings.
        handler: what the door does.
        limits: what one client may use.
        spool: for large messages; None keeps every message in memory.
        tls: our certificate; None switches STARTTLS off.
        offers_auth: whether there is AUTH at all.
        requires_tls_for_auth: whether a password must not come in clear.
        home: the domain that <postmaster> alone is in; "" for a door that does not know it.
        intake: where messages wait for their turn to come in.
    """

    hostname: str
    handler: Handler
    limits: Limits = Limits()
    spool: Spool | None = None
    tls: ServerTls | None = None
    offers_auth: bool = False
    requires_tls_for_auth: bool = True
    home: str = ""
    intake: Intake = field(default_factory=Intake)

    def new_session(self, address: str, tls: str = "") -> Session:
        """Return the facts of a connection, or of one that TLS has just begun on (RFC 3207 4.2)."""
        may_authenticate = self.offers_auth and bool(tls or not self.requires_tls_for_auth)
        return Session(address, tls=tls, may_authenticate=may_authenticate)
