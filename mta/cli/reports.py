"""`mta reports`: bounces, complaints and automatic replies, read from files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import click

from config import bounce_rules
from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO
from mta.cli.options import json_option
from mta.cli.output import Styled, print_json, print_line, print_note
from mta.cli.store import change
from mta.core.event import JsonValue
from mta.core.mime_reader import MAX_SIZE
from mta.core.report import Report, read_report
from mta.core.reported import ReportedRecipient
from mta.report_import import mails_in, report_of
from storage.database import Connection
from storage.reports import NewReport, add

STEP = 100
"""Mails handed in with one transaction."""


@click.group()
def command() -> None:
    """Read what comes back: bounces, complaints, automatic replies."""


@command.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--rules",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Own rules, which go before those that come with Mailwright.",
)
@json_option
def parse(files: tuple[Path, ...], rules: Path | None, is_json: bool) -> None:
    """Say what each mail in a file is and whom it is about; nothing is changed.

    With --json one object a line for each file. Exit code 1 when a file could not be read.
    """
    classifier = bounce_rules.load(rules)
    is_complete = True
    for path in files:
        try:
            data = _head(path)
        except OSError as error:
            print_note(f"{path}: {error.strerror}")
            is_complete = False
            continue
        report = read_report(data, classifier)
        if is_json:
            print_json(_fields(path, report))
        else:
            _show(path, report)
    if not is_complete:
        click.get_current_context().exit(NOT_SO)


def _head(path: Path) -> bytes:
    """Return a file's content as far as it is read."""
    with path.open("rb") as file:
        return file.read(MAX_SIZE)


def _fields(path: Path, report: Report) -> dict[str, JsonValue]:
    return {
        "path": str(path).encode("utf-8", "replace").decode(),
        "kind": report.kind.value,
        "recipients": [_recipient(recipient) for recipient in report.recipients],
        "feedback_type": report.feedback_type,
    }


def _recipient(recipient: ReportedRecipient) -> dict[str, JsonValue]:
    return {
        "address": recipient.address,
        "status": recipient.status,
        "class": recipient.bounce_class.value,
        "permanent": recipient.is_permanent,
        "hard": recipient.is_hard,
    }


def _show(path: Path, report: Report) -> None:
    print_line(Styled(str(path), "title"), report.kind.value, report.feedback_type)
    for recipient in report.recipients:
        print_line("  ", *_cells(recipient))


def _cells(recipient: ReportedRecipient) -> Iterator[str]:
    yield recipient.address
    yield recipient.status or "-"
    yield recipient.bounce_class.value
    if recipient.is_permanent is not None:
        yield "permanent" if recipient.is_permanent else "temporary"
    if recipient.is_hard:
        yield "hard"
    if recipient.rule:
        yield f"({recipient.rule})"


@command.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
@click.pass_obj
def import_(environment: Environment, path: Path, is_json: bool) -> None:
    """Hand in reports from a Maildir, an mbox, a folder of mails or one mail; nothing is moved.

    The running engine reads them at once, else when it starts. What was handed in before is known
    again and dropped.
    """
    added = known = 0
    mails = mails_in(path)
    while some := [report_of(mail) for mail in islice(mails, STEP)]:
        names = change(environment, partial(_add, some=some, now=environment.now()))
        known += names.count(None)
        added += len(names) - names.count(None)
    if is_json:
        print_json({"added": added, "known": known})
    else:
        print_line(f"{added} handed in, {known} known already")


def _add(connection: Connection, some: list[NewReport], now: datetime) -> list[str | None]:
    return [add(connection, one, now) for one in some]
