"""Log lines of the service: plain for people, JSON for machines; one line each, never more.

Recipient addresses are logged as their domain only, except at debug level. Not here: how lines are
written without holding up anybody (log_output.py).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from mta.core.json_text import encode
from mta.log_output import LogOutput

_EVENTS = logging.getLogger("mta.event")


def log_event(kind: str, **fields: object) -> None:
    """Log one event of a message's life, or of the server's, with its fields.

    For example kind "delivered" with email="em_..." and to="example.com". Empty fields (None and
    "") are left out of the line.
    """
    _log(logging.INFO, kind, fields)


def log_warning(kind: str, **fields: object) -> None:
    """Log an event that somebody should look at, if it goes on."""
    _log(logging.WARNING, kind, fields)


def log_error(kind: str, **fields: object) -> None:
    """Log an event that should not happen."""
    _log(logging.ERROR, kind, fields)


def _log(level: int, kind: str, fields: Mapping[str, object]) -> None:
    if _EVENTS.isEnabledFor(level):
        record = logging.LogRecord(_EVENTS.name, level, __file__, 0, kind, None, None)
        kept = {name: value for name, value in fields.items() if value not in (None, "")}
        record.__dict__["fields"] = kept
        _EVENTS.handle(record)


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
    output = LogOutput(sys.stderr, in_thread=in_thread)
    output.setFormatter(_JsonFormatter() if style == "json" else _PlainFormatter())
    root = logging.getLogger()
    before = root.level
    root.setLevel(level.upper())
    root.addHandler(output)
    for noisy in ("mail.log", "uvicorn", "aiosmtplib", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    try:
        yield
    finally:
        root.removeHandler(output)
        root.setLevel(before)
        output.end()


class ErrorCount(logging.Handler):
    """Counts what is logged as an error, by any thread of the process, while it is installed.

    Attributes:
        count: since it was made.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, under the lock of the handler."""
        self.count += 1

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Count while the context lasts."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)


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
    whole, part = divmod(record.created, 1)
    return f"{_second(int(whole))}.{int(part * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Return a moment as text, once for all lines of a second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _plain(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


def _json_value(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | datetime) else str(value)


def _one_line(text: str) -> str:
    """Escape whatever could start a new line or move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
