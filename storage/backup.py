"""Backups: everything of a data directory in one file, made while the server runs, and put back.

The file is a tar archive: `mailwright.db`, a snapshot of the database; the spool files that it
refers to; the signing keys; and last `manifest.json` with a SHA-256 of each, so that an archive
that is cut short or damaged is never restored. It holds secrets: keep it as safe as the server.
Mail that was delivered after the snapshot is delivered again after a restore.

Not here: the commands (mta/cli/backup.py and restore.py), mta.toml and TLS certificates, which are
outside the data directory. Owner of pysqlite3 beside database.py, for its online backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO

from pysqlite3 import dbapi2

from mta.core.frozen import frozen
from storage import data_dir as directories
from storage.database import Database
from storage.errors import StorageError, StorageUnavailable

FORMAT = 1
DATABASE = "mailwright.db"
MANIFEST = "manifest.json"
_MEMBER = re.compile(r"mailwright\.db|spool/[0-9a-f]{32}|keys/[a-z0-9_.-]{1,253}/[a-z0-9_.-]+\.pem")
_REPLACED = ("mailwright.db", "mailwright.db-wal", "mailwright.db-shm", "spool", "keys")


class BackupError(StorageError):
    """The archive cannot be used; the message says why."""


@frozen
class Contents:
    """What a backup holds.

    Attributes:
        messages: how many, in the database.
        waiting: queue entries that are not settled.
        spooled: large bodies.
        keys: files of signing keys.
        size: bytes of all of it.
    """

    messages: int
    waiting: int
    spooled: int
    keys: int
    size: int


def write(data_dir: Path, archive: BinaryIO) -> Contents:
    """Write a backup of a data directory, and make it durable. The server may be at work.

    Args:
        data_dir: has a database.
        archive: a new file, open for writing; useless if this raises.

    Raises:
        StorageUnavailable, StorageCorrupt, OSError
    """
    with tempfile.TemporaryDirectory(prefix="backup-", dir=data_dir) as scratch:
        work = Path(scratch)
        (work / "spool").mkdir()
        _link_spool(data_dir, work)  # what is delivered and removed from here on stays with us
        _snapshot(data_dir / DATABASE, work / DATABASE)
        _link_spool(data_dir, work)
        contents, wanted = _inspect(work, data_dir)
        _archive(wanted, archive)
    return contents


def _snapshot(source: Path, target: Path) -> None:
    """Copy the database as it is at one moment; writers go on meanwhile."""
    try:
        with (
            closing(dbapi2.connect(f"file:{source}?mode=ro", uri=True)) as origin,
            closing(dbapi2.connect(str(target))) as copy,
        ):
            origin.backup(copy)
    except dbapi2.Error as error:
        raise StorageUnavailable(f"{source}: {error}") from error


def _link_spool(data_dir: Path, work: Path) -> None:
    spool = data_dir / "spool"
    for path in spool.iterdir() if spool.is_dir() else ():
        target = work / "spool" / path.name
        if not path.suffix and not target.exists():
            try:
                os.link(path, target)
            except FileNotFoundError:
                continue  # delivered and removed just now


def _inspect(work: Path, data_dir: Path) -> tuple[Contents, dict[str, Path]]:
    """Return what the snapshot holds, and name in the archive -> file."""
    with closing(Database.open(work)) as database:
        database.check_integrity()
        files, messages, waiting = database.read_now(
            lambda c: (
                [row[0] for row in c.execute("SELECT file FROM bodies WHERE file IS NOT NULL")],
                c.execute("SELECT COUNT(*) FROM messages").fetchone()[0],
                c.execute("SELECT COUNT(*) FROM entries WHERE state < 10").fetchone()[0],
            )
        )
    spooled = [name for name in files if (work / "spool" / name).exists()]
    keys = sorted((data_dir / "keys").glob("*/*.pem"))
    wanted = {DATABASE: work / DATABASE}
    wanted |= {f"spool/{name}": work / "spool" / name for name in spooled}
    wanted |= {str(path.relative_to(data_dir)): path for path in keys}
    size = sum(path.stat().st_size for path in wanted.values())
    return Contents(messages, waiting, len(spooled), len(keys), size), wanted


def _archive(wanted: dict[str, Path], archive: BinaryIO) -> None:
    digests = {}
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in wanted.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                tar.addfile(member, file)
        text = json.dumps({"format": FORMAT, "sha256": digests}).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(text), 0o600
        tar.addfile(member, BytesIO(text))
    archive.flush()
    os.fsync(archive.fileno())


def restore(archive: BinaryIO, data_dir: Path, *, is_forced: bool = False) -> Path | None:
    """Put a backup into a data directory that no server works on.

    Everything is unpacked and checked beside what is there before anything changes. What was there
    is not deleted but moved into a directory of its own.

    Args:
        archive: open for reading.
        data_dir: made where it is missing.
        is_forced: replace what is there.

    Returns:
        Where what was there has been moved; None when there was nothing.

    Raises:
        DataDirLocked: a server works on it.
        BackupError: the archive is not whole, or there is mail already and is_forced is not set.
        StorageUnavailable, StorageCorrupt, OSError
    """
    with directories.lock_data_dir(data_dir):
        is_there = (data_dir / DATABASE).exists()
        if is_there and not is_forced:
            raise BackupError(f"{data_dir} holds mail already; --force moves it aside")
        with _unpacked(archive, data_dir) as fresh:
            aside = _move_aside(data_dir) if is_there else None
            for name in ("spool", "keys", DATABASE):  # the database last: it makes the rest count
                if (fresh / name).exists():
                    (fresh / name).rename(data_dir / name)
            directories.sync(data_dir)
    return aside


@contextmanager
def _unpacked(archive: BinaryIO, data_dir: Path) -> Iterator[Path]:
    fresh = Path(tempfile.mkdtemp(prefix="restore-", dir=data_dir))
    try:
        _unpack(archive, fresh)
        with closing(Database.open(fresh)) as database:
            database.check_integrity()
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _unpack(archive: BinaryIO, fresh: Path) -> None:
    digests: dict[str, str] = {}
    expected: dict[str, str] | None = None
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is None or expected is not None:
                    raise BackupError(f"{member.name!r} does not belong into a backup")
                if member.name == MANIFEST:
                    expected = _manifest(file.read())
                else:
                    digests[member.name] = _put(member.name, file, fresh)
    except tarfile.TarError as error:
        raise BackupError(f"this is no whole backup: {error}") from error
    if expected is None:
        raise BackupError("this is no whole backup: its end is missing")
    if digests != expected or DATABASE not in digests:
        raise BackupError("this is no whole backup: what it holds is not what was put in")
    for directory in {path.parent for path in fresh.rglob("*")}:
        directories.sync(directory)


def _manifest(text: bytes) -> dict[str, str]:
    try:
        manifest = json.loads(text)
        if manifest["format"] != FORMAT:
            raise BackupError("this backup was made by a later release; use that release")
        return dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError("this is no whole backup: its end cannot be read") from error


def _put(name: str, source: IO[bytes], fresh: Path) -> str:
    """Write one member where its name says, durably, and return its digest."""
    if not _MEMBER.fullmatch(name) or ".." in name:
        raise BackupError(f"{name!r} does not belong into a backup")
    path = fresh / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        shutil.copyfileobj(source, file, 2**20)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_aside(data_dir: Path) -> Path:
    aside = Path(tempfile.mkdtemp(prefix="replaced-", dir=data_dir))
    for name in _REPLACED:
        if (data_dir / name).exists():
            (data_dir / name).rename(aside / name)
    directories.sync(data_dir)
    return aside
