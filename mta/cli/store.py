"""Storage for commands: a short transaction beside a running server, then a kick that wakes it.

Root becomes the owner of the data directory before it touches it, so that files which `sudo mta`
makes there stay the service's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.kick import kick_engine
from storage.database import Connection, Database

T = TypeVar("T")


@contextmanager
def opened(environment: Environment) -> Iterator[Database]:
    """Give the database, which is made where there is none yet."""
    data_dir = environment.settings.server.data_dir
    become_owner(data_dir)
    with closing(Database.open(data_dir)) as database:
        yield database


def require_database(environment: Environment) -> None:
    """Check, before reading, that there is something to read.

    Raises:
        Failure: there is no storage yet.
    """
    data_dir = environment.settings.server.data_dir
    become_owner(data_dir)
    if not has_database(data_dir):
        raise Failure(f"{data_dir}: nothing there yet; `mta serve` or `mta key create` makes it")


def has_database(data_dir: Path) -> bool:
    """Tell whether there is storage.

    Raises:
        PermissionError: this user may not look, which Path.exists() tells up to Python 3.13 only.
    """
    try:
        (data_dir / "mailwright.db").stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read(environment: Environment, closure: Callable[[Connection], T]) -> T:
    """Return what a closure reads from storage.

    Raises:
        Failure: there is no storage yet.
    """
    require_database(environment)
    with opened(environment) as database:
        return database.read_now(closure)


def change(environment: Environment, closure: Callable[[Connection], T]) -> T:
    """Run a closure that changes storage in a transaction of its own, then wake the engine."""
    with opened(environment) as database:
        result = database.write_now(closure)
    kick_engine(environment.settings.server.data_dir)
    return result


def become_owner(data_dir: Path) -> None:
    """Give up root's rights for those of the data directory's owner, for good."""
    if os.geteuid() != 0 or not data_dir.exists():
        return
    owner = data_dir.stat()
    if owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)
