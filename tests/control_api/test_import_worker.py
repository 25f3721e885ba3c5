"""The import worker when things go wrong, and the process that reads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from control_api import import_rows
from control_api.import_reader import (
    ImportReader,
    ReaderDied,
    batch_from_json,
    batch_to_json,
    job_from_json,
    job_to_json,
)
from control_api.import_rows import BATCH, MAX_LINES, Batch, Job, UnreadableError
from control_api.import_worker import OUR_FAULT, ImportWorker
from mta.core.contact import Status
from mta.core.contact_csv import Layout
from storage import imports
from storage.audiences import AudienceField
from storage.errors import StorageUnavailable
from tests.control_api.conftest import Api
from tests.control_api.test_imports import audience, finished, members, ok, upload
from tests.support.import_reader import InlineReader

ROWS = 3 * BATCH + 1
KNOWN = {"AGE": AudienceField("AGE", "Age", "number")}
LAYOUT = Layout("utf-8-sig", ",", ("email", "name", "fields.AGE"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [f"c{number}@x.test,Name {number},{number}" for number in range(ROWS - 1)]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(["email,name,AGE", *lines, "no,x,y"]))
    return path


def job(path: Path, start: int = 0, layout: Layout | None = LAYOUT) -> Job:
    return Job(path, layout, KNOWN, Status.UNCONFIRMED, start)


async def all_of(reader: ImportReader) -> list[Batch]:
    found = []
    while batch := await reader.next():
        found.append(batch)
    return found


class TestReading:
    def test_a_job_survives_the_pipe(self, file: Path) -> None:
        for one in (job(file, 5), job(file, 0, None)):
            assert job_from_json(job_to_json(one)) == one
        for batch in import_rows.read(job(file)):
            assert batch_from_json(batch_to_json(batch)) == batch

    def test_a_second_run_goes_on_where_the_first_has_ended(self, file: Path) -> None:
        whole = list(import_rows.read(job(file)))
        assert [one.end for one in whole] == [BATCH, 2 * BATCH, 3 * BATCH, ROWS]
        rest = list(import_rows.read(job(file, BATCH)))
        assert rest == whole[1:]
        joiners = [one for batch in whole for one in batch.joiners]
        assert [one.contact.name for one in joiners] == [f"Name {n}" for n in range(ROWS - 1)]
        assert joiners[7].values == {"AGE": 7}
        assert [one.row for one in whole[-1].refused] == [ROWS]
        assert whole[-1].position == file.stat().st_size

    async def test_the_process_reads_the_same(self, file: Path) -> None:
        reader = ImportReader(job(file, 2))
        try:
            assert await all_of(reader) == list(import_rows.read(job(file, 2)))
        finally:
            await reader.close()
        assert reader.pid is None

    async def test_the_process_tells_what_it_cannot_read(self, tmp_path: Path) -> None:
        path = tmp_path / "long.csv"
        path.write_text("email\n" + "x" * 1_100_000)
        reader = ImportReader(job(path))
        try:
            with pytest.raises(UnreadableError, match="Line 2 is longer"):
                await all_of(reader)
        finally:
            await reader.close()

    def test_a_row_without_an_end_is_not_held(self, tmp_path: Path) -> None:
        path = tmp_path / "endless.csv"
        path.write_text("email\n" + '"a\n",' * (MAX_LINES + 5))
        with pytest.raises(UnreadableError, match="too many lines"):
            list(import_rows.read(job(path)))

    @pytest.mark.parametrize("code", ["", "raise SystemExit(1)", "print('rubbish')"])
    async def test_a_process_that_dies(self, file: Path, code: str) -> None:
        reader = ImportReader(job(file), command=(sys.executable, "-c", code))
        try:
            with pytest.raises(ReaderDied):
                await reader.next()
        finally:
            await reader.close()


class Dying(InlineReader):
    """Dies behind its first batch."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._left = 1

    async def next(self) -> Batch | None:
        if not self._left:
            raise ReaderDied("it was killed")
        self._left -= 1
        return await super().next()


class Faulty(InlineReader):
    """Has an error that nobody knows of."""

    async def next(self) -> Batch | None:
        raise LookupError("nobody expected this")


