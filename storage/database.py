"""The database: one SQLite file, its connections, and who may read and write through them.

Everything else in storage is a plain function that takes a `Connection` first and touches nothing
but SQL. Such a function reaches the file in one of two ways:

- `await database.write(work)`: the writer thread runs all the work that is waiting in one
  transaction, syncs and wakes the callers (group commit: one sync for many messages); note() is
  for work of which nobody is told anything, and does not wait for the sync;
- `await database.read(work)`: a reader thread runs it on a snapshot, on a read-only connection.

The command line, which shares the file with a running server, uses `write_now` and `read_now`.

Not here: the writer thread (writer.py), transactions (committer.py), the schema (migrations.py),
queries (the module of each noun), large bodies (spool.py). Owner of pysqlite3, whose errors become
those of errors.py (sqlite_errors.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeVar, cast

from pysqlite3 import dbapi2

from storage import data_dir as directory
from storage import faults, migrations
from storage.committer import Committer, Work
from storage.data_dir import Turns
from storage.errors import SqliteTooOld, StorageCorrupt, StorageUnavailable
from storage.spool import Spool
from storage.sqlite_errors import translating
from storage.write_ahead_log import WriteAheadLog
from storage.writer import Kind, Writer

if TYPE_CHECKING:
    # pysqlite3 is the standard library's module around a newer SQLite and has no types of its own.
    import sqlite3

    Connection = sqlite3.Connection
else:
    Connection = dbapi2.Connection

OperationalError = dbapi2.OperationalError
"""What SQLite raises, among others, for text that is no UTF-8."""

T = TypeVar("T")

MINIMUM_SQLITE = (3, 51, 3)
"""Older ones may lose committed pages when a WAL is reset (sqlite.org/wal.html, 3.51.3)."""

PAGE_SIZE = 8192
"""Octets of a page of a new file: a message of some 10 KB is in two or three, and fewer pages are
written for it than SQLite's 4096 would need."""
READERS = 2
LOCK_TIMEOUT = 10.0
"""Seconds that the server waits for another process to finish its transaction."""
COMMAND_LOCK_TIMEOUT = 30.0
"""The same for the command line, where a person would rather wait than see an error."""

_PRAGMAS = (
    "PRAGMA synchronous = FULL",  # NORMAL may forget acknowledged mail after a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = FAST",  # overwrites what is deleted from pages that change anyway
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -8192",  # KiB
    "PRAGMA journal_size_limit = 67108864",  # the WAL is cut back to this after a burst
    "PRAGMA wal_autocheckpoint = 0",
)
_WRITER_PRAGMAS = (
    "PRAGMA synchronous = NORMAL",  # we sync the log after each commit (write_ahead_log.py)
    "PRAGMA cache_size = -32768",
    # Only the writer copies the WAL into the file: every 2000 pages (16 MB). Fewer would copy pages
    # that change with every message more often, more would make the slowest commit longer.
    "PRAGMA wal_autocheckpoint = 2000",
)

_AS_THEY_ARE: tuple[tuple[type, Callable[..., object]], ...] = (
    (type(None), lambda value: value),
    (bytes, bytes),  # of bytes, that is the same object
    (bool, int),
)
"""Types of values, all but int, str and float, for which sqlite3 looks for a method that turns them
into something else, at the price of two exceptions a value: a fifteenth of what accepting a message
takes. With an adapter it does not look. The same goes for enums, so bind int() of them."""
for _kind, _adapter in _AS_THEY_ARE:
    dbapi2.register_adapter(_kind, _adapter)


