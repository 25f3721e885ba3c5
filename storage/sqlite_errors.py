"""SQLite's errors as ours: what a result code means for whoever asked. Owner of its error class.

Not here: when a write is tried again, and when nothing is written any more (committer.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pysqlite3 import dbapi2

from storage.errors import StorageCorrupt, StorageError, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    import sqlite3

    SqliteError = sqlite3.Error
else:
    SqliteError = dbapi2.Error

_IOERR = 10
_ERRORS: dict[int, type[StorageError]] = {
    5: StorageUnavailable,  # BUSY
    6: StorageUnavailable,  # LOCKED
    7: StorageUnavailable,  # NOMEM
    8: StorageUnavailable,  # READONLY
    _IOERR: StorageUnavailable,
    11: StorageCorrupt,  # CORRUPT
    13: StorageFull,  # FULL
    14: StorageUnavailable,  # CANTOPEN
    26: StorageCorrupt,  # NOTADB
}
"""Primary result codes (sqlite.org/rescode.html) that are not the fault of our own SQL."""


def _code(error: SqliteError) -> int:
    # Errors that the module finds by itself have no code.
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_io_error(error: SqliteError) -> bool:
    """Tell whether the disk failed, so that nobody knows what is on it."""
    return _code(error) == _IOERR


def translated(error: Exception) -> Exception:
    """Return SQLite's error as one of ours; any other error (of the work itself) as it is.

    What is not in the table is a fault of ours, such as wrong SQL: plain StorageError.
    """
    if not isinstance(error, SqliteError):
        return error
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    ours = _ERRORS.get(_code(error), StorageError)(f"SQLite: {error} ({name})")
    ours.__cause__ = error
    return ours


@contextmanager
def translating() -> Iterator[None]:
    """Raise SQLite's errors as ours."""
    try:
        yield
    except SqliteError as error:
        raise translated(error) from error
