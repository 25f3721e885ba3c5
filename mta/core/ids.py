"""Identifiers: a three-letter-or-shorter prefix, "_", and a ULID (26 Crockford base32 characters).

A ULID is 48 bits of milliseconds since the epoch and 80 bits that make it unique
(github.com/ulid/spec). Randomness comes in as an argument. The prefixes are those of the API
documentation: em (email), dl (queue entry), bt (batch), dom, wh, key, ev.
"""

from __future__ import annotations

from datetime import UTC, datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since the epoch, rounded down; `moment` is aware."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def moment(ms: int) -> datetime:
    """Return the aware UTC time of `ms` milliseconds since the epoch."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def ulid(at_ms: int, entropy: bytes) -> str:
    """Return the 26 characters for a time in milliseconds and 10 bytes of entropy.

    Raises:
        ValueError: another number of bytes, or a time before 1970 or after the year 10889.
    """
    if len(entropy) != 10:
        raise ValueError("a ULID takes 10 bytes of entropy")
    if not 0 <= at_ms < 1 << 48:
        raise ValueError("a ULID holds a time of 48 bits")
    number = (at_ms << 80) | int.from_bytes(entropy, "big")
    return "".join(_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10))


def new_id(prefix: str, at_ms: int, entropy: bytes) -> str:
    """Return "prefix_ULID", for example "em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"."""
    return f"{prefix}_{ulid(at_ms, entropy)}"


def numbered_id(prefix: str, at_ms: int, number: int) -> str:
    """Return an id whose last 80 bits are a row number: the row is found without an index."""
    return new_id(prefix, at_ms, number.to_bytes(10, "big"))


def number_of(identifier: str, prefix: str) -> int | None:
    """Return the row number in an id made by numbered_id; None when it is not such an id.

    Numbers beyond 63 bits are none of ours: no row has them, and SQLite cannot even look for them.
    """
    head, _, tail = identifier.partition("_")
    if head != prefix or len(tail) != 26 or any(letter not in _VALUES for letter in tail):
        return None
    number = 0
    for letter in tail[10:]:
        number = number << 5 | _VALUES[letter]
    return number if number < 1 << 63 else None


def ulid_number(identifier: str) -> int:
    """Return the 128 bits of an id of ours, those before its "_" apart."""
    number = 0
    for letter in identifier.partition("_")[2]:
        number = number << 5 | _VALUES[letter]
    return number & ((1 << 128) - 1)