def _connect(path: Path, *pragmas: str, lock_timeout: float = LOCK_TIMEOUT) -> Connection:
    connection: Connection = dbapi2.connect(
        str(path),
        timeout=lock_timeout,
        isolation_level=None,  # no transaction begins behind our back
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # a file that exists keeps its own
    [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageUnavailable(f"{path}: SQLite cannot keep a WAL on this file system")
    for pragma in (*_PRAGMAS, *pragmas):
        connection.execute(pragma)
    return connection


class Database:
    """The open file. One for each process; safe to use from several threads and event loops.

    Attributes:
        spool: where large bodies are.
        commit_times: how long the writer's transactions took, in seconds.
    """

    def __init__(
        self, path: Path, connection: Connection, spool: Spool, turns: Turns | None = None
    ) -> None:
        """Use open() instead."""
        self.spool = spool
        self._path = path
        self._turns = turns
        self._log = WriteAheadLog(path)
        self._committer = Committer(connection, turns, self._log)
        self._writer = Writer(
            self._committer.commit, self._committer.sync, self._committer.run_chore
        )
        self.commit_times = self._writer.commit_times
        self._command_lock = threading.Lock()
        self._command_committer: Committer | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="storage-reader")
        self._read_connections: SimpleQueue[Connection] = SimpleQueue()

    @classmethod
    def open(cls, data_dir: Path, *, is_shared: bool = False) -> Database:
        """Open data_dir/mailwright.db, made and brought to this release's schema where necessary.

        is_shared: other processes of the same server write to it all the time, by turns.

        Raises:
            SqliteTooOld, SchemaTooNew, StorageCorrupt, StorageUnavailable
        """
        check_version(dbapi2.sqlite_version_info)
        path = data_dir / "mailwright.db"
        directory.create(data_dir)
        directory.create_database(path)
        with directory.turn(data_dir), translating():
            connection = _connect(path, *_WRITER_PRAGMAS)
            try:
                _migrate(connection)
            except BaseException:
                connection.close()
                raise
        turns = directory.Turns(data_dir) if is_shared else None
        return cls(path, connection, Spool(data_dir / "spool"), turns)

    async def write(self, work: Work[T]) -> T:
        """Run work in a transaction shared with other work; return its value once it is on disk.

        Work may run more than once (with its group, then apart when one of the group failed), so
        it touches nothing but SQL. Cancelling the caller does not undo it.

        Raises:
            StorageFull, StorageUnavailable, StorageCorrupt: nothing was written, except perhaps
                after an I/O error at COMMIT.
            Exception: whatever work raised; what it wrote is undone.
        """
        return await self._writer.submit(work)

    async def note(self, work: Work[T]) -> T:
        """Do what write() does, but return at COMMIT; the sync follows soon (writer.LEISURE).

        For what nobody outside relies on. A power cut may undo it, with all that came after it.
        """
        return await self._writer.submit(work, Kind.NOTE)

    async def read(self, work: Work[T]) -> T:
        """Run work on a snapshot, in a thread, and return its value. It cannot write.

        Raises:
            StorageError: the file cannot be read, or work tried to write.
            Exception: whatever work raised.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    async def read_durable(self, work: Work[T]) -> T:
        """Do what read() does, and return once what was read is on the disk, whoever wrote it.

        For what is told to others: a power cut must not take back what they have heard.
        """

        def read(connection: Connection) -> T:
            value = work(connection)
            self._log.sync()
            return value

        return await self.read(read)

    def write_now(self, work: Work[T]) -> T:
        """Do what write() does, in this thread and a transaction of its own; raises as write()."""
        with self._command_lock, translating():
            if self._command_committer is None:
                connection = _connect(self._path, lock_timeout=COMMAND_LOCK_TIMEOUT)
                self._command_committer = Committer(connection)
            [done] = self._command_committer.commit([work])
        return cast("T", done.result())

    def read_now(self, work: Work[T]) -> T:
        """Do what read() does, in this thread.

        Raises:
            Exception: as read().
        """
        with translating():
            connection = self._read_connection()
            try:
                connection.execute("BEGIN")
                return work(connection)
            finally:
                connection.rollback()
                self._read_connections.put(connection)

    async def checkpoint(self) -> bool:
        """Copy the WAL into the file and empty it, when idle; False when a reader prevents it."""
        return await self._writer.submit(_checkpoint, Kind.CHORE)

    def check_integrity(self) -> None:
        """Read the whole file and compare its structure; about 0.2 s for a million queue entries.

        Raises:
            StorageCorrupt: it is damaged; the message has the first thing found.
        """
        [finding] = self.read_now(lambda c: c.execute("PRAGMA quick_check(1)").fetchone())
        if finding != "ok":
            raise StorageCorrupt(f"{self._path}: {finding}")

    def require_room(self, size: int) -> None:
        """Check, before accepting `size` bytes into the file, that the disk keeps its reserve.

        Raises:
            StorageFull: it would not.
        """
        self.spool.room.require(2 * size)  # in the WAL first, then in the file

    @property
    def is_failed(self) -> bool:
        """Whether a commit or a sync met an I/O error: every write fails until it is opened anew.

        All processes have to close it before: the log of one that lives on goes on where nobody
        knows what is there.
        """
        return self._committer.is_failed or self._writer.is_broken

    def close(self) -> None:
        """Finish what is queued and close the file. The last one to close empties the WAL."""
        self._writer.close()
        self._readers.shutdown()
        while not self._read_connections.empty():
            self._read_connections.get().close()
        if self._command_committer is not None:
            self._command_committer.connection.close()
        self._committer.connection.close()
        self._log.close()
        if self._turns is not None:
            self._turns.close()

    def _read_connection(self) -> Connection:
        try:
            return self._read_connections.get_nowait()
        except Empty:
            return _connect(self._path, "PRAGMA query_only = ON")


def check_version(version: tuple[int, ...]) -> None:
    """Check the SQLite library that is in use; raises SqliteTooOld when it may lose data."""
    if version < MINIMUM_SQLITE:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, MINIMUM_SQLITE))
        raise SqliteTooOld(f"SQLite {found} may lose mail; {needed} or later is needed")


def _migrate(connection: Connection) -> None:
    if not migrations.is_pending(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        faults.reach("before_migration")
        migrations.apply(connection)  # does nothing when another process was faster
        connection.execute("COMMIT")
        faults.reach("after_migration")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _checkpoint(connection: Connection) -> bool:
    faults.reach("before_checkpoint")
    connection.execute("PRAGMA busy_timeout = 0")  # mail must not wait for a reader to finish
    try:
        [is_busy, _, _] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT * 1000:.0f}")
    faults.reach("after_checkpoint")
    return not is_busy
