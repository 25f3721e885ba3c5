"""A job that fails begins anew, and takes nothing with it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from mta.jobs import LONGEST_PAUSE, WENT_WELL, Jobs
from tests.support.virtual_time import run


class Moody:
    """A job that works for so many seconds each time and then fails; at the end it only works."""

    def __init__(self, *works: float) -> None:
        self.works = list(works)
        self.began: list[float] = []

    async def run(self) -> None:
        self.began.append(asyncio.get_running_loop().time())
        if not self.works:
            await asyncio.sleep(1e9)
        await asyncio.sleep(self.works.pop(0))
        raise LookupError("a row of nonsense")


async def for_seconds(seconds: float, jobs: Jobs, **work: Moody) -> None:
    async with asyncio.TaskGroup() as tasks:
        jobs.start(tasks, {name: moody.run for name, moody in work.items()})
        await asyncio.sleep(seconds)
        jobs.cancel()


def test_a_job_that_fails_begins_anew_later_and_later() -> None:
    moody, steady = Moody(0, 0, 0), Moody()
    jobs = Jobs(lambda: False)
    run(for_seconds(60, jobs, moody=moody, steady=steady))
    assert moody.began == [0, 1, 3, 7]
    assert steady.began == [0]
    assert jobs.failures == {"moody": 3, "steady": 0}


def test_pauses_have_an_end_and_start_small_again_after_good_work() -> None:
    moody = Moody(*[0] * 9, WENT_WELL + 1)
    run(for_seconds(10 * LONGEST_PAUSE, Jobs(lambda: False), moody=moody))
    pauses = [after - before for before, after in zip(moody.began, moody.began[1:], strict=False)]
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pauses[9] == WENT_WELL + 1 + 1


def test_it_is_logged_with_where_it_happened(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        run(for_seconds(5, Jobs(lambda: False), moody=Moody(0)))
    assert "moody failed, and will begin anew in 1 s" in caplog.text
    assert "LookupError: a row of nonsense" in caplog.text


def test_where_nothing_can_work_any_more_no_job_begins_anew() -> None:
    moody, steady = Moody(0), Moody()
    jobs = Jobs(lambda: True)
    run(for_seconds(60, jobs, moody=moody, steady=steady))
    assert (moody.began, steady.began) == ([0], [0])
    assert jobs.failures == {"moody": 0, "steady": 0}
