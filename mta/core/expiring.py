"""A bounded map whose entries end: what every memory of the outside world is built on.

Used for DNS answers (mta/resolver.py), hosts that do not answer (mta/routing.py) and hosts whose
STARTTLS is broken (mta/tls_policy.py). Pure: the time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringMap(Generic[K, V]):
    """Keys to values, each until its own end; the least recently used goes when it is full.

    Times are seconds of any clock that never goes back, the same one in all calls.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        """Entries held, those that have ended but were not asked for since among them."""
        return len(self._entries)

    def get(self, key: K, now: float) -> V | None:
        """Return the value, or None when there is none or it has ended."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, ends_at = entry
        if now >= ends_at:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V, ends_at: float) -> None:
        """Remember a value until `ends_at`, in place of the one the key had."""
        self._entries[key] = (value, ends_at)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