class Waiting(InlineReader):
    """Stands still behind its first batch, until told."""

    def __init__(self, job: Job, go_on: asyncio.Event, has_begun: asyncio.Event) -> None:
        super().__init__(job)
        self._go_on, self._has_begun = go_on, has_begun
        self._count = 0

    async def next(self) -> Batch | None:
        self._count += 1
        if self._count == 2:
            self._has_begun.set()
            await self._go_on.wait()
        return await super().next()


class Run:
    """A worker that runs for the length of a test."""

    def __init__(self, api: Api, open_reader: Callable[[Job], ImportReader], database: Any) -> None:
        self.events = 0
        self.worker = ImportWorker(
            database,
            now=api.clock,
            on_events=self._count,
            open_reader=open_reader,
            pause=0.01,
        )

    def _count(self) -> None:
        self.events += 1

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.worker.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self._task


def running(
    api: Api, open_reader: Callable[[Job], ImportReader] = InlineReader, database: Any = None
) -> Run:
    return Run(api, open_reader, database or api.database)


async def queued(api: Api, file: Path) -> tuple[str, str]:
    """Return the path of an audience, and the id of an import into it."""
    path = await audience(api, "AGE")
    reply = await upload(api.client, path, file.read_bytes())
    return path, reply.json["id"]


class TestWorking:
    async def test_an_error_of_ours_ends_one_import_and_no_other(
        self, api: Api, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        _, first = await queued(api, file)
        other = await audience(api, name="Others")
        second = (await upload(api.client, other, b"email\na@x.test\n")).json["id"]
        kinds = iter((Faulty, InlineReader))

        def open_reader(job: Job) -> ImportReader:
            return next(kinds)(job)

        async with running(api, open_reader):
            failed, done = await finished(api, first), await finished(api, second)
        assert (failed["status"], failed["problem"]) == ("failed", OUR_FAULT)
        assert "nobody expected this" in caplog.text
        assert done["status"] == "completed"

    async def test_a_reader_that_dies_costs_no_row_and_repeats_none(
        self, api: Api, file: Path
    ) -> None:
        path, import_id = await queued(api, file)
        kinds = iter((Dying, Dying, InlineReader))

        def open_reader(job: Job) -> ImportReader:
            return next(kinds)(job)

        async with running(api, open_reader) as run:
            done = await finished(api, import_id)
        assert done["status"] == "completed"
        assert (done["counts"]["inserted"], done["counts"]["failed"]) == (ROWS - 1, 1)
        assert done["counts"]["updated"] == 0
        assert run.events == 1
        assert (await ok(api.client.get(path)))["total"] == ROWS - 1

    async def test_a_file_that_kills_every_reader_is_given_up(self, api: Api, file: Path) -> None:
        _, import_id = await queued(api, file)
        async with running(api, Dying):
            done = await finished(api, import_id)
        assert (done["status"], done["problem"]) == ("failed", "The file could not be read.")
        assert done["counts"]["inserted"] == 3 * BATCH

    async def test_canceled_in_the_middle(self, api: Api, file: Path) -> None:
        path, import_id = await queued(api, file)
        go_on, has_begun = asyncio.Event(), asyncio.Event()
        async with running(api, lambda job: Waiting(job, go_on, has_begun)):
            await has_begun.wait()
            under_way = await ok(api.client.get(f"/v1/imports/{import_id}"))
            assert under_way["status"] == "running"
            assert 0 < under_way["progress"] < 100
            await ok(api.client.delete(f"/v1/imports/{import_id}"))
            go_on.set()
            done = await finished(api, import_id)
        assert (done["status"], done["counts"]["received"]) == ("canceled", BATCH)
        assert (await ok(api.client.get(path)))["total"] == BATCH

    async def test_trouble_with_storage_is_waited_out(self, api: Api, file: Path) -> None:
        _, import_id = await queued(api, file)
        async with running(api, database=Flaky(api.database)):
            done = await finished(api, import_id)
        assert done["counts"]["inserted"] == ROWS - 1
        assert done["counts"]["updated"] == 0

    async def test_a_kick_wakes_it(self, api: Api, file: Path) -> None:
        async with running(api) as run:
            await api.database.read(lambda db: imports.open_of(db, 1))
            path, import_id = await queued(api, file)
            run.worker.kick()
            assert (await finished(api, import_id))["status"] == "completed"
            assert len(await members(api, path)) == 100


class Flaky:
    """A database of which every other write fails before it does anything."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, work: Any) -> Any:
        self._count += 1
        if self._count % 2:
            raise StorageUnavailable("the disk is away")
        return await self._database.write(work)
