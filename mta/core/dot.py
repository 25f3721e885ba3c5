"""Message bytes between DATA and the final dot: dot-stuffing, and line ends that may be carried on.

Every class here takes a stream in chunks of any size and gives the same answer wherever the chunk
borders fall; memory stays within one chunk. Not here: reading the socket (mta/smtp_server.py).
Follows RFC 5321 4.5.2 (transparency), 2.3.8 (only CRLF ends a line) and 4.5.3.1.6 (line length).
"""

from __future__ import annotations

MAX_LINE = 998
"""Octets of a line of text without its CRLF (RFC 5321 4.5.3.1.6)."""

_END = b"\r\n.\r\n"
_DOT_LINE = b"\r\n."


class DotDecoder:
    """Undoes dot-stuffing, and finds the final dot where the stream still holds it.

    Only CRLF "." CRLF ends the data, so that no other sequence can smuggle in a second message.

    Attributes:
        is_complete: whether the final dot has been seen.
        rest: bytes after the final dot's CRLF: the commands that a client sent ahead.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.rest = b""
        self._seen = b"\r\n"  # what the stream ended in that may yet become the end

    def feed(self, data: bytes) -> bytes:
        """Return what can be decoded so far; b"" once complete, when data joins `rest`."""
        if self.is_complete:
            self.rest += data
            return b""
        given_out = len(self._seen[:2])  # line ends are given out at once, only dots wait
        data = self._seen + data
        if data.endswith(_END) and data.find(_DOT_LINE) == len(data) - len(_DOT_LINE) - 2:
            self.is_complete = True  # no line but the last begins with a dot, as in most mail
            return data[given_out : 2 - len(_END)]
        end = data.find(_END)
        if end >= 0:
            self.is_complete = True
            self.rest = data[end + len(_END) :]
            data = data[: end + 2]
        else:
            self._seen = _beginning_of(_END, data)
            data = data[: len(data) - len(self._seen[2:])]
        return data.replace(_DOT_LINE, b"\r\n")[given_out:]


class DotEncoder:
    """Dot-stuffs a message and ends it."""

    def __init__(self) -> None:
        self._seen = b"\r\n"  # the line end, or half of one, that the stream ended in

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk with a second dot before each dot that begins a line."""
        data = self._seen + chunk
        stuffed = data.replace(_DOT_LINE, b"\r\n..")[len(self._seen) :]
        self._seen = _beginning_of(_DOT_LINE, data)
        return stuffed

    def finish(self) -> bytes:
        """Return the end of the data: CRLF where the message lacks it, then the final dot."""
        return b".\r\n" if self._seen == b"\r\n" else b"\r\n.\r\n"


class LineCheck:
    """Watches line ends and line lengths of a message.

    Attributes:
        has_bare_line_end: whether a CR without LF, or an LF without CR, was seen. A CR that is
            the very last byte counts only after finish().
        has_long_line: whether a line was longer than MAX_LINE octets.
    """

    def __init__(self) -> None:
        self.has_bare_line_end = False
        self.has_long_line = False
        self._ends_in_cr = False
        self._column = 0  # octets of the last line, which the next chunk goes on with

    def feed(self, chunk: bytes) -> None:
        """Look at the next part of the message."""
        if not chunk:
            return
        if not self.has_long_line:
            self._measure(chunk)
        if self._ends_in_cr:
            chunk = b"\r" + chunk
        self._ends_in_cr = chunk.endswith(b"\r")
        if self._ends_in_cr:
            chunk = chunk[:-1]
        self.has_bare_line_end |= has_bare_line_end(chunk)

    def finish(self) -> None:
        """Tell that the message ended."""
        self.has_bare_line_end |= self._ends_in_cr
        self.has_long_line |= self._column - self._ends_in_cr > MAX_LINE

    def _measure(self, chunk: bytes) -> None:
        # From each line start, one look backwards from the farthest place where that line may end
        # skips all the lines in between: about one step for each kilobyte.
        reach = MAX_LINE + 2
        start = -self._column
        while start + reach <= len(chunk):
            newline = chunk.rfind(b"\n", max(start, 0), start + reach)
            if newline < 0:
                self.has_long_line = True
                return
            start = newline + 1
        last = chunk.rfind(b"\n", max(start, 0))
        self._column = len(chunk) - (start if last < 0 else last + 1)


def dot_stuff(data: bytes, *, at_line_start: bool) -> bytes:
    """Return data with its line-leading dots doubled; at_line_start tells of its first byte."""
    stuffed = data.replace(_DOT_LINE, b"\r\n..")
    return b"." + stuffed if at_line_start and data.startswith(b".") else stuffed


def dot_encoded(header: bytes, body: bytes) -> bytes:
    """Return a whole message, dot-stuffed and ended; see DotEncoder."""
    if b"." in body:
        data = dot_stuff(header + body, at_line_start=True)
    else:  # as in base64, which is long
        data = dot_stuff(header, at_line_start=True) + body
    end = b".\r\n" if data.endswith(b"\r\n") or not data else b"\r\n.\r\n"
    return data + end


def has_bare_line_end(data: bytes) -> bool:
    """Tell whether data has a CR that no LF follows, or an LF that no CR precedes."""
    rest = data.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest


def _beginning_of(sequence: bytes, data: bytes) -> bytes:
    """Return the longest end of data that may, but does not yet, make up the sequence."""
    for size in range(len(sequence) - 1, 0, -1):
        if data.endswith(sequence[:size]):
            return sequence[:size]
    return b""
