"""What commands print: tables and fields for people, JSON for programs. Owner of rich.

Text from outside (addresses, subjects, replies of other servers) goes through `printable` before
it reaches a terminal, and rich's markup is off: a subject can neither move the cursor nor pick
colours. Without a terminal there are no colours, no wrapping and no cut columns.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mta.core.frozen import frozen
from mta.core.json_text import encode

WIDE = 2000
"""Columns where no terminal sets a limit: enough that no line is ever folded."""

STYLES: Mapping[str, str] = {
    "good": "green",
    "waiting": "yellow",
    "bad": "red",
    "quiet": "dim",
    "title": "bold",
}
"""What a cell can say by its colour."""


@frozen
class Styled:
    """Text and what it says; `style` is a key of STYLES."""

    text: str
    style: str


Cell = str | Styled


def print_json(value: object) -> None:
    """Print one JSON document on one line; times in it are given as text (see stamp)."""
    click.echo(encode(value).decode())


def print_line(*cells: Cell) -> None:
    """Print the cells on one line with spaces between them."""
    line = Text(" ").join(_text(cell) for cell in cells)
    _console().print(line, soft_wrap=True)


def print_note(text: str) -> None:
    """Print a remark to standard error, away from what programs read."""
    click.echo(printable(text), err=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print one line a row under column titles; a title that ends in ">" is a column of numbers.

    A terminal that is too narrow sees the beginning of each line.
    """
    titles = [Text(title.removesuffix(">"), STYLES["quiet"]) for title in columns]
    lines = [titles, *([_text(cell) for cell in row] for row in rows)]
    widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
    console = _console()
    for line in lines:
        for cell, width, title in zip(line, widths, columns, strict=True):
            cell.align("right" if title.endswith(">") else "left", width)
        joined = Text("  ").join(line)
        joined.rstrip()
        joined.truncate(console.width, overflow="ellipsis")
        console.print(joined, soft_wrap=True)


def print_fields(fields: Sequence[tuple[str, Cell]]) -> None:
    """Print names and values, one pair a line, values aligned."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style=STYLES["quiet"], no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields:
        grid.add_row(name, _text(value))
    console = _console()
    with console.capture() as capture:
        console.print(grid)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def printable(text: str) -> str:
    """Return the text with every control, format and line-breaking character escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text
    )


def stamp(at: datetime | None) -> str | None:
    """Return a time for JSON (RFC 3339 with milliseconds), None for none."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: datetime | None) -> str:
    """Return a time for people, in UTC to the second; "-" for none."""
    return "-" if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")


def distance(at: datetime, now: datetime) -> str:
    """Return how far a time is away: "now", "in 4 min" or "3 d ago"."""
    away = at - now
    if abs(away) < timedelta(seconds=1):
        return "now"
    return f"in {span(away)}" if away > timedelta() else f"{span(-away)} ago"


def span(length: timedelta) -> str:
    """Return a time span in its fitting unit, such as "90 s" or "4 h"."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _text(cell: Cell) -> Text:
    if isinstance(cell, Styled):
        return Text(printable(cell.text), STYLES[cell.style])
    return Text(printable(cell))


def _console() -> Console:
    width = None if sys.stdout.isatty() else WIDE
    return Console(width=width, highlight=False, markup=False, emoji=False)
