"""The entry of the `mta` command: the group, its options, and which file holds which command.

Commands are imported when they are used, so that `mta key list` does not wait for SMTP and DNS.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from mta.cli.environment import Environment
from mta.cli.failure import failure_of

COMMANDS: Mapping[str, str] = {
    "serve": "Run the engine: SMTP, API and delivery.",
    "check": "Check the configuration and the machine; say what is wrong.",
    "doctor": "Examine the whole installation: disk, DNS, TLS, keys, clock.",
    "backup": "Write everything the server keeps to a file, while it runs.",
    "restore": "Put a backup back.",
    "demo": "See a whole delivery on this machine, in a minute.",
    "key": "API keys: create, list, revoke.",
    "user": "People who log in with a password: add, list, password, remove.",
    "domain": "Sender domains: add, show records, verify, delete.",
    "send": "Send one message through the running engine.",
    "sendmail": "The classic sendmail interface, for cron and old programs.",
    "queue": "The queue: list, show, retry, hold, release, cancel, suspend, resume.",
    "suppression": "Addresses that get no more mail: list, add, remove, import, export, undo.",
    "message": "One message: where it is, and why.",
    "webhook": "Endpoints that get events: list, show, test, replay, enable, disable.",
    "events": "The journal: what happened, now or live.",
    "reports": "Bounces and complaints: read them from files.",
    "classify": "What replies of mail servers mean.",
    "sink": "A receiving test server that stores, refuses or defers.",
}
"""Command -> what it is for, in the order of `mta --help`. Each is the object `command` of its
module in mta.cli."""


class Commands(click.Group):
    """A group that imports a command when it is called, and turns expected errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"mta.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an expected error becomes its Failure."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            raise failure from None


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 not so, or not there; 2 usage or configuration; 75 try later.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Configuration; default ./mta.toml, else /etc/mta/mta.toml.",
)
@click.version_option(package_name="mailwright", message="%(package)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Mailwright, a self-hosted SMTP delivery engine with an embedded control API.

    New here? `mta demo` shows it at work; then `mta check`, `mta key create`, `mta domain add`
    and `mta serve`.
    """
    ctx.obj = Environment(config)


def main() -> None:
    """Run the command line; called as `sendmail`, be it."""
    arguments = sys.argv[1:]
    if Path(sys.argv[0]).name == "sendmail":
        arguments = ["sendmail", *arguments]
    cli.main(args=arguments, prog_name="mta")


if __name__ == "__main__":
    main()
