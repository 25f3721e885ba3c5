"""The ready queue of one site: deliveries that wait for a connection, in memory and bounded.

Order is by priority, then first in first out. Entries of one message that share the site travel in
one delivery, so that the body goes over the wire once (RFC 5321 4.5.4.1). How many entries may be
here is decided before they are claimed (core/shaping.room); nothing is decided here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from mta.core.envelope import Priority
from storage.queue import QueuedEntry, QueuedMessage


class Delivery:
    """One message for the entries that share a site: what becomes one transaction.

    Attributes:
        message: what to deliver.
        entries: for whom, at least one and at most max_recipients_per_transaction.
        ready_at: since when it waits (aware, UTC).
    """

    __slots__ = ("entries", "message", "ready_at")

    def __init__(
        self, message: QueuedMessage, entries: Sequence[QueuedEntry], ready_at: datetime
    ) -> None:
        self.message = message
        self.entries = list(entries)
        self.ready_at = ready_at


class ReadyQueue:
    """Deliveries of one site in the order in which they are to be tried; len() counts them."""

    __slots__ = ("_by_message", "_lanes", "_max_recipients")

    def __init__(self, max_recipients: int) -> None:
        self._lanes: tuple[deque[Delivery], ...] = tuple(deque() for _ in Priority)
        self._by_message: dict[int, Delivery] = {}
        self._max_recipients = max_recipients

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    @property
    def oldest_at(self) -> datetime | None:
        """Since when the first delivery waits; None when the queue is empty."""
        return min((lane[0].ready_at for lane in self._lanes if lane), default=None)

    def put(
        self,
        message: QueuedMessage,
        entries: Sequence[QueuedEntry],
        now: datetime,
        *,
        is_individual: bool = False,
    ) -> None:
        """Add entries of one message, all of one priority, to its delivery or to new ones.

        is_individual: what goes over the wire differs for each recipient, so none share a delivery.
        """
        most = 1 if is_individual else self._max_recipients
        waiting = self._by_message.get(message.id)
        if waiting is not None and len(waiting.entries) + len(entries) <= most:
            waiting.entries += entries
            return
        lane = self._lanes[entries[0].priority]
        for start in range(0, len(entries), most):
            delivery = Delivery(message, entries[start : start + most], now)
            lane.append(delivery)
        self._by_message[message.id] = delivery

    def put_back(self, delivery: Delivery) -> None:
        """Put a delivery that was taken but not tried back in front of its lane."""
        self._lanes[delivery.entries[0].priority].appendleft(delivery)

    def has(self, priority: Priority) -> bool:
        """Tell whether a delivery of that priority waits."""
        return bool(self._lanes[priority])

    def take(self) -> Delivery | None:
        """Remove and return the delivery that is next; None when the queue is empty."""
        for lane in self._lanes:
            if lane:
                delivery = lane.popleft()
                if self._by_message.get(delivery.message.id) is delivery:
                    del self._by_message[delivery.message.id]
                return delivery
        return None

    def withdraw(self, campaigns: Collection[int], entries: Collection[int] = ()) -> list[Delivery]:
        """Remove and return deliveries of campaigns (row numbers), and with one of the entries."""
        found: list[Delivery] = []
        for lane in self._lanes:
            kept: list[Delivery] = []
            for one in lane:
                is_wanted = one.message.campaign in campaigns or (
                    bool(entries) and any(entry.id in entries for entry in one.entries)
                )
                (found if is_wanted else kept).append(one)
            lane.clear()
            lane.extend(kept)
        for delivery in found:
            self._by_message.pop(delivery.message.id, None)
        return found

    def drain(self) -> Iterator[Delivery]:
        """Remove and yield everything."""
        while (delivery := self.take()) is not None:
            yield delivery
