"""Signing on the event loop and beside it: each gets its own signature or error."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from mta.bulk_rest import BulkRest
from mta.signing import SigningError
from mta.signing_thread import PIECE, SigningThread

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class SlowSigner:
    """Signs with the header itself, once it is let."""

    def __init__(self) -> None:
        self.may_sign = threading.Event()
        self.threads: set[int] = set()

    def sign(self, header: bytes, body_hash: bytes, **what: Any) -> bytes:
        assert self.may_sign.wait(30)
        self.threads.add(threading.get_ident())
        if header == b"bad":
            raise SigningError("the header has no From field")
        if header == b"worse":
            raise RuntimeError("a defect")
        domain: str = what["domain"]
        return header + body_hash + domain.encode()


def has_free_core(_: float) -> bool:
    return True


def has_no_free_core(_: float) -> bool:
    return False


def signed(thread: SigningThread, header: bytes) -> asyncio.Task[bytes]:
    wish = thread.sign(header, b"#", domain="a.test", keys=(), at=NOW)
    return asyncio.get_running_loop().create_task(wish)


async def test_the_loop_goes_on_and_each_gets_its_own() -> None:
    signer = SlowSigner()
    thread = SigningThread(signer, has_free_core)
    tasks = [signed(thread, header) for header in (b"1", b"bad", b"2")]
    await asyncio.sleep(0)  # the loop runs although nothing can be signed
    assert not any(task.done() for task in tasks)
    signer.may_sign.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (b"1#a.test", b"2#a.test")
    assert str(outcomes[1]) == "the header has no From field"
    assert threading.get_ident() not in signer.threads


async def test_a_task_that_is_cancelled_keeps_nobody_from_a_signature() -> None:
    signer = SlowSigner()
    thread = SigningThread(signer, has_free_core)
    first, second, third = (signed(thread, header) for header in (b"1", b"2", b"3"))
    await asyncio.sleep(0)
    second.cancel()
    signer.may_sign.set()
    assert (await first, await third) == (b"1#a.test", b"3#a.test")


async def test_a_defect_reaches_who_asked() -> None:
    signer = SlowSigner()
    signer.may_sign.set()
    with pytest.raises(RuntimeError, match="a defect"):
        await signed(SigningThread(signer, has_free_core), b"worse")


async def test_while_bulk_rests_nothing_waits_behind_signatures_of_bulk() -> None:
    signer, rest = SlowSigner(), BulkRest()
    thread = SigningThread(signer, has_free_core, rest)
    bulk = signed(thread, b"bulk")
    await asyncio.sleep(0)
    rest.saw_bulk()
    rest.begin(bool)
    signer.may_sign.set()
    await bulk
    signer.threads.clear()
    assert await signed(thread, b"1") == b"1#a.test"
    assert signer.threads == {threading.get_ident()}
    rest.end()


async def test_without_a_free_core_the_loop_signs() -> None:
    signer = SlowSigner()
    signer.may_sign.set()
    here = SigningThread(signer, has_no_free_core)
    assert await here.sign(b"1", b"#", domain="a.test", keys=(), at=NOW) == b"1#a.test"
    assert signer.threads == {threading.get_ident()}
    with pytest.raises(SigningError):
        await here.sign(b"bad", b"#", domain="a.test", keys=(), at=NOW)


class LoopSignsAtOnce(SlowSigner):
    """Keeps only the thread waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = threading.get_ident()
        self.is_thread_busy = threading.Event()

    def sign(self, header: bytes, body_hash: bytes, **what: Any) -> bytes:
        if threading.get_ident() == self.loop:
            return header + b" on the loop"
        self.is_thread_busy.set()
        return super().sign(header, body_hash, **what)


async def test_the_loop_signs_what_would_have_to_wait_for_the_thread() -> None:
    signer = LoopSignsAtOnce()
    both = SigningThread(signer, has_free_core)
    beside = [signed(both, b"first")]
    await asyncio.to_thread(signer.is_thread_busy.wait, 30)
    beside += [signed(both, b"%d" % number) for number in range(PIECE)]
    await asyncio.sleep(0)
    assert await signed(both, b"last") == b"last on the loop"
    assert not any(task.done() for task in beside)
    signer.may_sign.set()
    assert await asyncio.gather(*beside) == [b"first#a.test", b"0#a.test", b"1#a.test"]
