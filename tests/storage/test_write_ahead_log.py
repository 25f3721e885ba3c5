"""Syncing the write-ahead log ourselves."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from storage import directives
from storage.database import Connection, Database
from storage.errors import StorageUnavailable
from storage.write_ahead_log import WriteAheadLog


def add(connection: Connection) -> int:
    directives.record(connection, directives.DUE_CHANGED, "a.test")
    return directives.last_id(connection)


async def test_what_is_synced_after_a_commit_is_the_log_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    sync = os.fdatasync

    def note(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((target.name, os.fstat(descriptor).st_size))
        sync(descriptor)

    database = Database.open(tmp_path)
    monkeypatch.setattr(os, "fdatasync", note)
    try:
        await database.write(add)
        size = (tmp_path / "mailwright.db-wal").stat().st_size
        assert synced == [("mailwright.db-wal", size)]
        assert size > 0
        assert await database.checkpoint()
        await database.write(add)
        assert [name for name, _ in synced] == ["mailwright.db-wal"] * 2
    finally:
        database.close()


async def test_what_is_told_to_others_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, writer = Database.open(tmp_path), Database.open(tmp_path)
    calls: list[str] = []

    def look(connection: Connection) -> int:
        calls.append("read")
        return directives.last_id(connection)

    try:
        await writer.write(add)
        monkeypatch.setattr(os, "fdatasync", lambda _: calls.append("sync"))
        assert await database.read_durable(look) == 1
        assert calls == ["read", "sync"]
    finally:
        database.close()
        writer.close()


async def test_a_database_that_was_closed_and_opened_again_can_be_read_for_others(
    tmp_path: Path,
) -> None:
    before = Database.open(tmp_path)
    await before.write(add)
    before.close()
    database = Database.open(tmp_path)
    try:
        assert await database.read_durable(directives.last_id) == 1
    finally:
        database.close()


def test_a_log_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    log = WriteAheadLog(tmp_path / "some.db")
    with pytest.raises(StorageUnavailable, match=r"some\.db-wal: cannot sync: No such file"):
        log.sync()
    log.close()


def test_a_sync_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "some.db-wal").touch()
    monkeypatch.setattr(os, "fdatasync", fail)
    log = WriteAheadLog(tmp_path / "some.db")
    with pytest.raises(StorageUnavailable, match="Input/output error"):
        log.sync()
    log.close()


async def test_b05_a_sync_that_failed_once_is_never_taken_for_good_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of a failed sync once, to whoever asks first, and drops the pages."""

    def fail(_: int) -> None:
        monkeypatch.undo()
        raise OSError(5, "Input/output error")

    database = Database.open(tmp_path)
    try:
        await database.write(add)
        monkeypatch.setattr(os, "fdatasync", fail)
        with pytest.raises(StorageUnavailable, match="Input/output error"):
            await database.read_durable(directives.last_id)
        assert database.is_failed
        with pytest.raises(StorageUnavailable, match="start anew"):
            await database.write(add)
        with pytest.raises(StorageUnavailable, match="start anew"):
            await database.read_durable(directives.last_id)
    finally:
        database.close()


async def test_b05_each_thread_asks_the_kernel_for_itself(tmp_path: Path) -> None:
    """A failed sync is told once for each descriptor, so one for all would hide it from some."""
    asked: dict[int, set[int]] = {}
    sync = os.fdatasync

    def noting(descriptor: int) -> None:
        asked.setdefault(threading.get_ident(), set()).add(descriptor)
        sync(descriptor)

    database = Database.open(tmp_path)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fdatasync", noting)
            await database.write(add)
            await database.read_durable(directives.last_id)
            await database.write(add)
    finally:
        database.close()
    assert len(asked) == 2
    assert [len(each) for each in asked.values()] == [1, 1]
    assert len(set.union(*asked.values())) == 2
