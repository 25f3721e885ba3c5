"""Transactions: groups of work on one connection, carried out, committed and synced.

What a group wrote is there for everybody once commit() has returned, and survives a power cut once
sync() has.

Not here: how work gathers into groups (writer.py), and who opens connections (database.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from storage import faults
from storage.data_dir import Turns
from storage.errors import StorageUnavailable
from storage.sqlite_errors import SqliteError, is_io_error, translated
from storage.write_ahead_log import FAILED, WriteAheadLog
from storage.writer import Done

if TYPE_CHECKING:
    from sqlite3 import Connection

T = TypeVar("T")
Work = Callable[["Connection"], T]


class _TransactionBroken(Exception):  # noqa: N818 - never leaves this module
    """A piece of work has failed and taken the transaction with it."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Committer:
    """Runs groups of work on one connection. Used by one thread at a time.

    With a log, what was committed is on the disk after sync(), while others write already; without
    one, the connection itself syncs at COMMIT.

    Attributes:
        connection: to be used by the same thread only.
    """

    def __init__(
        self,
        connection: Connection,
        turns: Turns | None = None,
        log: WriteAheadLog | None = None,
    ) -> None:
        self.connection = connection
        self._has_failed = False
        self._turns = turns
        self._log = log

    @property
    def is_failed(self) -> bool:
        """Whether an I/O error has made everything uncertain; every commit fails then."""
        return self._has_failed or (self._log is not None and self._log.is_failed)

    def commit(self, group: Sequence[Work[Any]]) -> list[Done]:
        """Carry a group out and return what became of each piece, in order; raises nothing."""
        if self.is_failed:
            return [Done(error=StorageUnavailable(FAILED)) for _ in group]
        try:
            return self._commit(group)
        except SqliteError as error:  # BEGIN or COMMIT failed
            return [Done(error=translated(error)) for _ in group]

    def sync(self) -> str:
        """Put on the disk what was committed; return what prevents it, "" for nothing.

        After a failed sync nobody knows what is there, and a second try would be told that all is
        well (the kernel has dropped the pages): only a restart can find out.
        """
        if self._log is None:
            return ""
        if self.is_failed:
            return FAILED
        try:
            self._log.sync()
        except StorageUnavailable as error:
            self._has_failed = True
            return str(error)
        return ""

    def _commit(self, group: Sequence[Work[Any]]) -> list[Done]:
        """Use one transaction; when work fails, again with a savepoint around each piece; and when
        even that fails as a whole, as it does on a full disk, one transaction for each piece.
        """
        try:
            return self._transaction(group, self._run_with_others)
        except _TransactionBroken as broken:
            if len(group) == 1:
                return [Done(error=translated(broken.error))]
        try:
            return self._transaction(group, self._run_in_savepoint)
        except _TransactionBroken:
            return [done for work in group for done in self.commit([work])]

    def _transaction(
        self, group: Sequence[Work[Any]], run: Callable[[Work[Any]], Done]
    ) -> list[Done]:
        with self._turns or nullcontext():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                done = [run(work) for work in group]
                faults.reach("before_commit")
                self._end()
                faults.reach("after_commit")
            finally:
                self._roll_back()
        return done

    def _end(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except SqliteError as error:
            self._has_failed = is_io_error(error)
            raise

    def _run_with_others(self, work: Work[Any]) -> Done:
        try:
            return Done(work(self.connection))
        except Exception as error:
            raise _TransactionBroken(error) from error

    def _run_in_savepoint(self, work: Work[Any]) -> Done:
        self.connection.execute("SAVEPOINT work")
        try:
            done = Done(work(self.connection))
        except Exception as error:
            if not self.connection.in_transaction:  # SQLite has rolled everything back
                raise _TransactionBroken(error) from error
            self.connection.execute("ROLLBACK TO work")
            done = Done(error=translated(error))
        self.connection.execute("RELEASE work")
        return done

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            with suppress(SqliteError):  # the first error is the one to tell
                self.connection.execute("ROLLBACK")

    def run_chore(self, work: Work[Any]) -> Done:
        """Return what became of work that runs outside a transaction."""
        try:
            return Done(work(self.connection))
        except Exception as error:  # noqa: BLE001 - handed to whose work it was
            return Done(error=translated(error))
