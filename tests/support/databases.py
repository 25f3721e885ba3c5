"""New databases for tests, copied: the statements of the schema take longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from storage import data_dir
from storage.database import Database


def new_database(directory: Path) -> Database:
    """Return what Database.open() returns for a directory that has no database yet."""
    data_dir.create(directory)
    path = directory / "mailwright.db"
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_empty_file())
    return Database.open(directory)


@cache
def _empty_file() -> bytes:
    with TemporaryDirectory() as directory:
        Database.open(Path(directory)).close()
        return Path(directory, "mailwright.db").read_bytes()
