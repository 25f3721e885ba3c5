"""An accepted message: its bytes as they will be delivered, signature apart, and what they say.

Not here: who it is for (envelope.py) and what the client asked (submission.py).
"""

from __future__ import annotations

from mta.core.frozen import frozen


@frozen
class Message:
    """An immutable message, with CRLF line ends throughout and a CRLF at its end.

    Attributes:
        data: the whole message (header block, blank line, body); None when it is in a spool file.
        file: name of the spool file that holds the whole message; None when data is given.
        size: bytes of the whole message.
        header_size: bytes of the header block with its blank line; the body begins there.
        body_hash: SHA-256 of the body in relaxed canonical form (RFC 6376 3.4.4), 32 bytes.
        is_8bit: whether any byte is above 127, so that delivery needs 8BITMIME (RFC 6152).
    """

    data: bytes | None
    file: str | None
    size: int
    header_size: int
    body_hash: bytes
    is_8bit: bool


@frozen
class HeaderFacts:
    """What the header block says, as far as the queue, the policy and lists need it.

    Attributes:
        from_address: the first From address as written, valid or not; "" when there is none.
        sender_domain: its domain, A-label in lower case; "" when it is no valid address.
        subject: decoded for display, at most 500 characters, "" when absent.
        message_id: with its angle brackets, "" when absent.
        to: the mailboxes in To for display, as "name <address>" or "address", names decoded.
        cc, bcc, reply_to: likewise, those of Cc, Bcc (as submitted) and Reply-To.
        has_8bit_header: whether header text is UTF-8, so that delivery needs SMTPUTF8 (RFC 6531).
    """

    from_address: str
    sender_domain: str
    subject: str
    message_id: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    has_8bit_header: bool = False
