"""How a command fails: one line on standard error and an exit code, no traceback.

0 is success, 1 "not so" or "not there", 2 wrong usage or configuration, 75 "try again later".
`mta sendmail` uses the codes of sysexits(3) instead, as its callers expect.
"""

from __future__ import annotations

from typing import IO, Any

import click

from config.settings import SettingsError
from mta.cli.output import printable
from mta.core.address import AddressError
from storage.errors import DataDirLocked, StorageError, StorageFull, StorageUnavailable

NOT_SO = 1
USAGE = 2
TEMPORARY = 75
"""EX_TEMPFAIL of sysexits(3)."""


class Failure(click.ClickException):
    """The command cannot do what was asked; prints "mta: message" and ends with its code."""

    exit_code: int  # type: ignore[misc]

    def __init__(self, message: str, exit_code: int = NOT_SO) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message to standard error."""
        click.echo(f"mta: {printable(self.format_message())}", err=True, file=file)


def failure_of(error: Exception) -> Failure | None:
    """Return how an expected error ends the command; None for one that nobody expects."""
    match error:
        case SettingsError() | AddressError():
            return Failure(str(error), USAGE)
        case StorageFull() | StorageUnavailable() | DataDirLocked():
            return Failure(str(error), TEMPORARY)
        case StorageError():
            return Failure(str(error), NOT_SO)
        case PermissionError():
            return Failure(f"{error.filename}: {error.strerror}; run as root or as its owner")
        case OSError():
            return Failure(str(error))
        case _:
            return None
