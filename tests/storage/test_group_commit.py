"""What happens to work that shares a transaction: isolation, cancellation, failing commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2

from storage import directives
from storage import writer as module
from storage.committer import Committer
from storage.database import Connection, Database
from storage.errors import StorageFull, StorageUnavailable
from storage.writer import MAX_GROUP, Kind, Writer


class Gate:
    """Work that keeps the writer busy until it is opened, so that more work queues up behind."""

    def __init__(self) -> None:
        self._entered, self._opened = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> None:
        self._entered.set()
        assert self._opened.wait(10)

    async def closed(self) -> None:
        await asyncio.to_thread(self._entered.wait, 10)

    def open(self) -> None:
        self._opened.set()


def adding(target: str) -> Callable[[Connection], str]:
    def add(connection: Connection) -> str:
        directives.record(connection, directives.DUE_CHANGED, target)
        return target

    return add


def failing(target: str) -> Callable[[Connection], None]:
    def fail(connection: Connection) -> None:
        adding(target)(connection)
        raise LookupError(target)

    return fail


async def group(database: Database, *works: Callable[[Connection], Any]) -> list[Any]:
    """Run the works in one group and return their results, exceptions included."""
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await gate.closed()
    tasks = [asyncio.create_task(database.write(work)) for work in works]
    await asyncio.sleep(0)  # every task has submitted
    gate.open()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def targets(database: Database) -> list[str]:
    found, _ = database.read_now(lambda c: directives.after(c, 0))
    return [one.target for one in found]


def syncs(connection: Connection) -> list[str]:
    """Record the transactions that the connection begins and ends."""
    seen: list[str] = []

    def note(statement: str) -> None:
        if statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            seen.append(statement)

    connection.set_trace_callback(note)
    return seen


async def test_waiting_work_shares_one_commit(database: Database) -> None:
    seen = syncs(database._committer.connection)
    names = [f"{number}.example" for number in range(50)]
    assert await group(database, *map(adding, names)) == names
    assert targets(database) == names
    assert seen == ["BEGIN IMMEDIATE", "COMMIT"] * 2  # the gate, then everybody


async def test_a_group_is_bounded(database: Database) -> None:
    seen = syncs(database._committer.connection)
    await group(database, *[adding("x")] * (MAX_GROUP + 1))
    assert seen.count("COMMIT") == 3


async def test_one_that_fails_does_not_touch_its_neighbours(database: Database) -> None:
    names = [f"{number}.example" for number in range(40)]
    works: list[Callable[[Connection], Any]] = [adding(name) for name in names]
    works[7], works[23] = failing("seven"), failing("twenty-three")
    seen = syncs(database._committer.connection)
    results = await group(database, *works)
    assert seen.count("COMMIT") == 2
    assert [str(results.pop(23)), str(results.pop(7))] == ["twenty-three", "seven"]
    assert results == targets(database)
    assert len(results) == 38


async def test_work_runs_once_or_when_the_group_failed_twice(database: Database) -> None:
    runs: list[str] = []

    def counted(connection: Connection) -> None:
        runs.append("run")

    await group(database, counted)
    assert len(runs) == 1
    await group(database, counted, failing("x"))
    assert len(runs) == 3


async def test_cancelling_a_waiter_does_not_undo_its_work(database: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await gate.closed()
    queued = asyncio.create_task(database.write(adding("queued")))
    await asyncio.sleep(0)
    queued.cancel()
    first.cancel()  # its work is running
    gate.open()
    await database.write(adding("after"))
    for task in (first, queued):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert targets(database) == ["queued", "after"]


async def test_a_full_disk_is_told_to_the_one_that_filled_it(database: Database) -> None:
    [pages] = database.read_now(lambda c: c.execute("PRAGMA page_count").fetchone())
    database._committer.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    results = await group(database, adding("small"), adding("x" * 100_000), adding("too"))
    assert isinstance(results[1], StorageFull)
    assert targets(database) == ["small", "too"]


class FailingConnection:
    """A connection whose COMMIT fails with a result code of SQLite."""

    def __init__(self, code: int) -> None:
        self.statements: list[str] = []
        self.in_transaction = False
        self._code = code

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        self.in_transaction = statement in {"BEGIN IMMEDIATE", "COMMIT"}
        if statement == "COMMIT":
            error = dbapi2.OperationalError("simulated")
            error.sqlite_errorcode = self._code
            raise error


SQLITE_FULL, SQLITE_IOERR_FSYNC = 13, 10 | (4 << 8)


def test_a_failed_commit_is_told_to_everybody() -> None:
    connection = FailingConnection(SQLITE_FULL)
    committer = Committer(connection)  # type: ignore[arg-type]
    done = committer.commit([lambda _: "a", lambda _: "b"])
    assert [type(one.error) for one in done] == [StorageFull, StorageFull]
    assert done[0].error is not done[1].error  # each waiter raises its own
    assert connection.statements == ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"]
    assert not committer.is_failed


def test_b06_after_a_failed_sync_nothing_is_written_any_more() -> None:
    connection = FailingConnection(SQLITE_IOERR_FSYNC)
    committer = Committer(connection)  # type: ignore[arg-type]
    [done] = committer.commit([lambda _: "a"])
    assert isinstance(done.error, StorageUnavailable)
    assert committer.is_failed
    connection.statements.clear()
    [done] = committer.commit([lambda _: "b"])
    assert isinstance(done.error, StorageUnavailable)
    assert "start anew" in str(done.error)
    assert connection.statements == []


class RecordingTurns:
    """Turns, and a log, that write down what they are asked for."""

    def __init__(self, *, fails: bool = False) -> None:
        self.is_failed = False
        self.calls: list[str] = []
        self.has_synced = threading.Event()
        self._fails = fails

    def __enter__(self) -> None:
        self.calls.append("turn")

    def __exit__(self, *_: object) -> None:
        self.calls.append("end of turn")

    def sync(self) -> None:
        self.calls.append("sync")
        self.has_synced.set()
        if self._fails:
            raise StorageUnavailable("simulated")


def committer_with(turns: RecordingTurns, database: Database) -> Committer:
    return Committer(database._committer.connection, turns, turns)  # type: ignore[arg-type]


def writer_with(turns: RecordingTurns, database: Database) -> Writer:
    committer = committer_with(turns, database)
    return Writer(committer.commit, committer.sync, committer.run_chore)


async def test_others_write_while_a_commit_is_synced(database: Database) -> None:
    turns = RecordingTurns()
    writer = writer_with(turns, database)
    await writer.submit(adding("a"))
    assert turns.calls == ["turn", "end of turn", "sync"]
    writer.close()


async def test_what_was_rolled_back_is_not_synced(database: Database) -> None:
    def fail(_: Connection) -> None:
        raise ValueError("simulated")

    turns = RecordingTurns()
    writer = writer_with(turns, database)
    with pytest.raises(ValueError, match="simulated"):
        await writer.submit(fail)
    assert turns.calls == ["turn", "end of turn"]
    writer.close()


class SecondSync(RecordingTurns):
    """A disk whose first sync is a quick one, and whose others wait to be let through."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self._others_fail = fails
        self.may_end = threading.Event()

    def sync(self) -> None:
        if "sync" in self.calls:
            assert self.may_end.wait(10)
            self._fails = self._others_fail
        super().sync()


