"""A histogram with fixed bounds: how often something took how long. Counts only, no clock."""

from __future__ import annotations

from bisect import bisect_left

COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds: from a sync on good flash to a disk in trouble."""


class Histogram:
    """Counts observations by size. Written by one thread, read by any.

    Attributes:
        bounds: upper bounds, ascending; an observation equal to one is within it.
        counts: observations within each bound and above the one before; the last is of those above
            all bounds.
        total: sum of all observations.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
