"""What the peer did with one recipient of one attempt: the outcome, before we decide anything.

Not here: the decision taken on it (disposition.py). Follows RFC 5321 4.2 and 4.1.
"""

from __future__ import annotations

import enum
from datetime import datetime

from mta.core.frozen import frozen
from mta.core.reply import Reply


class Command(enum.Enum):
    """The step of the SMTP dialogue that a reply answers (RFC 5321 4.1)."""

    CONNECT = "connect"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END_OF_DATA = "end_of_data"


class Stage(enum.Enum):
    """Where an attempt ended without any reply of the peer to this recipient."""

    ROUTE = "route"
    """No usable route: DNS did not answer, or no address may be used."""
    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    SESSION = "session"
    """The connection broke or timed out inside the transaction, before the final dot."""
    LOCAL = "local"
    """Our own fault: the message could not be read or signed, or what nobody expected happened."""
    DAMAGED = "damaged"
    """What is stored of the message is not what was accepted; trying again cannot mend it."""


@frozen
class Peer:
    """The server that an attempt spoke to.

    Attributes:
        host: MX or smarthost name as routed, A-label; "" when none was reached.
        address: IP address without port, "" when none was reached.
        tls: protocol and cipher such as "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in clear.
    """

    host: str = ""
    address: str = ""
    tls: str = ""


@frozen
class Accepted:
    """The peer took responsibility: 2yz to the final dot (RFC 5321 4.2.5)."""

    reply: Reply


@frozen
class Refused:
    """The peer (or a check on its behalf, such as SIZE) answered 4yz or 5yz at `command`."""

    reply: Reply
    command: Command


@frozen
class Unreachable:
    """No reply for this recipient: the attempt ended at `stage` with `error` (one printable line).

    is_permanent tells a failure that trying again cannot mend, such as NXDOMAIN or a null MX;
    enhanced then carries its status, for example "5.1.10" (RFC 7505).
    """

    stage: Stage
    error: str
    is_permanent: bool = False
    enhanced: str = ""


OUR_FAULT = Unreachable(Stage.LOCAL, "an error of ours; the log of the server has it")
"""What nobody expected to go wrong with an attempt."""


@frozen
class Ambiguous:
    """Lost after the final dot: the peer may or may not have the message (RFC 1047)."""

    error: str


Outcome = Accepted | Refused | Unreachable | Ambiguous


@frozen
class Attempt:
    """One outcome with the facts around it, as the journal keeps it.

    Attributes:
        started_at, ended_at: aware UTC times of this transaction.
        peer: whom we spoke to.
    """

    outcome: Outcome
    peer: Peer
    started_at: datetime
    ended_at: datetime
