"""The delivery engine as one thing to run: scheduler and dispatcher, and the order of their end."""

from __future__ import annotations

import asyncio

from mta.dispatcher import GRACE, Dispatcher
from mta.scheduler import Scheduler


class Engine:
    """Everything between the queue in storage and the sites."""

    def __init__(self, scheduler: Scheduler, dispatcher: Dispatcher) -> None:
        self._scheduler = scheduler
        self._dispatcher = dispatcher
        self._scheduling: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Connections to other servers, open or being opened."""
        return self._dispatcher.connections

    def kick(self) -> None:
        """Look into storage soon: something was added. Costs nothing when called often."""
        self._scheduler.kick()

    def make_way(self) -> None:
        """Let bulk rest for a moment: transactional mail is being accepted. May be called often."""
        self._dispatcher.make_way()

    async def run(self) -> None:
        """Deliver until stop(); raises whatever nobody expected, which must end the process."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._dispatcher.run(), name="dispatcher")
            self._scheduling = tasks.create_task(self._scheduler.run(), name="scheduler")

    async def stop(self, patience: float) -> None:
        """End run() in order: no new claims, transactions under way get `patience` seconds.

        Returns when all that can be written down is. Takes some seconds longer than `patience` at
        most.
        """
        self._scheduler.stop()
        if self._scheduling is not None:
            await asyncio.wait({self._scheduling}, timeout=GRACE)
            self._scheduling.cancel()  # still there only while storage does not answer
        await self._dispatcher.stop(patience)
