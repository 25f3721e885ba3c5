"""Where a delivery process signs: on its event loop, and beside it while a core is free.

OpenSSL lets other threads run while it computes, and an RSA signature is half of what the delivery
of a message costs. So, with a core to spare, the loop and the thread share what is to be signed:
the thread gets little at a time, and the loop signs what would have to wait for it. Without one the
trips between the two cost more than they bring (spare_core.py). Not here: what a signature is
(signing.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from mta.bulk_rest import BulkRest
from mta.core.frozen import frozen
from storage.domains import DkimKeyRecord

PIECE = 2
"""Signatures that come back at once, and that wait for the thread while it makes others: half a
millisecond of RSA-2048. Each trip between the threads is two switches."""


class Signs(Protocol):
    """Makes signatures, as signing.Signer does; used by two threads."""

    def sign(
        self,
        header: bytes,
        body_hash: bytes,
        *,
        domain: str,
        keys: Sequence[DkimKeyRecord],
        at: datetime,
    ) -> bytes:
        """Return the fields to put above a header, or raise SigningError."""


@frozen
class _Wish:
    """What is to be signed, as Signer.sign takes it, and who waits for it."""

    header: bytes
    body_hash: bytes
    domain: str
    keys: Sequence[DkimKeyRecord]
    at: datetime
    done: asyncio.Future[bytes]


class SigningThread:
    """Signs for all connections of a process, on one event loop."""

    def __init__(
        self,
        signer: Signs,
        is_core_free: Callable[[float], bool],
        bulk_rest: BulkRest | None = None,
    ) -> None:
        """Take who signs, and what tells at a time of the loop whether a core is to spare.

        bulk_rest: meanwhile the loop signs, so that nothing waits behind bulk in the thread.
        """
        self._signer = signer
        self._bulk_rest = bulk_rest or BulkRest()
        self._is_core_free = is_core_free
        self._wishes: deque[_Wish] = deque()
        self._lock = threading.Lock()
        self._is_busy = False

    async def sign(
        self,
        header: bytes,
        body_hash: bytes,
        *,
        domain: str,
        keys: Sequence[DkimKeyRecord],
        at: datetime,
    ) -> bytes:
        """Return what Signer.sign does, and raise what it raises."""
        loop = asyncio.get_running_loop()
        must_wait = len(self._wishes) >= PIECE
        if must_wait or self._bulk_rest.is_on or not self._is_core_free(loop.time()):
            return self._signer.sign(header, body_hash, domain=domain, keys=keys, at=at)
        wish = _Wish(header, body_hash, domain, keys, at, loop.create_future())
        with self._lock:
            self._wishes.append(wish)
            must_begin, self._is_busy = not self._is_busy, True
        if must_begin:
            loop.run_in_executor(None, self._work, loop)
        return await wish.done

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while piece := self._next():
            outcomes = [(wish.done, self._outcome(wish)) for wish in piece]
            loop.call_soon_threadsafe(_deliver, outcomes)

    def _next(self) -> list[_Wish]:
        with self._lock:
            count = min(PIECE, len(self._wishes))
            self._is_busy = count > 0
            return [self._wishes.popleft() for _ in range(count)]

    def _outcome(self, wish: _Wish) -> bytes | Exception:
        try:
            return self._signer.sign(
                wish.header, wish.body_hash, domain=wish.domain, keys=wish.keys, at=wish.at
            )
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            return error


def _deliver(outcomes: Sequence[tuple[asyncio.Future[bytes], bytes | Exception]]) -> None:
    for done, outcome in outcomes:
        if done.done():  # who waited was cancelled
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
