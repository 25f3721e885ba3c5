"""Jobs that the server does beside its doors: webhooks, campaigns, housekeeping and their like.

What a job expects to go wrong, a full disk above all, it sits out by itself. What nobody expected,
such as a row that something damaged, ends that job for a while, and neither the doors, nor
deliveries, nor the other jobs: it is logged with its traceback, and the job begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a job that failed begins anew; doubling while it keeps failing."""
WENT_WELL = 60.0
"""Seconds of work after which the next pause is a first one."""

Job = Callable[[], Coroutine[None, None, None]]
"""Works until it is cancelled, and can be called again after it failed."""

logger = logging.getLogger(__name__)


class Jobs:
    """Jobs in a group of tasks.

    Attributes:
        failures: name -> how often that job has failed; those that never did are there with 0.
    """

    def __init__(self, is_hopeless: Callable[[], bool]) -> None:
        """Take what tells that no job can do anything any more in this process, which ends."""
        self.failures: Counter[str] = Counter()
        self._is_hopeless = is_hopeless
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup, jobs: Mapping[str, Job]) -> None:
        """Begin."""
        for name, job in jobs.items():
            self.failures[name] = 0
            self._tasks.append(tasks.create_task(self._keep_going(name, job), name=name))

    def cancel(self) -> None:
        """Have all of them end."""
        for task in self._tasks:
            task.cancel()

    async def _keep_going(self, name: str, job: Job) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while True:
            began = clock()
            try:
                await job()
            except Exception:
                if self._is_hopeless():
                    return
                self.failures[name] += 1
                pause = FIRST_PAUSE if clock() - began > WENT_WELL else pause
                logger.exception("%s failed, and will begin anew in %g s", name, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
