"""When bulk rests, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mta.bulk_rest import LATELY, LONGEST, BulkRest
from tests.support import virtual_time


def resting(on_end: Callable[[], object] = bool) -> BulkRest:
    rest = BulkRest()
    rest.saw_bulk()
    rest.begin(on_end)
    assert rest.is_on
    return rest


def test_there_is_no_rest_where_there_is_no_bulk() -> None:
    async def story() -> None:
        rest = BulkRest()
        rest.begin(bool)
        assert not rest.is_on
        rest.saw_bulk()
        await asyncio.sleep(LATELY * 1.01)
        rest.begin(bool)
        assert not rest.is_on
        rest.saw_bulk()
        rest.begin(bool)
        assert rest.is_on

    virtual_time.run(story())


def test_a_rest_ends_by_itself() -> None:
    async def story() -> None:
        ends: list[float] = []
        rest = resting(lambda: ends.append(asyncio.get_running_loop().time()))
        await asyncio.sleep(LONGEST / 2)
        rest.begin(bool)  # is no longer one for it
        await asyncio.sleep(LONGEST)
        assert not rest.is_on
        rest.end()
        assert ends == [LONGEST]

    virtual_time.run(story())


def test_several_can_wait_for_its_end() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        rest = resting()
        waiting = [asyncio.create_task(rest.over()) for _ in range(3)]
        await asyncio.sleep(LONGEST / 3)
        waiting.pop().cancel()
        await asyncio.gather(*waiting)
        assert loop.time() == LONGEST
        await rest.over()  # it is, and nothing to wait for
        assert loop.time() == LONGEST

    virtual_time.run(story())


def test_after_a_rest_bulk_goes_on_for_as_long() -> None:
    async def story() -> None:
        rest = resting()
        await asyncio.sleep(LONGEST / 3)
        rest.end()
        rest.begin(bool)
        assert not rest.is_on
        await asyncio.sleep(LONGEST / 4)
        rest.begin(bool)
        assert not rest.is_on
        await asyncio.sleep(LONGEST / 6)
        rest.begin(bool)
        assert rest.is_on
        await asyncio.sleep(LONGEST * 0.9)  # the timer of the first rest does not end this one
        assert rest.is_on

    virtual_time.run(story())
