"""Who is connected to a server, counted over all its processes in memory that they share.

Each process writes its own row, one place for each connection, and reads everybody's. A connection
takes its place first and is counted then, so that two that come at once to two processes never both
get the last one. Made before the processes are. Not here: how many there may be.
"""

from __future__ import annotations

import mmap
import secrets
import struct
from collections.abc import Sequence
from hashlib import blake2b

from mta.core.frozen import frozen

_COUNT = struct.Struct("<q")
_MARK = 8
"""Octets that stand for a client. Their key is secret, so that nobody can choose two alike."""


@frozen
class Place:
    """A connection's place.

    Attributes:
        number: which one of its process.
        total: connections of the whole server when it was taken, this one included.
        of_client: the same of its client.
    """

    number: int
    total: int
    of_client: int


class Crowd:
    """All connections to all processes."""

    def __init__(self, names: Sequence[str] = ("",), *, places: int) -> None:
        """Take the names of the processes, and how many places each of them has."""
        self._places = places
        self._counts = len(names) * _COUNT.size
        self._row = places * _MARK
        self._numbers = {name: number for number, name in enumerate(names)}
        self._memory = mmap.mmap(-1, self._counts + len(names) * self._row)
        self._key = secrets.token_bytes(16)

    def turnstile(self, name: str = "") -> Turnstile:
        """Return where a process counts; what one of that name had before is forgotten."""
        number = self._numbers[name]
        at = self._counts + number * self._row
        self._memory[at : at + self._row] = bytes(self._row)
        _COUNT.pack_into(self._memory, number * _COUNT.size, 0)
        return Turnstile(self, number)

    @property
    def total(self) -> int:
        """How many connections there are."""
        return sum(count for (count,) in _COUNT.iter_unpack(self._memory[: self._counts]))

    @property
    def places(self) -> int:
        """How many places each process has."""
        return self._places

    def mark(self, client: str) -> bytes:
        """Return what stands for a client."""
        return blake2b(client.encode(), digest_size=_MARK, key=self._key).digest()

    def count(self, mark: bytes) -> int:
        """Return how many connections a client has."""
        return self._memory[self._counts :].count(mark)

    def write(self, number: int, place: int, mark: bytes, count: int) -> None:
        """Write a place of a process, and how many it has taken."""
        at = self._counts + number * self._row + place * _MARK
        self._memory[at : at + _MARK] = mark
        _COUNT.pack_into(self._memory, number * _COUNT.size, count)


class Turnstile:
    """The places of one process."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        """Use Crowd.turnstile instead."""
        self._crowd = crowd
        self._number = number
        self._free = list(range(crowd.places))

    @property
    def total(self) -> int:
        """How many connections the whole server has."""
        return self._crowd.total

    def enter(self, client: str) -> Place | None:
        """Count a connection of a client; None: this process has no place left."""
        if not self._free:
            return None
        place, mark = self._free.pop(), self._crowd.mark(client)
        self._write(place, mark)
        return Place(place, self._crowd.total, self._crowd.count(mark))

    def leave(self, place: Place) -> None:
        """Forget a connection."""
        self._free.append(place.number)
        self._write(place.number, bytes(_MARK))

    def _write(self, place: int, mark: bytes) -> None:
        taken = self._crowd.places - len(self._free)
        self._crowd.write(self._number, place, mark, taken)
