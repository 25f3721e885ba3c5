"""`mta suppression`: addresses that get no more mail: list, add, remove, import, export, undo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, TypeVar

import click

from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import TimeSpan, json_option
from mta.cli.output import Styled, clock, print_json, print_line, print_note, print_table, stamp
from mta.cli.store import change, opened, read, require_database
from mta.core import suppression_csv
from mta.core.address import parse_address
from mta.core.suppression_csv import BadRow, CsvError, Listed, Reader
from mta.kick import kick_engine
from storage import suppressions
from storage.database import Connection, Database
from storage.suppressed_entries import add_and_settle
from storage.suppressions import Cause, NewSuppression, SuppressionFilter, SuppressionRecord
from storage.tenants import DEFAULT_TENANT

BATCH = 1000
"""Rows in one transaction; a running server's mail waits some 10 ms for each."""
PIECE = 65_536

F = TypeVar("F", bound=Callable[..., Any])


def filtered(command: F) -> F:
    """Add the options that choose suppressions."""
    for option in reversed(
        (
            click.option("--reason", default="", help="Only those with this reason."),
            click.option(
                "--rule", default="", help='Only those of this rule, or import ("imp_...").'
            ),
            click.option("--since", type=TimeSpan(), help='Only those of the last "1h", "2d", ...'),
        )
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Addresses that get no more mail: list, add, remove, import, export, undo."""


@command.command("list")
@filtered
@click.option("--search", "text", default="", help="Only addresses that contain this.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most.")
@json_option
@click.pass_obj
def list_(environment: Environment, /, **options: Any) -> None:
    """List suppressed addresses, newest first."""
    now, limit = environment.now(), options["limit"]
    wanted = _filter(options, now)
    found = read(
        environment,
        lambda c: suppressions.list_(c, DEFAULT_TENANT, wanted, now=now, limit=limit + 1),
    )
    if options["is_json"]:
        print_json([_as_json(record) for record in found[:limit]])
    elif not found:
        print_line("no address is suppressed")
    else:
        print_table(
            ("ADDRESS", "REASON", "RULE", "SINCE", "UNTIL"),
            [
                (
                    one.address,
                    one.reason,
                    one.cause.rule,
                    clock(one.created_at),
                    clock(one.expires_at),
                )
                for one in found[:limit]
            ],
        )
    if len(found) > limit:
        print_note(f"there are more than {limit}; raise --limit, or `mta suppression export`")


@command.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("--reason", default=suppression_csv.DEFAULT_REASON, show_default=True, help="Why.")
@click.option("--for", "span", type=TimeSpan(), help='How long, such as "90d"; for good without.')
@click.pass_obj
def add(environment: Environment, /, **options: Any) -> None:
    """Send no more mail to addresses."""
    now, span, reason = environment.now(), options["span"], options["reason"]
    if not suppression_csv.is_reason(reason):
        raise click.UsageError("a reason is one word of a-z, 0-9, _, - and dots")
    end = None if span is None else now + span
    parsed = [parse_address(text) for text in options["addresses"]]
    new = [NewSuppression(one.key, str(one), reason, end) for one in parsed]
    added = change(environment, lambda c: add_and_settle(c, DEFAULT_TENANT, new, now=now))
    print_line(Styled("suppressed", "good"), _addresses(len(added)))
    if len(added) < len(new):
        print_note(f"{_addresses(len(new) - len(added))} had been before")


@command.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.pass_obj
def remove(environment: Environment, addresses: tuple[str, ...]) -> None:
    """Send mail to addresses again."""
    keys, now = [parse_address(text).key for text in addresses], environment.now()

    def work(connection: Connection) -> int:
        return sum(
            suppressions.remove(connection, tenant_id=DEFAULT_TENANT, key=key, now=now)
            for key in keys
        )

    removed = change(environment, work)
    if not removed:
        raise Failure("none of them is suppressed; see `mta suppression list`")
    print_line(Styled("removed", "good"), _addresses(removed))


@command.command()
@filtered
@json_option
@click.pass_obj
def undo(environment: Environment, /, **options: Any) -> None:
    """Remove all that were added since a time, by a rule or import, or for a reason."""
    wanted = _filter(options, environment.now())
    if wanted == SuppressionFilter():
        raise click.UsageError("say which: --since, --rule or --reason")
    removed = 0
    with opened(environment) as database:
        step = partial(
            suppressions.remove_matching, tenant_id=DEFAULT_TENANT, filters=wanted, limit=BATCH
        )
        while last := database.write_now(step):
            removed += last
    if options["is_json"]:
        print_json({"removed": removed})
    else:
        print_line(Styled("removed", "good"), _addresses(removed))


@command.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--reason", default=suppression_csv.DEFAULT_REASON, help="Of rows that give none.")
@json_option
@click.pass_obj
def import_(environment: Environment, file: BinaryIO, reason: str, is_json: bool) -> None:
    """Suppress a list of addresses in CSV; FILE "-" reads standard input.

    Columns are found by their names: email, reason, expires_at. Without a header the first column
    is the address.
    """
    import_id = environment.new_id("imp")
    count = {"rows": 0, "added": 0, "invalid": 0}
    pending: list[NewSuppression] = []
    with opened(environment) as database:
        try:
            for row in _rows(file, Reader(reason)):
                count["rows"] += 1
                if isinstance(row, BadRow):
                    count["invalid"] += 1
                    print_note(f"row {row.row}: {row.message}")
                    continue
                pending.append(_new(row, import_id))
                if len(pending) == BATCH:
                    count["added"] += _write(database, pending, environment.now())
            count["added"] += _write(database, pending, environment.now())
        except CsvError as error:
            raise Failure(f"{error}; {_addresses(count['added'])} added as {import_id}") from None
    kick_engine(environment.settings.server.data_dir)
    if is_json:
        print_json({"id": import_id, **count})
    else:
        print_line(Styled("suppressed", "good"), f"{_addresses(count['added'])} as {import_id}")
    if count["invalid"]:
        raise Failure(f"{count['invalid']} of {count['rows']} rows are not such rows")


@command.command()
@filtered
@click.pass_obj
def export(environment: Environment, /, **options: Any) -> None:
    """Print suppressed addresses as CSV, newest first."""
    require_database(environment)
    now = environment.now()
    wanted, after = _filter(options, now), ""
    write = sys.stdout.write
    write(suppression_csv.header())
    with opened(environment) as database:
        while True:
            page = database.read_now(
                partial(
                    suppressions.list_,
                    tenant_id=DEFAULT_TENANT,
                    filters=wanted,
                    now=now,
                    limit=BATCH,
                    after=after,
                )
            )
            for record in page:
                write(suppression_csv.csv_line(_cells(record)))
            if len(page) < BATCH:
                return
            after = page[-1].id


def _rows(file: BinaryIO, reader: Reader) -> Iterator[Listed | BadRow]:
    while piece := file.read(PIECE):
        yield from reader.feed(piece)
    yield from reader.feed(b"", is_last=True)


def _new(row: Listed, import_id: str) -> NewSuppression:
    cause = Cause(rule=import_id)
    return NewSuppression(row.address.key, str(row.address), row.reason, row.expires_at, cause)


def _write(database: Database, pending: list[NewSuppression], now: datetime) -> int:
    """Write what is pending in one transaction; return how many are new."""
    added = database.write_now(
        partial(
            add_and_settle,
            tenant_id=DEFAULT_TENANT,
            new=tuple(pending),
            now=now,
            is_told=False,
        )
    )
    pending.clear()
    return len(added)


def _filter(options: dict[str, Any], now: datetime) -> SuppressionFilter:
    since = None if options["since"] is None else now - options["since"]
    text = options.get("text", "")
    return SuppressionFilter(options["reason"], options["rule"], since, text)


def _cells(record: SuppressionRecord) -> tuple[str, ...]:
    cause = record.cause
    times = (stamp(record.created_at) or "", stamp(record.expires_at) or "")
    return (record.address, record.reason, cause.rule, *times, cause.event_id, cause.email_id)


def _as_json(record: SuppressionRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "email": record.address,
        "reason": record.reason,
        "rule": record.cause.rule,
        "event_id": record.cause.event_id,
        "email_id": record.cause.email_id,
        "created_at": stamp(record.created_at),
        "expires_at": stamp(record.expires_at),
    }


def _addresses(count: int) -> str:
    return f"{count} address{'' if count == 1 else 'es'}"
