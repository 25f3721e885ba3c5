"""Which kind of failure a refusal is: the classes, what follows from each, and codes -> class.

Here only codes speak: the enhanced status first, then the reply code. Texts are read by a
Classifier (bounce_rules.py), which comes back here where no rule knows the text. Not here: what an
entry's fate is (disposition.py). Follows RFC 3463, the IANA registry of enhanced status codes, and
RFC 5321 4.2.3 for bare codes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import timedelta

from mta.core.frozen import frozen
from mta.core.outcome import Command
from mta.core.reply import Reply


class BounceClass(enum.Enum):
    """Why mail was refused, in the words that the API, the rules and the statistics share."""

    BAD_MAILBOX = "bad_mailbox"
    BAD_DOMAIN = "bad_domain"
    INACTIVE_MAILBOX = "inactive_mailbox"
    MAILBOX_FULL = "mailbox_full"
    RATE_LIMIT = "rate_limit"
    GREYLIST = "greylist"
    IP_REPUTATION = "ip_reputation"
    AUTH = "auth"
    SPAM_CONTENT = "spam_content"
    VIRUS = "virus"
    CONTENT_FORMAT = "content_format"
    TOO_LARGE = "too_large"
    POLICY = "policy"
    SENDER_REJECTED = "sender_rejected"
    RELAY_DENIED = "relay_denied"
    FILTERED = "filtered"
    NETWORK = "network"
    EXPIRED = "expired"
    TLS = "tls"
    REMOTE_ERROR = "remote_error"
    PROTOCOL = "protocol"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"
    FEEDBACK = "feedback"
    AUTOREPLY = "autoreply"
    DELIVERED = "delivered"


class Scope(enum.Enum):
    """Whom a refusal is about: who has to change for the next mail to get through."""

    RECIPIENT = "recipient"
    SENDER_IP = "sender_ip"
    SENDER_DOMAIN = "sender_domain"
    MESSAGE = "message"
    DESTINATION = "destination"
    UNKNOWN = "unknown"


HARD = frozenset(
    {BounceClass.BAD_MAILBOX, BounceClass.BAD_DOMAIN, BounceClass.INACTIVE_MAILBOX},
)
"""The classes that may suppress an address. Reputation, authentication, policy and content never
do: the address is good, and what was wrong is ours."""

PASSING = frozenset(
    {
        BounceClass.RATE_LIMIT,
        BounceClass.GREYLIST,
        BounceClass.NETWORK,
        BounceClass.EXPIRED,
        BounceClass.REMOTE_ERROR,
    },
)
"""The classes that are temporary where neither a status nor a code says otherwise."""

_SCOPES = {
    Scope.RECIPIENT: (
        BounceClass.BAD_MAILBOX,
        BounceClass.BAD_DOMAIN,
        BounceClass.INACTIVE_MAILBOX,
        BounceClass.MAILBOX_FULL,
        BounceClass.SUPPRESSED,
    ),
    Scope.SENDER_IP: (BounceClass.IP_REPUTATION, BounceClass.RATE_LIMIT, BounceClass.GREYLIST),
    Scope.SENDER_DOMAIN: (BounceClass.AUTH, BounceClass.SENDER_REJECTED),
    Scope.MESSAGE: (
        BounceClass.SPAM_CONTENT,
        BounceClass.VIRUS,
        BounceClass.CONTENT_FORMAT,
        BounceClass.TOO_LARGE,
    ),
    Scope.DESTINATION: (
        BounceClass.NETWORK,
        BounceClass.EXPIRED,
        BounceClass.TLS,
        BounceClass.REMOTE_ERROR,
        BounceClass.PROTOCOL,
        BounceClass.RELAY_DENIED,
    ),
}
_SCOPE_OF = {member: scope for scope, members in _SCOPES.items() for member in members}


def scope_of(bounce_class: BounceClass) -> Scope:
    """Return whom refusals of a class are about; UNKNOWN where the class leaves it open."""
    return _SCOPE_OF.get(bounce_class, Scope.UNKNOWN)


@frozen
class Verdict:
    """What a refusal means.

    Attributes:
        bounce_class: the kind of failure.
        is_permanent: the same mail would be refused again.
        may_suppress: failures of this kind tell against the address, never merely a 5yz code.
        rule: what decided: a rule's id, "status:5.1.1", "code:552", or "" when nothing did.
        status: enhanced status (RFC 3463); inferred from the class where the peer gave none.
        retry_after: how long the peer asks to wait; None where it does not say.
    """

    bounce_class: BounceClass
    is_permanent: bool
    may_suppress: bool
    rule: str
    status: str
    retry_after: timedelta | None = None

    @property
    def is_textual(self) -> bool:
        """True when a rule knew the words; False when codes, or nothing, had to do."""
        return bool(self.rule) and not self.rule.startswith(("status:", "code:"))

    @property
    def is_hard(self) -> bool:
        """True when the address should get no more mail: it is at fault, and for good."""
        return self.may_suppress and self.is_permanent


_BY_DETAIL = {
    "1.1": BounceClass.BAD_MAILBOX,
    "1.2": BounceClass.BAD_DOMAIN,
    "1.3": BounceClass.BAD_MAILBOX,
    "1.6": BounceClass.BAD_MAILBOX,
    "1.7": BounceClass.SENDER_REJECTED,
    "1.8": BounceClass.SENDER_REJECTED,
    "1.10": BounceClass.BAD_DOMAIN,
    "2.1": BounceClass.INACTIVE_MAILBOX,
    "2.2": BounceClass.MAILBOX_FULL,
    "2.3": BounceClass.TOO_LARGE,
    "3.2": BounceClass.BAD_DOMAIN,
    "3.4": BounceClass.TOO_LARGE,
    "4.4": BounceClass.BAD_DOMAIN,
    "4.7": BounceClass.EXPIRED,
    "5.3": BounceClass.RATE_LIMIT,
    "7.10": BounceClass.TLS,
    "7.13": BounceClass.INACTIVE_MAILBOX,
    "7.17": BounceClass.BAD_MAILBOX,
    "7.20": BounceClass.AUTH,
    "7.21": BounceClass.AUTH,
    "7.22": BounceClass.AUTH,
    "7.23": BounceClass.AUTH,
    "7.24": BounceClass.AUTH,
    "7.25": BounceClass.IP_REPUTATION,
    "7.26": BounceClass.AUTH,
    "7.27": BounceClass.SENDER_REJECTED,
    "7.28": BounceClass.RATE_LIMIT,
    "7.29": BounceClass.AUTH,
    "7.30": BounceClass.TLS,
}
"""Subject and detail of RFC 3463 (the class digit apart) where they alone tell the kind."""

_TEMPORARY_DETAIL = {
    "3.2": BounceClass.REMOTE_ERROR,
    "4.4": BounceClass.NETWORK,
}
"""Details that say less when the class digit is 4: a server that rests, a DNS that hiccups."""

_BY_SUBJECT = {
    "3": BounceClass.REMOTE_ERROR,
    "4": BounceClass.NETWORK,
    "5": BounceClass.PROTOCOL,
    "6": BounceClass.CONTENT_FORMAT,
    "7": BounceClass.POLICY,
}
"""Subject of RFC 3463 alone, where the detail is not in the table above."""

_BY_CODE = {
    421: BounceClass.RATE_LIMIT,
    500: BounceClass.PROTOCOL,
    501: BounceClass.PROTOCOL,
    502: BounceClass.PROTOCOL,
    503: BounceClass.PROTOCOL,
    504: BounceClass.PROTOCOL,
    552: BounceClass.TOO_LARGE,
    555: BounceClass.PROTOCOL,
    556: BounceClass.BAD_DOMAIN,
}
"""Reply codes where no enhanced status came with them."""

_DETAIL_OF = {
    BounceClass.BAD_MAILBOX: "1.1",
    BounceClass.BAD_DOMAIN: "1.2",
    BounceClass.INACTIVE_MAILBOX: "2.1",
    BounceClass.MAILBOX_FULL: "2.2",
    BounceClass.RATE_LIMIT: "7.28",
    BounceClass.GREYLIST: "7.1",
    BounceClass.IP_REPUTATION: "7.1",
    BounceClass.AUTH: "7.26",
    BounceClass.SPAM_CONTENT: "7.1",
    BounceClass.VIRUS: "7.1",
    BounceClass.CONTENT_FORMAT: "6.0",
    BounceClass.TOO_LARGE: "3.4",
    BounceClass.POLICY: "7.0",
    BounceClass.SENDER_REJECTED: "1.8",
    BounceClass.RELAY_DENIED: "7.1",
    BounceClass.FILTERED: "7.1",
    BounceClass.NETWORK: "4.1",
    BounceClass.EXPIRED: "4.7",
    BounceClass.TLS: "7.10",
    BounceClass.REMOTE_ERROR: "3.0",
    BounceClass.PROTOCOL: "5.0",
}

Classify = Callable[[Reply, Command | None], BounceClass]
"""Reply and the command that it answers -> class: `classify` here, or a Classifier's classify."""


