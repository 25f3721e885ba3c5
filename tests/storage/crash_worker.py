"""Run by test_crash.py as a process that is to die: prints what was acknowledged, one per line."""
# ruff: noqa: T201

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from storage import faults
from storage.database import Database
from storage.errors import StorageError
from storage.spool import Spool
from tests.storage import builders


async def accept(data_dir: Path, count: int) -> None:
    """Accept mail, one message after the other."""
    database = Database.open(data_dir)
    for number in range(count):
        await database.write(lambda c, n=number: builders.accept(c, f"u{n}@example.net"))  # type: ignore[misc]
        print(number, flush=True)
    await database.checkpoint()
    database.close()


async def run_out(data_dir: Path, count: int) -> None:
    """Accept mail while the system lets no file grow 128 KiB beyond the largest."""
    database = Database.open(data_dir)
    limit = max(path.stat().st_size for path in data_dir.iterdir()) + 128 * 1024
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for number in range(count):
        try:
            await database.write(lambda c, n=number: builders.accept(c, f"u{n}@example.net"))  # type: ignore[misc]
        except StorageError as error:
            print(type(error).__name__, database.is_failed, flush=True)
        else:
            print(number, flush=True)


def write_spool(data_dir: Path, count: int) -> None:
    """Write one spool file."""
    file = Spool(data_dir / "spool").begin()
    file.write(b"x" * count)
    print(file.commit(), flush=True)


if __name__ == "__main__":
    faults.check_environment()
    what, directory, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "accept":
        asyncio.run(accept(directory, number))
    elif what == "run_out":
        asyncio.run(run_out(directory, number))
    else:
        write_spool(directory, number)
