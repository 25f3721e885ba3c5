"""Whether the clock can be right at all: a machine without a battery may start in 1970."""

from __future__ import annotations

from datetime import UTC, datetime

RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time is wrong."""


def clock_problem(now: datetime) -> str:
    """Return what is wrong with a clock that shows this time (aware), "" for nothing."""
    if now >= RELEASED:
        return ""
    return f"clock: it shows {now:%Y-%m-%d}; set it, or mail expires and TLS fails"
