"""Idle connections: woken latest first, closed oldest first."""

from __future__ import annotations

import asyncio

import pytest

from mta.core.shaping import Limits
from mta.idle_pool import IdlePool
from mta.site import Site
from tests.support import virtual_time
from tests.support.delivery_rig import route_to
from tests.support.virtual_time import now, settle_down


def site(name: str = "a.test") -> Site:
    return Site(route_to(name), Limits(), now())


def test_the_connection_that_was_busy_last_is_woken_first() -> None:
    async def story() -> None:
        pool, a = IdlePool(5.0), site()
        first, second = (asyncio.create_task(pool.rest(a)) for _ in range(2))
        await settle_down()
        pool.wake(a)
        assert await second is True
        assert not first.done()
        pool.wake(a)
        pool.wake(a)  # nobody is left; no harm
        assert await first is True
        assert (len(pool), a.idle) == (0, [])

    virtual_time.run(story())


def test_each_is_closed_when_its_own_time_is_over() -> None:
    async def story() -> None:
        pool, a = IdlePool(5.0), site()
        ends: list[float] = []

        async def rest() -> None:
            assert await pool.rest(a) is False
            ends.append(asyncio.get_running_loop().time())

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(rest())
                await asyncio.sleep(2)
        assert ends == [5.0, 7.0, 9.0]

    virtual_time.run(story())


def test_the_oldest_gives_way_first() -> None:
    async def story() -> None:
        pool, a, b = IdlePool(5.0), site("a.test"), site("b.test")
        first, second = asyncio.create_task(pool.rest(a)), asyncio.create_task(pool.rest(b))
        await settle_down()
        pool.close_oldest()
        assert await first is False
        pool.close_all()
        assert await second is False
        pool.close_oldest()

    virtual_time.run(story())


def test_a_cancelled_rest_leaves_nothing_behind() -> None:
    async def story() -> None:
        pool, a = IdlePool(5.0), site()
        task = asyncio.create_task(pool.rest(a))
        await settle_down()
        task.cancel()
        pool.wake(a)  # in the same moment
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (len(pool), a.idle) == (0, [])

    virtual_time.run(story())
