"""`mta restore`: put a backup back into the data directory."""

from __future__ import annotations

from pathlib import Path

import click

from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import json_option
from mta.cli.output import print_json, print_line
from mta.cli.store import become_owner
from storage import backup


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", "is_forced", is_flag=True, help="Replace what is there, kept aside.")
@json_option
@click.pass_obj
def command(environment: Environment, file: Path, is_forced: bool, is_json: bool) -> None:
    """Restore the backup in FILE into the data directory of the configuration.

    The server must not be running. What was delivered after the backup was made is delivered
    again; what was accepted after it is not there.
    """
    data_dir = environment.settings.server.data_dir
    try:
        archive = file.open("rb")
    except FileNotFoundError:
        raise Failure(f"{file}: there is no such file") from None
    with archive:
        become_owner(data_dir)
        aside = backup.restore(archive, data_dir, is_forced=is_forced)
    if is_json:
        print_json({"data_dir": str(data_dir), "replaced": None if aside is None else str(aside)})
        return
    print_line(f"{data_dir}: restored; start the server to go on")
    if aside is not None:
        print_line(f"what was there is now in {aside}")
