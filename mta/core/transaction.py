"""One mail transaction: what a session is to deliver, and how that is asked of a given server.

Not here: speaking it (mta/smtp_transaction.py).
Follows RFC 5321 4.1.1.2 and 4.1.1.3, RFC 1870, RFC 3461 4, RFC 6152 and RFC 6531 3.
"""

from __future__ import annotations

import re
from pathlib import Path

from mta.core.extensions import Extensions
from mta.core.frozen import frozen
from mta.core.reply import Reply

_UNSAFE_ADDRESS = re.compile(r'[\x00-\x1f\x7f]|^[^"]*[ <>]')
"""Controls anywhere; a space or an angle bracket before any quote, where it would end the path."""
_UNSAFE_PARAMETER = re.compile(r"[^!-~]")


@frozen
class SpooledBody:
    """A body that stays on disk: everything in the file at `path` from byte `offset` on."""

    path: Path
    offset: int


@frozen
class TransactionRecipient:
    """One recipient of a transaction.

    Attributes:
        address: as on the wire, without angle brackets.
        notify: value of NOTIFY, "" for none (RFC 3461 4.1).
        orcpt: value of ORCPT in xtext, "" for none (RFC 3461 4.2).

    Raises:
        ValueError: text that would break out of the command; it was never validated.
    """

    address: str
    notify: str = ""
    orcpt: str = ""

    def __post_init__(self) -> None:
        if not self.address:
            raise ValueError("a recipient needs an address")
        _check(self.address, self.notify, self.orcpt)


@frozen
class Transaction:
    """One message for some recipients that one server is to take.

    Attributes:
        mail_from: return path as on the wire, without angle brackets; "" is the null return path.
        recipients: at least one.
        header: the bytes before the body: signature, header block, blank line.
        body: CRLF lines, not dot-stuffed.
        size: octets of header and body together.
        is_8bit: header or body hold bytes above 127.
        needs_smtputf8: the header block is UTF-8; UTF-8 addresses are seen without it.
        ret: value of RET, "" for none (RFC 3461 4.3).
        envid: value of ENVID in xtext, "" for none (RFC 3461 4.4).

    Raises:
        ValueError: text that would break out of the command; it was never validated.
    """

    mail_from: str
    recipients: tuple[TransactionRecipient, ...]
    header: bytes
    body: bytes | SpooledBody
    size: int
    is_8bit: bool = False
    needs_smtputf8: bool = False
    ret: str = ""
    envid: str = ""

    def __post_init__(self) -> None:
        _check(self.mail_from, self.ret, self.envid)


def objection(transaction: Transaction, offered: Extensions) -> Reply | None:
    """Return the refusal that a server with these extensions must give the message, or None.

    Asked before anything is sent: it saves the peer the work, and a server without 8BITMIME or
    SMTPUTF8 might take the message and damage it.
    """
    if offered.max_size is not None and transaction.size > offered.max_size:
        sizes = f"{transaction.size} octets, the server takes {offered.max_size}"
        return Reply(552, "5.3.4", f"message too big: {sizes}")
    if transaction.is_8bit and not offered.eight_bit:
        return Reply(554, "5.6.3", "8-bit message, and the server does not offer 8BITMIME")
    if _is_utf8(transaction) and not offered.smtputf8:
        return Reply(550, "5.6.7", "UTF-8 header or sender, and the server does not offer SMTPUTF8")
    return None


def recipient_objection(recipient: TransactionRecipient, offered: Extensions) -> Reply | None:
    """Return the refusal that a server with these extensions must give the recipient, or None."""
    if not recipient.address.isascii() and not offered.smtputf8:
        return Reply(553, "5.6.7", "UTF-8 address, and the server does not offer SMTPUTF8")
    return None


def mail_command(transaction: Transaction, offered: Extensions) -> bytes:
    """Return the MAIL command with its CRLF, with those parameters that the server knows."""
    parts = [f"MAIL FROM:<{transaction.mail_from}>"]
    if offered.size:
        parts.append(f"SIZE={transaction.size}")
    if transaction.is_8bit:
        parts.append("BODY=8BITMIME")
    has_utf8_recipient = not all(each.address.isascii() for each in transaction.recipients)
    if offered.smtputf8 and (_is_utf8(transaction) or has_utf8_recipient):
        parts.append("SMTPUTF8")
    if offered.dsn:
        parts += _parameters(RET=transaction.ret, ENVID=transaction.envid)
    return _line(parts)


def rcpt_command(recipient: TransactionRecipient, offered: Extensions) -> bytes:
    """Return the RCPT command with its CRLF, with those parameters that the server knows."""
    parts = [f"RCPT TO:<{recipient.address}>"]
    if offered.dsn:
        parts += _parameters(NOTIFY=recipient.notify, ORCPT=recipient.orcpt)
    return _line(parts)


def _is_utf8(transaction: Transaction) -> bool:
    return transaction.needs_smtputf8 or not transaction.mail_from.isascii()


def _parameters(**values: str) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value]


def _line(parts: list[str]) -> bytes:
    return (" ".join(parts) + "\r\n").encode()


def _check(address: str, *parameters: str) -> None:
    if _UNSAFE_ADDRESS.search(address):
        raise ValueError(f"unsafe address {address!r}")
    if any(_UNSAFE_PARAMETER.search(parameter) for parameter in parameters):
        raise ValueError(f"unsafe parameter among {parameters!r}")