async def second_group(
    writer: Writer, *works: tuple[Callable[[Connection], Any], Kind]
) -> list[asyncio.Future[Any]]:
    """Have the writer begin with these works as one group, its second."""
    gate = Gate()
    first = writer.submit(gate)
    await gate.closed()
    waiting = [writer.submit(work, kind) for work, kind in works]
    gate.open()
    await first
    return waiting


async def test_a_note_does_not_wait_for_the_sync_and_a_promise_does(database: Database) -> None:
    turns = SecondSync()
    writer = writer_with(turns, database)
    promise, note = await second_group(
        writer, (adding("promise"), Kind.PROMISE), (adding("note"), Kind.NOTE)
    )
    await note
    assert sorted(targets(database)) == ["note", "promise"]
    assert not promise.done()
    turns.may_end.set()
    await promise
    assert turns.calls == ["turn", "end of turn", "sync"] * 2
    writer.close()


async def test_notes_of_several_groups_share_a_sync_that_comes_by_itself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEISURE", 1.0)
    turns = RecordingTurns()
    writer = writer_with(turns, database)
    for target in "abc":
        await writer.submit(adding(target), Kind.NOTE)
    assert await asyncio.to_thread(turns.has_synced.wait, 10)
    assert turns.calls.count("sync") < turns.calls.count("turn") == 3
    writer.close()


