"""The write-ahead log as a file, which we sync ourselves: after commits, and apart from them.

SQLite would sync inside COMMIT, while it keeps every other process from writing. Done afterwards,
the others write meanwhile. Nobody outside is told of a commit before a sync has returned: what a
power cut takes back until then, nobody knows of.

Not here: what SQLite still syncs by itself with `synchronous = NORMAL`, which is a new log's
header and directory entry, the log before a checkpoint, and the database after it
(sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from storage.errors import StorageUnavailable

FAILED = "an I/O error has made the state of the disk unknown; all processes start anew"
"""Said to everybody from the first failed sync on."""


class WriteAheadLog:
    """The log of one database, while a connection of this process keeps it from being removed.

    Any thread may sync it. Attributes:
        is_failed: a sync has failed, and every later one does: the kernel tells of it once, to
            whoever asks first, and forgets the pages; the next one would be told that all is well.

    A descriptor of its own does no harm: SQLite has no locks on this file
    (sqlite.org/howtocorrupt.html 2.2 is about those of the database file).
    """

    def __init__(self, database: Path) -> None:
        """Take the path of the database; the log exists from its first transaction on."""
        self._path = database.with_name(f"{database.name}-wal")
        self.is_failed = False
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def sync(self) -> None:
        """Return once everything that was committed before, by whatever process, is on the disk.

        Raises:
            StorageUnavailable: nobody knows what is there.
        """
        if self.is_failed:
            raise StorageUnavailable(FAILED)
        descriptor = self._opened()
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            self.is_failed = True
            raise self._unsynced(error) from error

    def _unsynced(self, error: OSError) -> StorageUnavailable:
        return StorageUnavailable(f"{self._path}: cannot sync: {error.strerror}")

    def _opened(self) -> int:
        with self._lock:
            if self._descriptor is None:
                try:
                    self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
                except OSError as error:  # nothing was asked of the disk: it may work next time
                    raise self._unsynced(error) from error
            return self._descriptor

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
