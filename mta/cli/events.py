"""`mta events`: the journal, what happened to every entry, as a list or live."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

import click

from mta.cli.environment import Environment
from mta.cli.journal_lines import event_cells, event_json
from mta.cli.options import TimeSpan, json_option
from mta.cli.output import print_json, print_line
from mta.cli.store import opened, require_database
from storage import events as journal
from storage.database import Connection, Database
from storage.events import JournalEntry

POLL_SECONDS = 0.25
BATCH = 500


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with new events until Ctrl-C.")
@click.option("--after", type=click.IntRange(0), help="All after this seq; 0 is the beginning.")
@click.option("--since", type=TimeSpan(), help='All of the last "1h", "2d", ...')
@click.option("--last", default=20, show_default=True, type=click.IntRange(0), help="The newest.")
@json_option
@click.pass_obj
def command(environment: Environment, /, **options: Any) -> None:
    """Show the newest events, or all after a point, oldest first.

    With --json one event a line. A program remembers the last `seq` it has seen and goes on with
    --follow --after SEQ.
    """
    require_database(environment)
    since = None if options["since"] is None else environment.now() - options["since"]
    with opened(environment) as database, suppress(KeyboardInterrupt):
        start = database.read_now(lambda c: _start(c, options["after"], since, options["last"]))
        for events in _batches(database, start, follow=options["follow"]):
            _print(events, is_json=options["is_json"])


def _start(connection: Connection, after: int | None, since: datetime | None, last: int) -> int:
    """Return the seq after which to begin."""
    newest = journal.last_seq(connection)
    if after is not None:
        return after
    return max(newest - last, 0) if since is None else _seq_before(connection, since, newest)


def _seq_before(connection: Connection, since: datetime, newest: int) -> int:
    """Return the last seq before a time, found by halving: events are in the order of time."""
    low, high = 0, newest
    while low < high:
        middle = (low + high) // 2
        found = journal.read(connection, after=middle, limit=1)
        if found and found[0].at < since:
            low = found[0].seq
        else:
            high = middle
    return low


def _batches(database: Database, after: int, *, follow: bool) -> Iterator[Sequence[JournalEntry]]:
    while True:
        events = database.read_now(partial(journal.read, after=after, limit=BATCH))
        if events:
            yield events
            after = events[-1].seq
        elif follow:
            time.sleep(POLL_SECONDS)
        else:
            return


def _print(events: Sequence[JournalEntry], *, is_json: bool) -> None:
    for event in events:
        if is_json:
            print_json(event_json(event))
        else:
            print_line(*event_cells(event))
