"""The writer thread: a queue of work in front, a group at a time behind.

While one group is being committed the next one gathers, so the busier the server, the more mail
shares one sync. Groups in which nobody waits for the disk share a sync as well. Not here: what a
transaction is (database.py, which brings the callables).
"""

from __future__ import annotations

import asyncio
import enum
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic, perf_counter
from typing import Any, TypeVar

from mta.core.frozen import frozen
from mta.core.histogram import COMMIT_BOUNDS, Histogram
from storage.errors import StorageUnavailable

T = TypeVar("T")
logger = logging.getLogger(__name__)

MAX_GROUP = 256
"""Pieces of work in one transaction: bounds how long a commit, and who waits for it, can take."""
LEISURE = 0.02
"""Seconds after which what was only noted is synced, unless a promise comes before."""


class Kind(enum.Enum):
    """When whoever waits for a piece of work is told."""

    PROMISE = "promise"
    """Once it is on the disk: somebody will rely on it."""
    NOTE = "note"
    """Once it is committed: a power cut may undo it, and what it says is then found out again."""
    CHORE = "chore"
    """Once it is done, by itself and outside any transaction."""


@frozen
class Done:
    """What became of one piece of work: its value, or its error."""

    value: Any = None
    error: Exception | None = None

    def result(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value

    def despite(self, trouble: str) -> Done:
        """Return what it comes to when `trouble`, "" for none, keeps the commit off the disk."""
        is_undone = trouble and self.error is None
        return Done(error=StorageUnavailable(trouble)) if is_undone else self


@frozen
class _Job:
    """Something that a coroutine waits for. A chore is done by itself, outside any transaction."""

    work: Callable[..., Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    kind: Kind


class Writer:
    """The thread and its queue. Several event loops may use it at once.

    Attributes:
        commit_times: how long, in seconds, carrying a group out took.
        is_broken: the thread has ended by an error, and no work is done any more.

    Args:
        commit: carries a group out and says what became of each; raises nothing.
        sync: puts it on the disk, and says what prevents that, "" for nothing; raises nothing.
        run_chore: the same for one chore.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Callable[..., Any]]], Sequence[Done]],
        sync: Callable[[], str],
        run_chore: Callable[[Callable[..., Any]], Done],
    ) -> None:
        self._commit = commit
        self._sync = sync
        self._run_chore = run_chore
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.is_broken = False
        self._sync_by: float | None = None  # of time.monotonic(); None: all is on the disk
        self.commit_times = Histogram(COMMIT_BOUNDS)

    def submit(self, work: Callable[..., T], kind: Kind = Kind.PROMISE) -> asyncio.Future[T]:
        """Queue work and return a future of the running loop that gets its result.

        Raises:
            StorageUnavailable: closed.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop, kind)
        with self._lock:
            if self._is_closed:
                raise StorageUnavailable("the database is closed")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="storage-writer", daemon=True
                )
                self._thread.start()
            self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        with self._lock:
            self._is_closed = True
            self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        group: list[_Job] = []
        try:
            while group := self._next_group():
                self._serve(group)
            if self._sync_by is not None:
                self._catch_up()
        except Exception:
            logger.exception("the writer has stopped")
            self.is_broken = True
        finally:
            self._abandon(group)  # nobody may wait for ever

    def _next_group(self) -> list[_Job]:
        """Wait for work and return all there is, up to a bound; nothing when it is time to end."""
        group: list[_Job] = []
        while len(group) < MAX_GROUP and not (group and self._jobs.empty()):
            job = self._next_job()
            if job is None:
                if group:
                    self._jobs.put(None)  # for the next call
                break
            group.append(job)
        return group

    def _next_job(self) -> _Job | None:
        if self._sync_by is not None:
            try:
                return self._jobs.get(timeout=max(0.0, self._sync_by - monotonic()))
            except Empty:
                self._catch_up()
        return self._jobs.get()

    def _serve(self, group: Sequence[_Job]) -> None:
        jobs = [job for job in group if job.kind is not Kind.CHORE]
        if jobs:
            self._carry_out(jobs)
        for job in group:
            if job.kind is Kind.CHORE:
                _wake([(job, self._run_chore(job.work))])

    def _carry_out(self, jobs: Sequence[_Job]) -> None:
        started = perf_counter()
        done = [*zip(jobs, self._commit([job.work for job in jobs]), strict=True)]
        _wake([one for one in done if one[0].kind is Kind.NOTE])
        if self._sync_by is None and any(result.error is None for _, result in done):
            self._sync_by = monotonic() + LEISURE
        promises = [one for one in done if one[0].kind is Kind.PROMISE]
        is_due = self._sync_by is not None and (promises or self._sync_by <= monotonic())
        trouble = self._catch_up() if is_due else ""
        self.commit_times.observe(perf_counter() - started)
        _wake([(job, result.despite(trouble)) for job, result in promises])

    def _catch_up(self) -> str:
        """Sync all that was committed; return what prevents it, "" for nothing.

        Where nobody waits for it, whoever writes next hears of a failure: nothing is written then.
        """
        self._sync_by = None
        return self._sync()

    def _abandon(self, jobs: list[_Job]) -> None:
        with self._lock:
            self._is_closed = True
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                jobs.append(job)
        _wake([(job, Done(error=StorageUnavailable("the writer has stopped"))) for job in jobs])


def _wake(done: Sequence[tuple[_Job, Done]]) -> None:
    """Hand results to the loops that wait for them, with one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Done]]] = defaultdict(list)
    for job, result in done:
        by_loop[job.loop].append((job, result))
    for loop, results in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed and its coroutines gone; the work stays
            loop.call_soon_threadsafe(_deliver, results)


def _deliver(results: Sequence[tuple[_Job, Done]]) -> None:
    for job, done in results:
        if job.future.done():  # its waiter was cancelled; the work stays done
            continue
        if done.error is None:
            job.future.set_result(done.value)
        else:
            job.future.set_exception(done.error)
