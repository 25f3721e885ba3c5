"""The spool: one file for each message that is too large to sit in the database.

A file is written once under a temporary name, synced, renamed and its directory synced, before the
transaction that refers to it; so a row never names a file that a power cut could take away, and a
file without a row is garbage that upkeep removes. Everything here blocks: call it from a thread.
Not here: which message a file belongs to (the bodies table).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from storage import data_dir, faults
from storage.errors import StorageError, StorageFull, StorageUnavailable
from storage.room import DiskRoom

INLINE_LIMIT = 262_144
"""Bytes up to which a message is kept inside the database."""

_NAME = re.compile(r"[0-9a-f]{32}")
_UNFINISHED = ".tmp"


class SpoolFile:
    """A file being written; ends in commit() or abort()."""

    def __init__(self, directory: Path, room: DiskRoom) -> None:
        self._directory = directory
        self._room = room
        self._name = secrets.token_hex(16)
        self._path = directory / (self._name + _UNFINISHED)
        with _translated():
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        """Append data.

        Raises:
            StorageFull, StorageUnavailable: the file is then to be aborted. Full is already what
                leaves less than the reserve: many large messages at once must not eat it up.
        """
        self._room.require(len(data))
        view = memoryview(data)
        with _translated():
            while view:
                view = view[self._file.write(view) :]

    def commit(self) -> str:
        """Make the file durable and return its name, which Spool.open takes.

        Raises:
            StorageFull, StorageUnavailable: the file is gone then.
        """
        try:
            with _translated():
                faults.reach("spool_written")
                os.fsync(self._file.fileno())
                self._file.close()
                faults.reach("spool_synced")
                self._path.rename(self._directory / self._name)
                faults.reach("spool_renamed")
                data_dir.sync(self._directory)
                faults.reach("spool_committed")
        except StorageError:
            self.abort()
            raise
        return self._name

    def abort(self) -> None:
        """Remove the file. Safe to call twice, and after a commit that failed."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Spool:
    """The directory of spool files; created with mode 0700 where missing.

    Attributes:
        room: on its disk.
    """

    def __init__(self, directory: Path) -> None:
        self.room = DiskRoom(directory)
        self._directory = directory
        data_dir.create(directory)

    def begin(self) -> SpoolFile:
        """Start a new file.

        Raises:
            StorageFull, StorageUnavailable
        """
        return SpoolFile(self._directory, self.room)

    def path(self, name: str) -> Path:
        """Return where a file is.

        Raises:
            ValueError: not a name that commit() returned.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a spool file")
        return self._directory / name

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            StorageUnavailable: it is missing or unreadable.
        """
        with _translated():
            return self.path(name).open("rb")

    def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is fine."""
        with _translated():
            self.path(name).unlink(missing_ok=True)

    def names(self, *, before: datetime) -> Iterator[str]:
        """Yield the names of the files last written before `before` (aware), in no order.

        Upkeep compares them with the bodies table; young ones may still await their transaction.
        Mail may come and go meanwhile.

        Raises:
            StorageUnavailable
        """
        for name in self._older(before):
            if _NAME.fullmatch(name):
                yield name

    def remove_unfinished(self, *, before: datetime) -> int:
        """Remove what crashes left half written before `before` (aware); return how many.

        Raises:
            StorageUnavailable
        """
        leftovers = [name for name in self._older(before) if name.endswith(_UNFINISHED)]
        with _translated():
            for name in leftovers:
                (self._directory / name).unlink(missing_ok=True)
        return len(leftovers)

    def _older(self, before: datetime) -> Iterator[str]:
        with _translated(), os.scandir(self._directory) as files:
            for file in files:
                with suppress(FileNotFoundError):  # renamed or removed since it was listed
                    if file.stat().st_mtime < before.timestamp():
                        yield file.name


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the operating system's errors into ours."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageUnavailable
        raise kind(f"spool: {error.strerror}") from error
