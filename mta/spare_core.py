"""Whether a core is free for a second thread of this process, as the kernel's scheduler saw it.

A thread that computes beside the event loop is worth its trips only while the loop is busy and a
core has nothing to do. Both are read off the loop's own thread: how much of the time it ran, and
how much it could have run but waited for a core. Not here: what such a thread does.
Follows Linux' Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mta.core.frozen import frozen

WINDOW = 0.02
"""Seconds that are looked at together; the kernel counts in ticks of 1 to 10 ms."""
CALM_WINDOWS = 3
"""Windows in a row that have to look free: one or two often do by chance."""
BUSY = 0.85
"""Share of a window that a loop runs which can use help."""
HELPED = 0.5
"""Share that it still runs when it has help, and work."""
FREE = 0.05
"""Share that it waits for a core, at most, where one is free."""
CROWDED = 0.25
"""Share from which on none is."""
FEW_CORES = 2
"""One for the process that takes mail and one for that which delivers it: where the kernel tells
nothing, only a machine with more has a core to spare."""


@frozen
class Usage:
    """What a thread has had of the processors since it began, in nanoseconds.

    Attributes:
        ran: on a core.
        waited: ready to run, while others had the cores.
    """

    ran: int
    waited: int


def thread_usage() -> Usage | None:
    """Return that of the calling thread; None where the kernel does not count it."""
    with suppress(OSError, ValueError):
        ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
        if int(ran):
            return Usage(int(ran), int(waited))
    return None


class SpareCore:
    """Follows one thread, which alone asks."""

    def __init__(
        self,
        measure: Callable[[], Usage | None] = thread_usage,
        *,
        cores: int | None = None,
    ) -> None:
        """Take what measures the asking thread, and the cores there are, by default to us."""
        self._measure = measure
        self._cores = len(os.sched_getaffinity(0)) if cores is None else cores
        self._read_at = float("-inf")
        self._usage: Usage | None = None
        self._calm_windows = 0
        self._is_free = False

    def is_free(self, at: float) -> bool:
        """Tell whether the asking thread has more to do than it can while a core has nothing to do.

        at: now, in seconds of a clock that never goes back.
        """
        if at - self._read_at >= WINDOW:
            self._look(at)
        return self._is_free

    def _look(self, at: float) -> None:
        before, self._usage = self._usage, self._measure()
        elapsed, self._read_at = (at - self._read_at) * 1e9, at
        if self._usage is None:
            self._is_free = self._cores > FEW_CORES
        elif before is not None:
            ran = (self._usage.ran - before.ran) / elapsed
            waited = (self._usage.waited - before.waited) / elapsed
            self._judge(ran, waited)

    def _judge(self, ran: float, waited: float) -> None:
        if self._is_free:
            self._is_free = ran > HELPED and waited < CROWDED
            self._calm_windows = 0
        else:
            is_calm = ran > BUSY and waited < FREE
            self._calm_windows = self._calm_windows + 1 if is_calm else 0
            self._is_free = self._calm_windows >= CALM_WINDOWS
