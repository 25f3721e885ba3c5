"""When a core counts as free: by what a busy thread had of the processors, and for how long."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mta.spare_core import CALM_WINDOWS, WINDOW, SpareCore, Usage, thread_usage

CALM = (0.95, 0.01)
HELPED = (0.7, 0.1)
CROWDED = (0.7, 0.3)
IDLE = (0.1, 0.0)


class FakeThread:
    """A thread that has run and waited for shares of the windows so far."""

    def __init__(self) -> None:
        self.at = 100.0
        self.usage = Usage(5_000_000, 1_000_000)
        self.reads = 0

    def measure(self) -> Usage:
        self.reads += 1
        return self.usage

    def live(self, ran: float, waited: float, seconds: float = 1.25 * WINDOW) -> None:
        self.at += seconds
        ns = seconds * 1e9
        self.usage = Usage(self.usage.ran + int(ran * ns), self.usage.waited + int(waited * ns))


def followed(windows: Iterable[tuple[float, float]]) -> tuple[SpareCore, FakeThread, list[bool]]:
    thread = FakeThread()
    core = SpareCore(thread.measure, cores=64)
    answers = [core.is_free(thread.at)]
    for ran, waited in windows:
        thread.live(ran, waited)
        answers.append(core.is_free(thread.at))
    return core, thread, answers


def test_a_loop_that_runs_all_the_time_without_waiting_leaves_a_core_free() -> None:
    _, _, answers = followed([CALM] * (CALM_WINDOWS + 1))
    assert answers == [False] * CALM_WINDOWS + [True, True]


@pytest.mark.parametrize("other", [CROWDED, IDLE])
def test_fewer_calm_windows_are_not_enough(other: tuple[float, float]) -> None:
    _, _, answers = followed([*[CALM] * (CALM_WINDOWS - 1), other] * 5)
    assert not any(answers)


def test_help_goes_on_while_the_loop_has_work_and_a_core() -> None:
    _, _, answers = followed([*[CALM] * CALM_WINDOWS, HELPED, HELPED])
    assert answers[-3:] == [True, True, True]


@pytest.mark.parametrize("end", [CROWDED, IDLE])
def test_help_ends_at_once_and_begins_anew_as_before(end: tuple[float, float]) -> None:
    begin = [CALM] * CALM_WINDOWS
    _, _, answers = followed([*begin, end, *begin])
    assert answers == [*[False] * CALM_WINDOWS, True, *[False] * CALM_WINDOWS, True]


def test_a_long_idle_time_counts_as_idle() -> None:
    core, thread, _ = followed([CALM] * CALM_WINDOWS)
    thread.live(0.001, 0.0, seconds=60)
    assert not core.is_free(thread.at)


def test_nothing_is_read_within_a_window() -> None:
    core, thread, _ = followed([CALM] * CALM_WINDOWS)
    reads = thread.reads
    thread.live(*CROWDED, seconds=WINDOW / 2)
    assert core.is_free(thread.at)
    assert thread.reads == reads


@pytest.mark.parametrize(("cores", "is_free"), [(1, False), (2, False), (3, True)])
def test_where_the_kernel_tells_nothing_the_number_of_cores_decides(
    cores: int, is_free: bool
) -> None:
    core = SpareCore(lambda: None, cores=cores)
    assert [core.is_free(1.0), core.is_free(2.0)] == [is_free, is_free]


def test_the_kernel_counts_what_a_thread_runs() -> None:
    before = thread_usage()
    if before is None:
        pytest.skip("this kernel does not count")
    sum(range(3_000_000))
    after = thread_usage()
    assert after is not None
    assert after.ran > before.ran
    assert after.waited >= before.waited
