"""Log lines of the service: plain for people, JSON for machines; one line each, never more.

Lines are written by a thread of their own, so that a full disk or a blocked pipe below the log
never holds up mail; when the thread cannot keep up, lines are dropped and their number is logged.
Recipient addresses are logged as their domain only, except at debug level.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TextIO

from mta.core.json_text import encode

MAX_WAITING = 10_000
"""Lines that may wait for the writing thread; at some 200 bytes each, 2 MB."""

LAST_WORDS = 2.0
"""Seconds at the end for what waits, where nobody reads."""
PIECE = 1024
"""Characters written at once: no more octets than a pipe that is ready takes (PIPE_BUF)."""

_EVENTS = logging.getLogger("mta.event")


def log_event(kind: str, **fields: object) -> None:
    """Log one event of a message's life with its fields.

    For example kind "delivered" with email="em_..." and to="example.com". Empty fields (None and
    "") are left out of the line.
    """
    if _EVENTS.isEnabledFor(logging.INFO):
        kept = {name: value for name, value in fields.items() if value not in (None, "")}
        _EVENTS.info(kind, extra={"fields": kept})


@contextmanager
def logging_to_stderr(
    *, style: Literal["plain", "json"], level: str, in_thread: bool = True
) -> Iterator[None]:
    """Send the log to standard error while the context lasts; what waits is written at its end.

    Args:
        style: "plain" or "json".
        level: lowest level shown: "debug", "info", "warning" or "error".
        in_thread: whether a thread of its own writes, so that nobody waits for a slow reader; a
            process that forks has none.
    """
    stream = _PatientStream(sys.stderr)
    output = logging.StreamHandler(stream)
    output.setFormatter(_JsonFormatter() if style == "json" else _PlainFormatter())
    root = logging.getLogger()
    before = root.level
    root.setLevel(level.upper())
    entrance: logging.Handler = output
    listener: logging.handlers.QueueListener | None = None
    if in_thread:
        waiting: queue.Queue[logging.LogRecord] = queue.Queue(MAX_WAITING)
        entrance = _DroppingQueueHandler(waiting)
        listener = _Listener(waiting, output)
    root.addHandler(entrance)
    for noisy in ("mail.log", "uvicorn", "aiosmtplib", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    if listener:
        listener.start()
    try:
        yield
    finally:
        root.removeHandler(entrance)
        root.setLevel(before)
        if listener:
            stream.end_within(LAST_WORDS)
            listener.stop()


class _PatientStream:
    """A stream whose reader is waited for, until the end of the service is not to wait any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gives_up_at = float("inf")
        self._poll: select.poll | None = None
        try:
            descriptor = stream.fileno()
        except OSError:  # not a file: writing never waits
            return
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def end_within(self, seconds: float) -> None:
        """From then on drop what cannot be written at once."""
        self._gives_up_at = time.monotonic() + seconds

    def write(self, text: str) -> None:
        """Write text, or drop it."""
        for start in range(0, len(text), PIECE):
            if self._takes_more():
                self._stream.write(text[start : start + PIECE])
                self._stream.flush()

    def flush(self) -> None:
        """Nothing is held back."""

    def _takes_more(self) -> bool:
        if self._poll is None:
            return True
        while time.monotonic() < self._gives_up_at:
            if self._poll.poll(100):
                return True
        return bool(self._poll.poll(0))


class _Listener(logging.handlers.QueueListener):
    """The writing thread."""

    queue: queue.Queue[logging.LogRecord | None]

    def enqueue_sentinel(self) -> None:
        """Tell it to end, after what waits; a full queue gets room soon, if only by dropping."""
        self.queue.put(None)


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    """Hands records to the writing thread; drops and counts them when it is too far behind."""

    def __init__(self, waiting: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(waiting)
        self._dropped = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Keep the record as it is: both ends are in one process."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Put the record in the queue without ever waiting."""
        try:
            if self._dropped:
                self._report_dropped(record)
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def _report_dropped(self, like: logging.LogRecord) -> None:
        text = f"{self._dropped} log lines were dropped: the log output could not keep up"
        notice = logging.LogRecord(
            "mta.logs", logging.WARNING, like.pathname, like.lineno, text, None, None
        )
        self.queue.put_nowait(notice)
        self._dropped = 0


class _PlainFormatter(logging.Formatter):
    """`2026-11-20T12:00:00.123Z info mta.event delivered email=em_... to=example.com`."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_timestamp(record)} {record.levelname.lower()} {record.name} "
        fields = "".join(
            f" {name}={_plain(value)}" for name, value in getattr(record, "fields", {}).items()
        )
        lines = [head + _one_line(record.getMessage() + fields)]
        if record.exc_info:
            lines += map(_one_line, self.formatException(record.exc_info).splitlines())
        return "\n    ".join(lines)


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the event's fields, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update(
            {name: _json_value(value) for name, value in getattr(record, "fields", {}).items()}
        )
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return encode(line).decode()


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


def _json_value(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | datetime) else str(value)


def _one_line(text: str) -> str:
    """Escape whatever could start a new line or move a terminal's cursor."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
