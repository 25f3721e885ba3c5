"""Room on the disk: mail is refused before the disk is full, so that queued mail can settle.

Each process asks the file system, and counts what it takes itself in between. Several together may
go into the reserve by what the others take within FRESH: the reserve has to be larger than that.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

from storage.errors import StorageFull

RESERVE = 64 * 1024 * 1024
"""Free bytes below which no new mail is accepted, unless told otherwise."""
FRESH = 0.1
"""Seconds for which an answer of the file system is believed; what is accepted is counted."""


class DiskRoom:
    """The room left on the file system of one path.

    Attributes:
        reserve: bytes that have to stay free.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the path, and a clock that never goes back, in seconds."""
        self.reserve = RESERVE
        self._path = path
        self._clock = clock
        self._left = 0
        self._fresh_until = -math.inf

    def require(self, size: int) -> None:
        """Check, before accepting `size` bytes, that the disk keeps its reserve.

        Raises:
            StorageFull: it would not.
        """
        now = self._clock()
        if now >= self._fresh_until:
            disk = os.statvfs(self._path)
            self._left = disk.f_bavail * disk.f_frsize - self.reserve
            self._fresh_until = now + FRESH
        if self._left < size:
            raise StorageFull(
                f"{self._path.parent}: less than {self.reserve >> 20} MiB would be free"
            )
        self._left -= size
