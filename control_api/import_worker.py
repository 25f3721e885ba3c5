"""Works through the imports that wait, some rows at a time, beside everything else.

One import of a tenant at a time, a few in all; a batch is one transaction, which also moves the
mark, so whatever ends the server, each row counts once. Reading is another process's
(import_reader.py). Not here: the requests (imports.py), the rows' way into storage
(storage/import_rows.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

from control_api.import_reader import ImportReader, ReaderDied, layout_from_json
from control_api.import_rows import Batch, Job, UnreadableError
from mta.core.contact import Status
from mta.core.frozen import frozen
from mta.core.json_text import decode
from storage import audiences, faults, import_rows, imports
from storage.database import Connection, Database
from storage.errors import STORAGE_TROUBLE, StorageFull, StorageUnavailable
from storage.import_rows import AudienceGone, Step
from storage.imports import ImportRecord

CONCURRENT = 2
"""Imports under way."""
MAX_TRIES = 3
"""Processes that may die over one import."""
PAUSE = 5.0
"""Seconds to wait while storage has trouble, or a reader has died."""
IDLE = 60.0
"""Seconds after which somebody looks without having been kicked."""
SWEPT = 100

T = TypeVar("T")

_GONE = "The audience was deleted."
_DIED = "The file could not be read."
OUR_FAULT = "An error of ours ended the import; the log of the server has it."
"""What imports say that something went wrong with that nobody expected."""

logger = logging.getLogger(__name__)


@frozen
class _Ended:
    """How an import has ended: a status, and why; "" for nothing to say."""

    status: str
    problem: str = ""


class ImportWorker:
    """The background task."""

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime],
        on_events: Callable[[], object],
        open_reader: Callable[[Job], ImportReader] = ImportReader,
        pause: float = PAUSE,
    ) -> None:
        """Take the collaborators.

        Args:
            database: where imports and their files are.
            now: the current time (aware, UTC).
            on_events: called when the journal has grown.
            open_reader: starts to read a file.
            pause: seconds, see PAUSE.
        """
        self._database = database
        self._now = now
        self._on_events = on_events
        self._open_reader = open_reader
        self._pause = pause
        self._news = asyncio.Event()

    def kick(self) -> None:
        """Look for work now."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled; what that interrupts is gone on with at the next start."""
        await self._patiently(self._database.write, imports.release_all)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CONCURRENT):
                tasks.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            self._news.clear()
            await self._sweep()
            claim = partial(imports.claim, now=self._now())
            found = await self._patiently(self._database.write, claim)
            if found is not None:
                await self._work_through(found)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), IDLE)

    async def _patiently(
        self,
        how: Callable[[Callable[[Connection], T]], Awaitable[T]],
        work: Callable[[Connection], T],
    ) -> T:
        """Read or write, again and again while storage has trouble."""
        while True:
            try:
                return await how(work)
            except (StorageFull, StorageUnavailable):
                await asyncio.sleep(self._pause)

    async def _work_through(self, found: ImportRecord) -> None:
        """Bring an import to its end, whatever it takes."""
        deaths, ended = 0, None
        while ended is None:
            try:
                ended = await self._apply_rest(found.row)
            except AudienceGone:
                ended = _Ended("failed", _GONE)
            except UnreadableError as error:
                ended = _Ended("failed", str(error))
            except ReaderDied:
                deaths += 1
                if deaths == MAX_TRIES:
                    ended = _Ended("failed", _DIED)
                else:
                    await asyncio.sleep(self._pause)
            except STORAGE_TROUBLE:
                raise
            except Exception:
                logger.exception("import %s", found.id)
                ended = _Ended("failed", OUR_FAULT)
        finish = partial(
            imports.finish,
            number=found.row,
            status=ended.status,
            problem=ended.problem,
            now=self._now(),
        )
        await self._patiently(self._database.write, finish)
        self._on_events()

    async def _apply_rest(self, number: int) -> _Ended:
        """Apply the rows that are not applied yet.

        Raises:
            AudienceGone, UnreadableError, ReaderDied
        """
        job = await self._patiently(self._database.read, partial(self._job, number=number))
        if job is None:
            return _Ended("canceled")
        reader = self._open_reader(job)
        try:
            while batch := await reader.next():
                apply = partial(
                    import_rows.apply, number=number, step=_step(batch), now=self._now()
                )
                faults.reach("before_import_step")
                if not await self._patiently(self._database.write, apply):
                    return _Ended("canceled")
                faults.reach("after_import_step")
        finally:
            await reader.close()
        return _Ended("completed")

    def _job(self, connection: Connection, *, number: int) -> Job | None:
        """Return what is left to be read of an import that runs; None when it does not any more.

        Raises:
            AudienceGone
        """
        found = imports.running(connection, number)
        if found is None or found.file is None:
            return None
        audience = audiences.get(connection, found.tenant_id, found.audience_id)
        if audience is None:
            raise AudienceGone
        data = cast("dict[str, Any]", decode(found.layout))
        return Job(
            self._database.spool.path(found.file),
            layout_from_json(data["layout"]) if data["layout"] else None,
            audiences.fields(connection, audience.row),
            Status(data["status"]),
            found.counts.received,
        )

    async def _sweep(self) -> None:
        """Remove the files of imports that have ended, however that was."""
        while files := await self._patiently(
            self._database.read, partial(imports.ended_files, limit=SWEPT)
        ):
            for number, name in files:
                try:
                    await asyncio.to_thread(self._database.spool.remove, name)
                except StorageUnavailable:  # the next sweep tries again
                    return
                forget = partial(imports.forget_file, number=number)
                await self._patiently(self._database.write, forget)


def _step(batch: Batch) -> Step:
    return Step(batch.start, batch.end, batch.joiners, batch.refused, batch.position)
