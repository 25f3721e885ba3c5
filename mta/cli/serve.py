"""`mta serve`: run the engine in the foreground, as a service manager wants it."""

from __future__ import annotations

import click

from config.advice import warnings
from config.settings import load
from mta.cli.clock import clock_problem
from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.daemon import serve


@click.command()
@click.pass_obj
def command(environment: Environment) -> None:
    """Run the engine: SMTP, API and delivery, until SIGTERM or Ctrl-C.

    Stays in the foreground and logs to standard error. SIGHUP has it go on with the configuration
    as it is then; a wrong one changes nothing. Exit codes: 0 stopped as asked; 1 a part
    failed, an address is in use, or the clock is years behind; 2 the configuration is wrong; 75
    another `mta serve` works on the data directory.
    """
    if problem := clock_problem(environment.now()):
        raise Failure(problem)
    advice = warnings(environment.settings, environment.source)
    code = serve(environment.settings, lambda: load(environment.source), advice)
    click.get_current_context().exit(code)
