"""`mta serve`: run the engine in the foreground, as a service manager wants it."""

from __future__ import annotations

import click

from config.advice import warnings
from mta.cli.environment import Environment
from mta.daemon import serve


@click.command()
@click.pass_obj
def command(environment: Environment) -> None:
    """Run the engine: SMTP, API and delivery, until SIGTERM or Ctrl-C.

    Stays in the foreground and logs to standard error. Exit codes: 0 stopped as asked; 1 a part
    failed, or an address is in use; 2 the configuration is wrong; 75 another `mta serve` works on
    the data directory.
    """
    advice = warnings(environment.settings, environment.source)
    click.get_current_context().exit(serve(environment.settings, advice))
