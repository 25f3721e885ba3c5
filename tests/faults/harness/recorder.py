"""A receiver that counts each recipient at the final dot, before it answers, with random patience.

The pause between the count and the answer is the window in which a killed sender cannot know that
its message arrived (RFC 1047), so that kills hit it often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from tests.faults.harness.ledger import Ledger
from tests.support.receiver import Answer, Received, Receiver


class Recorder(Receiver):
    """The receiver of one ledger.

    Attributes:
        window: the longest pause before the answer to a final dot, in seconds.
        keep: whether messages are kept, for the methods of Receiver; not at first.
    """

    def __init__(
        self,
        ledger: Ledger,
        draws: Random,
        window: float = 0.05,
        script: Mapping[str, Answer | Sequence[Answer]] | None = None,
    ) -> None:
        super().__init__(script=script)
        self.window = window
        self.keep = False
        self._ledger = ledger
        self._draws = draws

    async def take(self, received: Received, answer: Answer | None) -> None:
        """Count, then wait a little."""
        if isinstance(answer, str) and answer.startswith("2"):
            self._ledger.arrived.update(received.recipients)
        self.commands.clear()
        if self.keep:
            await super().take(received, answer)
        await asyncio.sleep(self._draws.random() * self.window)

    async def wait_for_arrivals(self, count: int, within: float = 30.0) -> None:
        """Wait until so many deliveries were counted."""
        async with asyncio.timeout(within):
            while self._ledger.arrived.total() < count:
                await asyncio.sleep(0.02)

    @property
    def sessions(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def set_script(self, step: str, *answers: Answer) -> None:
        """Answer a step differently from now on; without answers as by default."""
        self._script.pop(step, None)
        if answers:
            self._script[step] = list(answers)