def classify(reply: Reply, command: Command | None) -> BounceClass:
    """Return the class of a refusal by its codes alone.

    Args:
        reply: the refusal, with "" as enhanced status where the peer sent none.
        command: what it answered; None when no server spoke (a refusal made from the DNS).
    """
    if bounce_class := class_of_status(reply.enhanced):
        return bounce_class
    return class_of_code(reply.code, command, has_text=bool(reply.text))


def class_of_status(status: str) -> BounceClass | None:
    """Return what an enhanced status alone says (RFC 3463); None where it says nothing."""
    digit, _, detail = status.partition(".")
    if digit == "4" and detail in _TEMPORARY_DETAIL:
        return _TEMPORARY_DETAIL[detail]
    return _BY_DETAIL.get(detail) or _BY_SUBJECT.get(detail.partition(".")[0])


def class_of_code(code: int, command: Command | None, *, has_text: bool) -> BounceClass:
    """Return what a reply code alone says (RFC 5321 4.2.3), 0 meaning that there is none."""
    if command is Command.RCPT and code == 552:
        return BounceClass.MAILBOX_FULL
    if command is Command.RCPT and code in {550, 551, 553} and not has_text:
        # With a text, 550 may be about anything: many policy blocks use it too.
        return BounceClass.BAD_MAILBOX
    if code == 556 and has_text and command is not Command.RCPT:
        return BounceClass.UNKNOWN  # RFC 7504 4 means the domain; others mean anything
    return _BY_CODE.get(code, BounceClass.UNKNOWN)


def status_of(bounce_class: BounceClass, *, is_permanent: bool) -> str:
    """Return the enhanced status that says best what a class means (RFC 3463); "" for none."""
    detail = _DETAIL_OF.get(bounce_class, "0.0")
    return f"{5 if is_permanent else 4}.{detail}"
