"""An event loop whose clock jumps to the next timer: minutes of waiting pass in no time.

Only for code without threads and sockets: time does not wait for them.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, lets the loop's clock reach the end of the wait."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "everything waits for something that cannot come"
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def now() -> datetime:
    """Return the wall clock that goes with the running loop's."""
    return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


async def settle_down() -> None:
    """Let everything that can happen at this moment happen."""
    for _ in range(100):
        await asyncio.sleep(0)
