"""Where log lines go: a thread that writes many of them at a time, and waits for nobody for ever.

A full disk or a blocked pipe below the log never holds up mail; when the thread cannot keep up,
lines are dropped and their number is logged. Not here: what a line looks like (logs.py).
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from typing import TextIO

from mta.core.frozen import frozen

MAX_WAITING = 10_000
"""Lines that may wait for the writing thread; at some 200 bytes each, 2 MB."""
PAUSE = 0.05
"""Seconds after a write in which lines gather: a busy server writes some 20 times a second."""
LAST_WORDS = 2.0
"""Seconds at the end for what waits, where nobody reads."""

_PIECE = 4096
"""Octets that a pipe takes whole once it is ready (PIPE_BUF of Linux)."""
_LARGE_PIECE = 262_144
"""The same for a file, which never keeps anybody waiting."""


@frozen
class _Line:
    """A line with its end, and how many lines are lost with it: those, too, that it tells of."""

    text: bytes
    stands_for: int = 1


class LogOutput(logging.Handler):
    """Takes records of any thread and writes their lines; the formatter is the caller's."""

    def __init__(self, stream: TextIO, *, in_thread: bool) -> None:
        """Write to a stream; without a thread of its own, whoever logs waits for the reader."""
        super().__init__()
        self._sink = _Sink(stream)
        self._waiting: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self._dropped = 0
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None
        if in_thread:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to the thread without ever waiting; drop and count it where that lags."""
        if self._thread is None:
            self._write([record])
        elif self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(record)
        else:
            self._dropped += 1

    def end(self) -> None:
        """Write what waits, for LAST_WORDS at most, and end the thread."""
        if self._thread is not None:
            self._sink.end_within(LAST_WORDS)
            self._is_ending.set()
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            records = [first]
            while not self._waiting.empty():
                record = self._waiting.get()
                if record is None:
                    self._write(records)
                    return
                records.append(record)
            self._write(records)
            self._is_ending.wait(PAUSE)

    def _write(self, records: Iterable[logging.LogRecord]) -> None:
        with self._counting():
            dropped, self._dropped = self._dropped, 0
        lines = [_Line(self._text(_notice(dropped)), dropped)] if dropped else []
        lines += [_Line(self._text(record)) for record in records]
        lost = self._sink.write(lines)
        if lost:
            with self._counting():
                self._dropped += lost

    def _counting(self) -> threading.RLock:
        """Return the lock that emit() is called under."""
        if self.lock is None:
            raise RuntimeError("a log handler has a lock until the interpreter ends")
        return self.lock

    def _text(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode(errors="backslashreplace") + b"\n"


def _notice(dropped: int) -> logging.LogRecord:
    text = f"{dropped} log lines were dropped: the log output could not keep up"
    return logging.LogRecord("mta.logs", logging.WARNING, "", 0, text, None, None)


class _Sink:
    """A stream whose reader is waited for, until the end of the service is not to wait any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gives_up_at = float("inf")
        self._descriptor = -1
        self._poll = select.poll()
        self._piece = _PIECE
        try:
            self._descriptor = stream.fileno()
        except OSError:  # not a file: writing never waits
            return
        self._poll.register(self._descriptor, select.POLLOUT)
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self._piece = _LARGE_PIECE

    def end_within(self, seconds: float) -> None:
        """From then on drop what cannot be written at once."""
        self._gives_up_at = time.monotonic() + seconds

    def write(self, lines: Sequence[_Line]) -> int:
        """Write lines; return how many had to be dropped."""
        if self._descriptor < 0:
            self._stream.write(b"".join(line.text for line in lines).decode())
            return 0
        lost = 0
        for piece in _pieces(lines, self._piece):
            if not self._put(b"".join(line.text for line in piece)):
                lost += sum(line.stands_for for line in piece)
        return lost

    def _put(self, piece: bytes) -> bool:
        """Write one piece and return whether it could be; its reader may have gone."""
        rest = memoryview(piece)
        while rest:
            if not self._takes_more():
                return False
            try:
                rest = rest[os.write(self._descriptor, rest[: self._piece]) :]
            except OSError:  # the disk is full, or nobody has the other end: counted by the caller
                return False
        return True

    def _takes_more(self) -> bool:
        while time.monotonic() < self._gives_up_at:
            if self._poll.poll(100):
                return True
        return bool(self._poll.poll(0))


def _pieces(lines: Sequence[_Line], size: int) -> Iterator[list[_Line]]:
    """Yield lines in groups of up to `size` octets; a longer line is a group by itself.

    They are written whole, because processes that share an output must not write into each other's.
    """
    piece: list[_Line] = []
    length = 0
    for line in lines:
        if piece and length + len(line.text) > size:
            yield piece
            piece, length = [], 0
        piece.append(line)
        length += len(line.text)
    if piece:
        yield piece
