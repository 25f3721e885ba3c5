"""How long a text asks to wait: "try again in 5 minutes" -> five minutes.

Times stand behind a word such as "in" or "after", or before "later", in the words of some languages
or as a clock has them. Not here: whether that is heeded (retry.py, bounce_rules.py).
"""

from __future__ import annotations

import re
from datetime import timedelta

DISTANT = timedelta(days=2)
"""A longer wait is not a wait for this message."""

_UNIT = (
    r"(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|sekunden?|minuten?|stunden?|secondes?|heures?"
    r"|segundos?|minutos?|horas?|secondi|minuti|or[ae]|секунд\w{0,2}|минут\w{0,2}|час\w{0,3})(?:\(s\))?"
)
_LEAD = re.compile(
    r"\b(?:in|after|for|least|wait|within|every|nach|dans|apres|après|en|tra|через)\s{1,3}(?=\d)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    rf"(?:\d{{1,5}}\s?[-–]\s?)?(\d{{1,5}})\s{{0,3}}{_UNIT}(?![^\W\d])[\s,.]{{0,3}}(?:and\s)?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d)(?![\d:])")
_LATER = re.compile(rf"\b(\d{{1,5}})\s{{0,3}}{_UNIT}\s{{1,3}}later\b", re.IGNORECASE)
_SECONDS = (("st", 3600), ("h", 3600), ("or", 3600), ("ч", 3600), ("m", 60), ("м", 60))
"""By the letters that units begin with; all others are seconds."""
_MOST_AMOUNTS = 3


def asked_wait(text: str) -> timedelta | None:
    """Return the first wait that a text asks for, up to DISTANT; None where it names no time."""
    for lead in _LEAD.finditer(text):
        wait = _wait_at(text, lead.end())
        if timedelta() < wait <= DISTANT:
            return wait
    later = _LATER.search(text)
    wait = _amount(later) if later else timedelta()
    return wait if timedelta() < wait <= DISTANT else None


def _wait_at(text: str, position: int) -> timedelta:
    """Return the time that stands at a place: a clock's, or amounts such as "1 hour 25 minutes"."""
    clock = _CLOCK.match(text, position)
    if clock is not None:
        hours, minutes, seconds = map(int, clock.groups())
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
    wait = timedelta()
    for _ in range(_MOST_AMOUNTS):
        amount = _AMOUNT.match(text, position)
        if amount is None:
            break
        wait += _amount(amount)
        position = amount.end()
    return wait


def _amount(match: re.Match[str]) -> timedelta:
    unit = match[2].lower()
    seconds = next((seconds for begin, seconds in _SECONDS if unit.startswith(begin)), 1)
    return int(match[1]) * timedelta(seconds=seconds)
