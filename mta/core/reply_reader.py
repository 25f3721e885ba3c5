"""SMTP replies out of the bytes of a connection: strict, incremental, bounded.

A reply that this reader gives is well formed to the letter, so that a desynchronised or hostile
peer cannot be taken for one that said yes. Not here: what a reply means (reply.py, outcome.py) and
the connection (mta/smtp_wire.py). Follows RFC 5321 4.2 and 4.5.3.1.5.
"""

from __future__ import annotations

import re

MAX_LINE = 8192
"""Octets of one line; RFC 5321 4.5.3.1.5 allows 512, servers send more."""
MAX_REPLY = 32_768
"""Octets of one reply with all its lines; an EHLO answer has a few hundred."""

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class ReplyError(ValueError):
    """The peer's bytes are not a reply; the message is one printable line that says why."""


class ReplyReader:
    """Takes bytes as they come, gives replies one by one, in order.

    After a ReplyError the reader must not be used again: there is no telling where the next reply
    would begin.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._code = b""
        self._texts: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        """Octets fed that no line has been made of yet."""
        return len(self._buffer)

    @property
    def unread(self) -> bytes:
        """Bytes that belong to no reply given yet; the lines of a reply begun count as its code."""
        return self._code + self._buffer

    def feed(self, data: bytes) -> None:
        """Take bytes of the peer; nothing is looked at yet."""
        self._buffer += data

    def next_reply(self) -> tuple[int, str] | None:
        """Return code and text (lines joined by newlines) of the next reply, None if incomplete.

        Bytes above 127 that are not UTF-8 become U+FFFD. A line may end in a bare LF.

        Raises:
            ReplyError: not a reply, different codes in one reply, or a limit exceeded.
        """
        while (line := self._next_line()) is not None:
            match = _LINE.fullmatch(line)
            if match is None:
                raise ReplyError(f"malformed reply {_shown(line)}")
            code, separator, text = match.groups()
            if self._code and code != self._code:
                raise ReplyError(f"reply with two codes {_shown(self._code)} and {_shown(code)}")
            self._code = code
            self._texts.append(text or b"")
            if separator != b"-":
                return self._complete()
        return None

    def _next_line(self) -> bytes | None:
        """Take the next line without its end off the buffer; None while it is not there yet."""
        end = self._buffer.find(b"\n", self._searched)
        length = end + 1 if end >= 0 else len(self._buffer)
        if length > MAX_LINE:
            raise ReplyError(f"reply line longer than {MAX_LINE} octets")
        if end < 0:
            self._searched = length
            return None
        self._size += length
        if self._size > MAX_REPLY:
            raise ReplyError(f"reply longer than {MAX_REPLY} octets")
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[:length]
        self._searched = 0
        return line

    def _complete(self) -> tuple[int, str]:
        text = b"\n".join(self._texts).decode("utf-8", "replace")
        code = int(self._code)
        self._code, self._texts, self._size = b"", [], 0
        return code, text


def _shown(line: bytes) -> str:
    return ascii(line[:80].decode("latin-1"))
