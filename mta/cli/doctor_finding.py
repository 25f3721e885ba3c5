"""What one check of `mta doctor` found."""

from __future__ import annotations

import enum

from mta.core.frozen import frozen


class Grade(enum.Enum):
    """How much a finding matters."""

    GOOD = "good"
    WARNING = "warning"
    """Mail flows, but worse than it could, or not for long."""
    BAD = "bad"
    """Mail stops, or is lost, or soon will be."""


@frozen
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at, in a word or two.
        grade: how it is.
        text: what was seen and, unless all is well, what to do.
    """

    check: str
    grade: Grade
    text: str


def good(check: str, text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Grade.GOOD, text)


def warning(check: str, text: str) -> Finding:
    """Return a finding to look after."""
    return Finding(check, Grade.WARNING, text)


def bad(check: str, text: str) -> Finding:
    """Return a finding to mend now."""
    return Finding(check, Grade.BAD, text)
