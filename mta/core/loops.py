"""Mail that goes round, and mail that no machine may answer.

Not here: the 554 that a looping message gets (mta/smtp_server.py), and reports on failed delivery,
which only the null return path rules out (delivery_status.py). Follows RFC 5321 6.3, RFC 3834 2.
"""

from __future__ import annotations

import re

from mta.core.address import Address
from mta.core.header import HeaderBlock

MAX_HOPS = 100
"""Received fields of mail that is not looping (RFC 5321 6.3: normally at least 100)."""
MAX_PASSES = 5
"""Times that one mail may have come through this server. More than once is in order: a mailing list
or a forwarder at the far end may send through us too."""

_MARK = b"(Mailwright)"
"""What header.received_field writes behind our name; another server on this machine may share the
name and is counted by its hops only."""
_COMMENT = re.compile(rb"\([^()]*+\)")
_AUTOMATIC = frozenset({b"bulk", b"list", b"junk", b"auto_reply"})
_NO_REPLY = frozenset({b"all", b"autoreply"})
_SOFTWARE = frozenset(
    {"mailer-daemon", "postmaster", "listserv", "majordomo", "noreply", "no-reply"}
    | {"do-not-reply", "donotreply"}
)
"""Local parts behind which nobody reads, or a list server reads commands."""
_ROLE_PREFIXES = ("owner-",)
_ROLE_SUFFIXES = ("-request", "-owner", "-bounces")


def is_looping(
    block: HeaderBlock, hostname: str, *, max_hops: int = MAX_HOPS, max_passes: int = MAX_PASSES
) -> bool:
    """Tell whether a message has been round too often, by the Received fields it arrived with.

    Args:
        block: its header, before we add a Received field.
        hostname: our own name, as it stands in the fields that we add.
        max_hops: Received fields that are still in order.
        max_passes: how many of them may be ours.
    """
    received = block.all(b"Received")
    if len(received) > max_hops:
        return True
    if len(received) <= max_passes:
        return False
    host = hostname.lower().encode()
    return sum(_is_ours(field.value, host) for field in received) > max_passes


def may_answer(block: HeaderBlock, return_path: Address | None) -> bool:
    """Tell whether a program may answer a message by itself (RFC 3834 2).

    It may not where that could make two programs answer each other, or a list get the answer: the
    return path is null or a program's, or the header says that a program or a list sent it.

    Args:
        block: the header of the message.
        return_path: its MAIL FROM, where an answer would go; None for the null return path.
    """
    if return_path is None or _is_program(return_path.local):
        return False
    return not (
        any(field.lower.startswith(b"list-") for field in block.fields)
        or any(_keyword(field.value) != b"no" for field in block.all(b"Auto-Submitted"))
        or any(_keyword(field.value) in _AUTOMATIC for field in block.all(b"Precedence"))
        or any(_words(field.value) & _NO_REPLY for field in block.all(b"X-Auto-Response-Suppress"))
        or any(_keyword(field.value) == b"multipart/report" for field in block.all(b"Content-Type"))
    )


def _is_ours(value: bytes, host: bytes) -> bool:
    words = value.split()
    return any(
        by.lower() == b"by" and name.lower() == host and mark == _MARK
        for by, name, mark in zip(words, words[1:], words[2:], strict=False)
    )


def _is_program(local: str) -> bool:
    name = local.strip('"').lower().partition("+")[0]
    return name in _SOFTWARE or name.startswith(_ROLE_PREFIXES) or name.endswith(_ROLE_SUFFIXES)


def _keyword(value: bytes) -> bytes:
    """Return what stands before the parameters, in lower case and without comments."""
    return _COMMENT.sub(b" ", value).partition(b";")[0].strip(b" \t").lower()


def _words(value: bytes) -> set[bytes]:
    return {word.strip(b" \t").lower() for word in value.split(b",")}
