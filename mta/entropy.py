"""Randomness for ids, taken from the system a few thousand bytes at a time.

A system call for each id is among the dearest steps of accepting a message on virtual machines. Not
here: keys and tokens, which are rare and take theirs from `secrets` directly.
"""

from __future__ import annotations

import os

REFILL = 4096
"""Bytes asked of the system at once."""


class Entropy:
    """A store of random bytes, each given out once. For one thread of one process.

    It fills at its first use, so that processes forked before have different bytes.
    """

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def __call__(self, size: int) -> bytes:
        """Return `size` random bytes, at most REFILL."""
        end = self._used + size
        if end > len(self._bytes):
            self._bytes = os.urandom(REFILL)
            self._used, end = 0, size
        taken = self._bytes[self._used : end]
        self._used = end
        return taken
