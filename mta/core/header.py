"""The header block of a message: fields kept byte for byte, what they say, and what we add to them.

A message that is submitted passes through exactly, save for what outgoing_header removes and adds.
Every step is linear and bounded. Not here: composing (mime.py), text of values (header_text.py),
signatures (mta/signing.py). Follows RFC 5322 2.2 and 3.6, RFC 5321 4.4 and RFC 6532.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from functools import lru_cache
from itertools import islice

from mta.core.address import AddressError, parse_address
from mta.core.frozen import frozen
from mta.core.header_text import (
    MAX_MAILBOXES,
    MAX_VALUE,
    decode_words,
    plain_text,
    read_mailboxes,
)
from mta.core.ids import milliseconds, moment
from mta.core.message import HeaderFacts

MAX_HEADER_SIZE = 102_400
"""Octets of a header block (the limit that Postfix has)."""
MAX_HEADER_FIELDS = 1000
"""Fields of a header block."""
MAX_SUBJECT = 500
"""Characters of a subject kept for display."""

_ONE_FIELD = rb"([!-9;-~]++)[ \t]*+:[^\r\n\x00]*+\r\n(?:[ \t][^\r\n\x00]*+\r\n)*"
_FIELD = re.compile(_ONE_FIELD)
_FIELDS = re.compile(rb"^(" + _ONE_FIELD + rb")", re.MULTILINE)
"""All fields, each with its name; whether anything stands between them, their lengths tell."""
IDEMPOTENCY_FIELDS = (b"Idempotency-Key", b"X-Idempotency-Key", b"Resend-Idempotency-Key")
"""Fields by which a client says that messages are one and the same submission."""

_PRIVATE = {b"bcc", b"resent-bcc", b"return-path", *(name.lower() for name in IDEMPOTENCY_FIELDS)}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_IN_ATOM = re.compile(r"[^A-Za-z0-9._:@\[\]/+-]")
_NOT_IN_COMMENT = re.compile(r"[^ !#-'*-\[\]-~]")


class HeaderError(ValueError):
    """The header block is malformed or too large; the message says where, in one line."""


@frozen
class Field:
    """One header field.

    Attributes:
        name: as written.
        raw: the whole field with name, folding and final CRLF.
    """

    name: bytes
    raw: bytes

    @classmethod
    def of(cls, name: bytes, value: bytes) -> Field:
        """Build "name: value" with a CRLF; the value may be folded, with CRLF and white space.

        Raises:
            HeaderError: that would not be exactly one field.
        """
        raw = name + b": " + value + b"\r\n"
        match = _FIELD.fullmatch(raw)
        if match is None or match[1] != name:
            raise HeaderError("name or value would not make one header field")
        return cls(name, raw)

    @property
    def lower(self) -> bytes:
        """The name in lower case."""
        return self.name.lower()

    @property
    def value(self) -> bytes:
        """What follows the colon, unfolded, without white space around it."""
        return self.raw.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")


@frozen
class HeaderBlock:
    """Header fields in order, from the top."""

    fields: tuple[Field, ...]
    _by_name: Mapping[bytes, list[Field]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[bytes, list[Field]] = {}
        for one in self.fields:
            by_name.setdefault(one.name.lower(), []).append(one)
        object.__setattr__(self, "_by_name", by_name)

    @classmethod
    def parse(cls, data: bytes) -> HeaderBlock:
        """Return the block that data is: without the blank line, every line ended by CRLF.

        Raises:
            HeaderError: a line that neither begins nor continues a field, a NUL, a bare CR or LF,
                or a block larger than MAX_HEADER_SIZE or MAX_HEADER_FIELDS.
        """
        if len(data) > MAX_HEADER_SIZE:
            raise HeaderError(f"the header is larger than {MAX_HEADER_SIZE} octets")
        found = _FIELDS.findall(data)
        if sum([len(raw) for raw, _ in found]) != len(data):
            raise HeaderError(f"malformed header field at line {_malformed_line(data)}")
        if len(found) > MAX_HEADER_FIELDS:
            raise HeaderError(f"the header has more than {MAX_HEADER_FIELDS} fields")
        return cls(tuple([Field(name, raw) for raw, name in found]))

    def all(self, name: bytes) -> tuple[Field, ...]:
        """Return the fields of that name, in any case, from the top."""
        return tuple(self._by_name.get(name.lower(), ()))

    def get(self, name: bytes) -> bytes | None:
        """Return the unfolded value of the first field of that name, None when there is none."""
        found = self._by_name.get(name.lower())
        return found[0].value if found else None

    def without(self, *names: bytes) -> HeaderBlock:
        """Return the block without the fields of these names, in any case."""
        dropped = {name.lower() for name in names} & self._by_name.keys()
        if not dropped:
            return self
        return HeaderBlock(tuple(one for one in self.fields if one.lower not in dropped))

    @property
    def names(self) -> frozenset[bytes]:
        """The names of its fields in lower case."""
        return frozenset(self._by_name)

    def prepended(self, raw: bytes) -> HeaderBlock:
        """Return the block with the fields of `raw`, CRLFs and all, above the others.

        Raises:
            HeaderError: raw is not made of whole fields.
        """
        return HeaderBlock(HeaderBlock.parse(raw).fields + self.fields)

    def appended(self, raw: bytes) -> HeaderBlock:
        """Return the block with the fields of `raw` below the others; raises like prepended."""
        return HeaderBlock(self.fields + HeaderBlock.parse(raw).fields)

    def to_bytes(self) -> bytes:
        """Return the bytes of all fields, without the blank line."""
        return b"".join([one.raw for one in self.fields])


def split_header(data: bytes) -> tuple[bytes, int]:
    """Return the header block of a message and the offset at which its body begins.

    The blank line belongs to neither. Without one the whole message is header.
    """
    if data.startswith(b"\r\n"):
        return b"", 2
    end = data.find(b"\r\n\r\n")
    return (data, len(data)) if end < 0 else (data[: end + 2], end + 4)


def facts(block: HeaderBlock) -> HeaderFacts:
    """Return what the header says, for policy, lists and events; see HeaderFacts for absent fields.

    Raises:
        HeaderError: more than one From field, an endless one, or From addresses of several domains:
            then no domain is the sender's, and a mail program would show whichever it likes.
    """
    authors = _authors(block)
    domains = {_domain(address) for address in authors}
    if len(domains) > 1:
        raise HeaderError("the From field names addresses of several domains")
    return HeaderFacts(
        from_address=authors[0] if authors else "",
        sender_domain=domains.pop() if domains else "",
        subject=decode_words(block.get(b"Subject") or b"")[:MAX_SUBJECT],
        message_id=plain_text(block.get(b"Message-ID") or b""),
        to=_mailboxes(block, b"To"),
        cc=_mailboxes(block, b"Cc"),
        bcc=_mailboxes(block, b"Bcc"),
        reply_to=_mailboxes(block, b"Reply-To"),
        has_8bit_header=not block.to_bytes().isascii(),
    )


@frozen
class Stamp:
    """What we add to a header.

    Attributes:
        received: whole Received field, as received_field makes it.
        date: value for Date where the client gave none.
        message_id: value for Message-ID, with its angle brackets, where the client gave none.
    """

    received: bytes
    date: bytes
    message_id: bytes


def outgoing_header(block: HeaderBlock, *, stamp: Stamp) -> bytes:
    """Return the header as it will be stored and delivered, with its blank line.

    Bcc, Return-Path, our own X-MTA- fields and idempotency keys go; Received comes on top, Date and
    Message-ID below where they are missing. All other bytes stay. Done once, before it is kept.

    Raises:
        HeaderError: a part of the stamp is not one field.
    """
    kept = block.without(*filter(_is_private, block.names))
    parts = [HeaderBlock.parse(stamp.received).to_bytes(), kept.to_bytes()]
    for name, value in ((b"Date", stamp.date), (b"Message-ID", stamp.message_id)):
        if not kept.all(name):
            parts.append(Field.of(name, value).raw)
    return b"".join((*parts, b"\r\n"))


def received_field(  # noqa: PLR0913 - one argument for each clause of the field
    *,
    helo: str,
    peer: str,
    hostname: str,
    protocol: str,
    identifier: str,
    tenant: str,
    at: datetime,
    tls: str = "",
) -> bytes:
    """Return a whole Received field, folded (RFC 5321 4.4). No argument can break out of it.

    Args:
        helo: name that the client gave, "" to leave the from clause out.
        peer: IP address of the client, "" when there is none to tell.
        hostname: our own name.
        protocol: "ESMTP", "ESMTPSA", "HTTP", ... (RFC 3848).
        identifier: the email's public id.
        tenant: name of whose mail it is, so that a complaint finds its way; "" to leave it out.
        at: time of arrival (aware).
        tls: protocol and cipher, "" in clear.
    """
    said = _session_clauses(helo, peer, hostname, protocol, tls)
    whose = f" (tenant {_comment(tenant)})" if tenant else ""
    clauses = f"{said}id {_atom(identifier)}{whose}"
    return f"Received: {clauses};\r\n\t{rfc5322_date(at)}\r\n".encode("ascii")


@lru_cache(maxsize=1024)
def _session_clauses(helo: str, peer: str, hostname: str, protocol: str, tls: str) -> str:
    """Return the clauses that are the same for all messages of a session."""
    lines = []
    if helo:
        lines.append(f"from {_atom(helo)}" + (f" ([{_literal(peer)}])" if peer else ""))
    if tls:
        lines.append(f"({_comment(tls)})")
    lines.append(f"by {_atom(hostname)} (Mailwright) with {_atom(protocol)}")
    return "".join(f"{line}\r\n\t" for line in lines)


def rfc5322_date(at: datetime) -> str:
    """Return an aware time as "Tue, 01 Jan 2030 09:30:00 +0000", in UTC (RFC 5322 3.3)."""
    return _date(milliseconds(at) // 1000)


@lru_cache(maxsize=16)
def _date(second: int) -> str:
    """Return the same once for all mail of a second since the epoch."""
    at = moment(second * 1000)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    clock = f"{at.hour:02}:{at.minute:02}:{at.second:02}"
    return f"{day}, {at.day:02} {month} {at.year:04} {clock} +0000"


def _authors(block: HeaderBlock) -> list[str]:
    """Return the addresses in From; a mailbox of two minds about its address counts as ""."""
    senders = block.all(b"From")
    if not senders:
        return []
    if len(senders) > 1:
        raise HeaderError("the header has more than one From field")
    if len(senders[0].value) > MAX_VALUE:
        raise HeaderError(f"the From field is longer than {MAX_VALUE} octets")
    addresses = [address for _, address in read_mailboxes(senders[0].value, limit=MAX_VALUE)]
    # A word without @ is the rest of a name with an unquoted comma, as in: Doe, Jo <jo@x.example>
    return [address for address in addresses if "@" in address or not address]


def _domain(address: str) -> str:
    try:
        return parse_address(address).domain
    except AddressError:
        return ""


def _mailboxes(block: HeaderBlock, name: bytes) -> tuple[str, ...]:
    """Return the first mailboxes in the fields of that name, for display."""
    if not (fields := block.all(name)):
        return ()
    found = (mailbox for one in fields for mailbox in read_mailboxes(one.value))
    return tuple(_shown(*mailbox) for mailbox in islice(found, MAX_MAILBOXES))


def _shown(name: str, address: str) -> str:
    return f"{name} <{address}>" if name else address


def _malformed_line(data: bytes) -> int:
    """Return the number of the first line that neither begins nor continues a field."""
    position = 0
    while match := _FIELD.match(data, position):
        position = match.end()
    return data.count(b"\n", 0, position) + 1


def _is_private(lower: bytes) -> bool:
    """Tell whether a field is between the client and us, or for its own server to write."""
    return lower in _PRIVATE or lower.startswith(b"x-mta-")


def _atom(text: str) -> str:
    return _NOT_IN_ATOM.sub("?", text[:255])


def _comment(text: str) -> str:
    return _NOT_IN_COMMENT.sub("?", text[:255])


def _literal(peer: str) -> str:
    address = ipaddress.ip_address(peer)
    return _atom(f"IPv6:{address}" if address.version == 6 else str(address))
