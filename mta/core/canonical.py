"""Relaxed canonical forms of body and header fields, the part of DKIM that touches every byte.

Bounded for any input: chunks go through bytes methods, as often as a run can be halved, and never
through a pattern that looks back. Not here: signatures (mta/signing.py). Follows RFC 6376 3.4.2 and
3.4.4.
"""

from __future__ import annotations

import hashlib
import re

HELD = 2047
"""Octets up to which hashlib keeps the interpreter; to get it back among threads costs more than to
hash a few times as many."""
LONG = 65_536
"""Octets above which others had better run meanwhile."""

_RUN = re.compile(rb"[ \t]+")
_INDENT = b" " * 8


class BodyHasher:
    """SHA-256 over the relaxed form of a body that comes in chunks of any size.

    What the end of the stream may still turn into nothing is counted, not kept: empty lines, and
    a space or CR at the very end.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._is_empty = True  # nothing but empty lines so far
        self._line_ends = 0  # CRLFs seen after the last byte that was hashed
        self._tail = b""  # "", " ", "\r" or " \r", after those CRLFs

    def update(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        data = _relaxed(self._tail + chunk)
        content = data.removesuffix(b"\r").removesuffix(b" ")
        self._tail = data[len(content) :]
        self._take(content)

    def digest(self) -> bytes:
        """Return the body hash, 32 bytes; a missing CRLF at the end is added. More may follow."""
        ended = self._hash.copy()
        if b"\r" in self._tail:
            ended.update(b"\r\n" * self._line_ends + self._tail + b"\r\n")
        elif not self._is_empty:
            ended.update(b"\r\n")
        return ended.digest()

    def _take(self, content: bytes) -> None:
        end = len(content.rstrip(b"\r\n"))
        ends = content[end:]
        if ends != b"\r\n" * (len(ends) // 2):  # a CR or LF of its own among them
            end = len(content)
            while content.endswith(b"\r\n", 0, end):
                end -= 2
        if end:
            if self._line_ends:
                self._hash.update(b"\r\n" * self._line_ends)
            self._absorb(content[:end])
            self._is_empty = False
            self._line_ends = 0
        self._line_ends += (len(content) - end) // 2

    def _absorb(self, content: bytes) -> None:
        step = HELD if len(content) <= LONG else len(content)
        for start in range(0, len(content), step):
            self._hash.update(content[start : start + step])


def body_hash(data: bytes) -> bytes:
    """Return the SHA-256 of a whole body in relaxed canonical form, 32 bytes (RFC 6376 3.4.4)."""
    hasher = BodyHasher()
    hasher.update(data)
    return hasher.digest()


def relaxed_header(raw: bytes) -> bytes:
    """Return a whole header field in relaxed canonical form, with its CRLF (RFC 6376 3.4.2)."""
    name, _, value = raw.partition(b":")
    unfolded = value.replace(b"\r\n", b"")
    if b"  " in unfolded or b"\t" in unfolded:
        unfolded = _RUN.sub(b" ", unfolded)
    return name.rstrip(b" \t").lower() + b":" + unfolded.strip(b" ") + b"\r\n"


def _relaxed(data: bytes) -> bytes:
    """Return data with each run of spaces and tabs as one space, and none before a CRLF.

    Most text has no runs, or short ones, of which each pass takes half; indentation goes by eights.
    """
    data = data.replace(b"\t", b" ").replace(_INDENT, b" ")
    while len(shorter := data.replace(b"  ", b" ")) < len(data):
        data = shorter
    return data.replace(b" \r\n", b"\r\n")
