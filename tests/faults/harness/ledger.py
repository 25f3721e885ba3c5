"""What was promised and what came of it: the two sides of the invariant.

A recipient is acknowledged when a client got its 2xx. The invariant: every acknowledged recipient
arrived, was reported as failed, or is still in the queue; nothing that nobody submitted arrived.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Both sides.

    Attributes:
        submitted: recipient -> how often a client sent it without knowing that it was taken.
        acknowledged: recipients that a client got a 2xx for.
        arrived: recipient -> how often the receiver saw its final dot, whatever it answered.
        answered: seconds from the final dot, or the request, to each 2xx.
    """

    submitted: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    arrived: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)

    def missing(self) -> set[str]:
        """Return what was acknowledged and has not arrived."""
        return self.acknowledged - self.arrived.keys()

    def unknown(self) -> set[str]:
        """Return what arrived although nobody submitted it."""
        return self.arrived.keys() - self.submitted.keys()

    def repeated(self) -> int:
        """Return how many deliveries were more than the submissions that could have caused them.

        A client that got no answer submits again, which makes another message of the same
        recipient: that repetition is the client's.
        """
        return sum(max(0, count - self.submitted[to]) for to, count in self.arrived.items())

    def slowest(self, share: float = 0.99) -> float:
        """Return the time within which that share of answers came, 0.0 without answers."""
        times = sorted(self.answered)
        return times[min(len(times) - 1, int(len(times) * share))] if times else 0.0
