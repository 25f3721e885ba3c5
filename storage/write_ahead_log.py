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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import StorageUnavailable

FAILED = "an I/O error has made the state of the disk unknown; all processes start anew"
"""Said to everybody from the first failed sync on."""


class WriteAheadLog:
    """The log of one database, while a connection of this process keeps it from being removed.

    Any thread may sync it, each with a descriptor of its own: the kernel tells of a failed sync
    once for each, and forgets the pages. Those do no harm: SQLite has no locks on this file
    (sqlite.org/howtocorrupt.html 2.2 is about those of the database file).

    Attributes:
        is_failed: a sync has failed, and so does every later one: asked again, the kernel would say
            that all is well.
    """

    def __init__(self, database: Path) -> None:
        """Take the path of the database; the log exists from its first transaction on."""
        self._path = database.with_name(f"{database.name}-wal")
        self.is_failed = False
        self._lock = threading.Lock()
        self._descriptors: dict[int, int] = {}

    def sync(self) -> None:
        """Return once everything that was committed before, by whatever process, is on the disk.

        Raises:
            StorageUnavailable: nobody knows what is there.
        """
        if self.is_failed:
            raise StorageUnavailable(FAILED)
        with self._told():
            descriptor = self._opened()
            try:
                os.fdatasync(descriptor)
            except OSError:
                self.is_failed = True
                raise

    def _opened(self) -> int:
        thread = threading.get_ident()
        descriptor = self._descriptors.get(thread)
        if descriptor is None:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            with self._lock:
                self._descriptors[thread] = descriptor
        return descriptor

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn the operating system's errors into ours."""
        try:
            yield
        except OSError as error:
            raise StorageUnavailable(f"{self._path}: cannot sync: {error.strerror}") from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            for descriptor in self._descriptors.values():
                os.close(descriptor)
            self._descriptors.clear()
