"""`mta backup`: everything that the server keeps, in one file, while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

import click

from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import json_option
from mta.cli.output import print_json, print_line
from mta.cli.store import require_database
from storage import backup


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", "is_forced", is_flag=True, help="Overwrite FILE.")
@json_option
@click.pass_obj
def command(environment: Environment, file: Path, is_forced: bool, is_json: bool) -> None:
    """Write a backup of the queue, its mail, the journal and the signing keys to FILE.

    The server may be running. FILE holds secrets and is readable by its owner only. It leaves out
    mta.toml and TLS certificates.
    """
    with _created(file, is_forced=is_forced) as archive:
        try:
            require_database(environment)
            contents = backup.write(environment.settings.server.data_dir, archive)
        except BaseException:
            # Root has given up its rights by now, so the name may have to stay.
            archive.truncate(0)
            raise
    if is_json:
        print_json(
            {
                "file": str(file),
                "messages": contents.messages,
                "waiting": contents.waiting,
                "spooled": contents.spooled,
                "keys": contents.keys,
                "size": contents.size,
            }
        )
    else:
        print_line(
            f"{file}: {contents.messages} messages, {contents.waiting} deliveries waiting,"
            f" {contents.keys} keys, {contents.size} bytes"
        )


def _created(file: Path, *, is_forced: bool) -> BinaryIO:
    """Open the file, before root gives up the rights that may be needed for it."""
    flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if is_forced else os.O_EXCL)
    try:
        descriptor = os.open(file, flags, 0o600)
    except FileExistsError:
        raise Failure(f"{file} exists; --force overwrites it") from None
    return os.fdopen(descriptor, "w+b")
