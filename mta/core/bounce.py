"""Which kind of failure a refusal is: reply -> bounce class.

The enhanced status counts first, then the code; the text of a reply is not read here. Not here:
what follows from a class (disposition.py). Follows RFC 3463, the IANA registry of enhanced status
codes, and RFC 5321 4.2.3 for bare codes.
"""

from __future__ import annotations

import enum

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
    CONTENT_FORMAT = "content_format"
    TOO_LARGE = "too_large"
    POLICY = "policy"
    SENDER_REJECTED = "sender_rejected"
    NETWORK = "network"
    TLS = "tls"
    REMOTE_ERROR = "remote_error"
    PROTOCOL = "protocol"
    UNKNOWN = "unknown"


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
    "3.4": BounceClass.TOO_LARGE,
    "4.4": BounceClass.BAD_DOMAIN,
    "5.3": BounceClass.RATE_LIMIT,
    "7.10": BounceClass.TLS,
    "7.13": BounceClass.INACTIVE_MAILBOX,
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
}
"""Reply codes where no enhanced status came with them."""


def classify(reply: Reply, command: Command | None) -> BounceClass:
    """Return the class of a refusal.

    Args:
        reply: the refusal, with "" as enhanced status where the peer sent none.
        command: what it answered; None when no server spoke (a refusal made from the DNS).
    """
    _, _, detail = reply.enhanced.partition(".")
    if detail in _BY_DETAIL:
        return _BY_DETAIL[detail]
    subject = detail.partition(".")[0]
    if subject in _BY_SUBJECT:
        return _BY_SUBJECT[subject]
    if command is Command.RCPT and reply.code == 552:
        return BounceClass.MAILBOX_FULL
    if command is Command.RCPT and reply.code in {550, 551, 553} and not reply.text:
        # With a text, 550 may be about anything: many policy blocks use it too.
        return BounceClass.BAD_MAILBOX
    return _BY_CODE.get(reply.code, BounceClass.UNKNOWN)
