"""The file, its settings and its errors. See also test_group_commit.py and test_crash.py."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from storage import directives
from storage.committer import Committer
from storage.database import (
    MINIMUM_SQLITE,
    PAGE_SIZE,
    Connection,
    Database,
    _connect,
    check_version,
)
from storage.errors import (
    SqliteTooOld,
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageUnavailable,
)


def add(connection: Connection, target: str = "example.net") -> int:
    directives.record(connection, directives.DUE_CHANGED, target)
    return directives.last_id(connection)


def count(connection: Connection) -> int:
    return len(directives.after(connection, 0)[0])


def test_directory_and_files_are_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    database = Database.open(data_dir)
    database.write_now(add)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()}
    database.close()
    assert modes.pop("spool") == 0o700
    assert modes == {
        "mailwright.db": 0o600,
        "mailwright.db-wal": 0o600,
        "mailwright.db-shm": 0o600,
    }
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("value", [None, b"", b"octets", True, False])
def test_no_methods_are_looked_for_in_values_that_are_bound(
    database: Database, value: object
) -> None:
    assert dbapi2.adapt(value) == value  # raises where there is no adapter
    read = database.read_now(lambda c: c.execute("SELECT ?", (value,)).fetchone())
    assert read == (value,)
    assert not isinstance(read[0], bool)


def test_connections_that_sync_by_themselves_do_so_at_every_commit(database: Database) -> None:
    for run in (database.write_now, database.read_now):
        assert run(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
        assert run(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        assert run(lambda c: c.execute("PRAGMA foreign_keys").fetchone()) == (1,)


def test_only_the_writer_makes_checkpoints(database: Database) -> None:
    def interval(connection: Connection) -> int:
        return int(connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0])

    assert interval(database._committer.connection) > 0
    assert database.write_now(interval) == 0
    assert database.read_now(interval) == 0


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 51, 2)])
def test_b12_a_library_that_loses_mail_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(SqliteTooOld, match=r"3\.51\.3 or later"):
        check_version(version)


def test_the_library_in_use_is_new_enough() -> None:
    check_version(MINIMUM_SQLITE)


def page_size(database: Database) -> int:
    return int(database.read_now(lambda c: c.execute("PRAGMA page_size").fetchone()[0]))


def test_a_new_file_has_pages_of_our_size(database: Database) -> None:
    assert page_size(database) == PAGE_SIZE


async def test_a_file_keeps_the_pages_that_it_has(tmp_path: Path) -> None:
    file = dbapi2.connect(str(tmp_path / "mailwright.db"))
    file.execute("PRAGMA page_size = 4096")
    file.execute("CREATE TABLE earlier (x)")
    file.close()
    (tmp_path / "mailwright.db").chmod(0o600)
    opened = Database.open(tmp_path)
    try:
        await opened.write(lambda c: c.execute("INSERT INTO earlier VALUES (1)"))
        assert page_size(opened) == 4096
    finally:
        opened.close()


async def test_what_is_written_can_be_read(database: Database) -> None:
    assert await database.write(add) == 1
    assert await database.read(count) == 1
    assert database.read_now(count) == 1


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await database.read(add)
    assert await database.read(count) == 0


async def test_a_read_sees_one_moment(database: Database) -> None:
    counted, written = threading.Event(), threading.Event()

    def count_twice(connection: Connection) -> tuple[int, int]:
        first = count(connection)
        counted.set()
        assert written.wait(10)
        return first, count(connection)

    reader = threading.Thread(target=lambda: results.append(database.read_now(count_twice)))
    results: list[tuple[int, int]] = []
    reader.start()
    assert counted.wait(10)
    await database.write(add)
    written.set()
    reader.join()
    assert results == [(0, 0)]


def look_in_vain(connection: Connection) -> None:
    raise LookupError("not here")


async def test_errors_of_work_come_through_and_undo_it(database: Database) -> None:
    def fail(connection: Connection) -> None:
        add(connection)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await database.write(fail)
    with pytest.raises(LookupError, match="mine"):
        database.write_now(fail)
    with pytest.raises(LookupError, match="not here"):
        await database.read(look_in_vain)
    assert await database.read(count) == 0


async def test_wrong_sql_is_a_storage_error_that_names_it(database: Database) -> None:
    with pytest.raises(StorageError, match="no such table: nowhere") as caught:
        await database.write(lambda c: c.execute("SELECT * FROM nowhere"))
    assert type(caught.value) is StorageError


async def test_b01_a_full_disk_is_told_and_passes(database: Database) -> None:
    [pages] = await database.read(lambda c: c.execute("PRAGMA page_count").fetchone())
    writer = database._committer.connection
    writer.execute(f"PRAGMA max_page_count = {pages + 2}")

    def add_much(connection: Connection) -> None:
        directives.record(connection, directives.DUE_CHANGED, "x" * 100_000)

    with pytest.raises(StorageFull):
        await database.write(add_much)
    assert await database.write(add) == 1
    writer.execute("PRAGMA max_page_count = 1073741823")
    await database.write(add_much)
    assert await database.read(count) == 2
    database.check_integrity()


def test_b02_mail_is_refused_before_the_disk_is_full(database: Database) -> None:
    database.require_room(10_000)
    with pytest.raises(StorageFull, match="64 MiB"):
        database.require_room(2**60)


def test_a_lock_that_is_held_too_long_is_told(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "data" / "mailwright.db"
    holder, waiter = (_connect(path, lock_timeout=0.01) for _ in range(2))
    holder.execute("BEGIN IMMEDIATE")
    [done] = Committer(waiter).commit([add])
    assert isinstance(done.error, StorageUnavailable)
    holder.execute("ROLLBACK")
    [done] = Committer(waiter).commit([add])
    assert done.result() == 1
    holder.close()
    waiter.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mailwright.db").write_bytes(b"a text that somebody put here" * 1000)
    with pytest.raises(StorageCorrupt, match="not a database"):
        Database.open(tmp_path)


def test_a22_a_damaged_page_is_found(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    for _ in range(500):
        database.write_now(lambda c: add(c, "x" * 100))
    database.check_integrity()
    database.close()
    path = tmp_path / "mailwright.db"
    data = bytearray(path.read_bytes())
    target = data.rindex(b"x" * 100) // PAGE_SIZE * PAGE_SIZE
    data[target : target + 16] = b"\xff" * 16
    path.write_bytes(data)
    database = Database.open(tmp_path)
    with pytest.raises(StorageCorrupt):
        database.check_integrity()
    database.close()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="Not a directory"):
        Database.open(tmp_path / "file" / "data")


async def test_checkpoint_empties_the_wal(database: Database, tmp_path: Path) -> None:
    wal = tmp_path / "data" / "mailwright.db-wal"
    await database.write(add)
    assert wal.stat().st_size > 0
    assert await database.checkpoint()
    assert wal.stat().st_size == 0
    assert await database.read(count) == 1


async def test_b11_a_reader_that_does_not_end_stops_no_mail(database: Database) -> None:
    begun, end = threading.Event(), threading.Event()

    def linger(connection: Connection) -> None:
        count(connection)
        begun.set()
        assert end.wait(10)

    reader = threading.Thread(target=database.read_now, args=[linger])
    await database.write(add)
    reader.start()
    assert begun.wait(10)
    await database.write(add)
    assert not await database.checkpoint()
    assert await database.write(add) == 3
    end.set()
    reader.join()
    assert await database.checkpoint()


async def test_close_finishes_what_is_queued(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    pending = [database._writer.submit(add) for _ in range(1000)]
    database.close()
    assert [await one for one in pending] == list(range(1, 1001))
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.write(add)


def test_the_file_is_complete_without_its_wal_after_close(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    database.write_now(add)
    database.close()
    assert not (tmp_path / "mailwright.db-wal").exists()
    database = Database.open(tmp_path)
    assert database.read_now(count) == 1
    database.close()
