"""The data directory: created with private modes, and held by one server at a time.

Not here: what is inside (database.py, spool.py).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import DataDirLocked, StorageUnavailable

PATIENCE = 5.0
"""Seconds to wait for the processes of a server that is no more."""


def create(path: Path) -> None:
    """Make sure that a directory exists, readable by its owner only, and survives a power cut.

    Raises:
        StorageUnavailable: the system does not let us.
    """
    with _translated():
        if not path.is_dir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(path.parent)


def create_database(path: Path) -> None:
    """Make sure that the database file exists with mode 0600, which SQLite gives its companions.

    An existing file is not even opened: closing it again would drop the locks that this process
    holds on it (sqlite.org/howtocorrupt.html 2.2).

    Raises:
        StorageUnavailable: the system does not let us.
    """
    with _translated(), suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other process prepares what is in this directory, and keep others waiting.

    SQLite lets several processes use a file at once, but not begin to.

    Raises:
        StorageUnavailable: the directory cannot be opened.
    """
    with _translated():
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class Turns:
    """Turns at writing among the processes of one server; a context is one turn.

    SQLite lets a process that finds the file locked sleep and try again, longer each time: whoever
    writes most would write always. Those who wait here are woken in their order.
    """

    def __init__(self, path: Path) -> None:
        """Take the data directory.

        Raises:
            StorageUnavailable: the system does not let us.
        """
        with _translated():
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(path / "turns", flags, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Take no more turns."""
        os.close(self._descriptor)


def sync(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DataDirLock:
    """Proof that this process is the only server of a data directory, until release() or exit."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another server have the directory. The file stays: removing it would be a race."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def lock_data_dir(data_dir: Path) -> DataDirLock:
    """Take the directory for this process, before anything in it is opened for serving.

    Raises:
        DataDirLocked: another server has it; the message says which process.
        StorageUnavailable: the directory cannot be written.
    """
    create(data_dir)
    with _translated():
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    holder = _locked_by(descriptor)
    gives_up_at = time.monotonic() + PATIENCE
    while holder is not None and not _is_alive(holder) and time.monotonic() < gives_up_at:
        time.sleep(0.02)  # the server has been killed, and its processes are about to notice
        holder = _locked_by(descriptor)
    if holder is not None:
        os.close(descriptor)
        raise DataDirLocked(f"{data_dir} is in use by the server with pid {holder or 'unknown'}")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return DataDirLock(descriptor)


def _locked_by(descriptor: int) -> str | None:
    """Take the lock and return None, or return the pid of whoever has it, "" when unknown."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    return None


def _is_alive(pid: str) -> bool:
    return not pid.isdigit() or Path("/proc", pid).exists()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{error.filename}: {error.strerror}") from error