async def test_notes_are_synced_before_the_writer_ends(database: Database) -> None:
    turns = RecordingTurns()
    writer = writer_with(turns, database)
    await writer.submit(adding("a"), Kind.NOTE)
    writer.close()
    assert turns.calls == ["turn", "end of turn", "sync"]


async def test_b06_whom_a_failed_sync_leaves_without_what_was_promised(database: Database) -> None:
    turns = SecondSync(fails=True)
    writer = writer_with(turns, database)
    *promises, refused, note = await second_group(
        writer,
        (adding("a"), Kind.PROMISE),
        (adding("b"), Kind.PROMISE),
        (failing("c"), Kind.PROMISE),
        (adding("d"), Kind.NOTE),
    )
    assert await note == "d"
    turns.may_end.set()
    errors = await asyncio.gather(*promises, refused, return_exceptions=True)
    assert [type(one) for one in errors] == [StorageUnavailable, StorageUnavailable, LookupError]
    assert errors[0] is not errors[1]  # each waiter raises its own
    with pytest.raises(StorageUnavailable, match="start anew"):
        await writer.submit(adding("e"), Kind.NOTE)
    writer.close()


def test_b06_after_a_sync_of_the_log_has_failed_nothing_is_written_any_more(
    database: Database,
) -> None:
    turns = RecordingTurns(fails=True)
    committer = committer_with(turns, database)
    [done] = committer.commit([adding("a")])
    assert done.error is None
    assert committer.sync() == "simulated"
    assert committer.is_failed
    turns.calls.clear()
    [again] = committer.commit([adding("c")])
    assert "start anew" in str(again.error)
    assert "start anew" in committer.sync()
    assert turns.calls == []


async def test_b05_a_writer_that_broke_is_a_failed_database(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(database._committer, "_transaction", fail)
    with pytest.raises(StorageUnavailable, match="stopped"):
        await database.write(adding("a"))
    monkeypatch.undo()
    assert database.is_failed
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.write(adding("b"))
    assert "No locks available" in caplog.text


def test_neighbours_survive_when_sqlite_gives_up_the_whole_transaction(database: Database) -> None:
    def give_up(connection: Connection) -> None:
        connection.execute("ROLLBACK")
        raise dbapi2.OperationalError("as SQLite does when memory or disk fail it")

    done = database._committer.commit([adding("before"), give_up, adding("after")])
    assert [one.error is None for one in done] == [True, False, True]
    assert targets(database) == ["before", "after"]


async def test_several_event_loops_share_the_writer(database: Database) -> None:
    def run(name: str) -> None:
        async def write_many() -> None:
            await asyncio.gather(*[database.write(adding(f"{name}{n}")) for n in range(50)])

        asyncio.run(write_many())

    await asyncio.gather(*[asyncio.to_thread(run, name) for name in "abc"])
    assert sorted(targets(database)) == sorted(f"{name}{n}" for name in "abc" for n in range(50))


async def test_a_loop_that_is_gone_does_not_disturb_the_others(database: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await gate.closed()

    def leave_work_behind() -> None:
        async def submit() -> None:
            database._writer.submit(adding("left"))

        asyncio.run(submit())

    await asyncio.to_thread(leave_work_behind)
    second = asyncio.create_task(database.write(adding("mine")))
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, second)
    assert targets(database) == ["left", "mine"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_writer_that_broke(tmp_path: Path) -> None:
    def leave(connection: Connection) -> None:
        raise SystemExit

    database = Database.open(tmp_path)
    results = await group(database, leave, adding("x"))
    assert [type(one) for one in results] == [StorageUnavailable] * 2
    with pytest.raises(StorageUnavailable):
        await database.write(adding("y"))
    database.close()


async def test_checkpoints_run_between_groups(database: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(database.write(gate))
    await gate.closed()
    write = asyncio.create_task(database.write(adding("x")))
    checkpoint = asyncio.create_task(database.checkpoint())
    await asyncio.sleep(0)
    gate.open()
    await asyncio.gather(first, write)
    assert await checkpoint
