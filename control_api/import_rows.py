"""The rows of an import's file, batch by batch: who is in them, or what is wrong with them.

A row is judged like the body of a request (contact_payload.py). Holds a batch at a time. Not here:
the process that this runs in (import_reader.py), what columns mean (mta/core/contact_csv.py).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self, cast

from control_api.contact_payload import read_joiner
from control_api.errors import FieldError
from control_api.fields import Fields
from mta.core.contact import Status
from mta.core.contact_csv import Layout, object_of
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import JsonError, decode
from storage.audiences import AudienceField
from storage.import_rows import RefusedRow
from storage.joining import Joiner

BATCH = 250
"""Rows in one batch, which is one transaction: mail waits some 5 ms for it."""
MAX_LINE = 1_000_000
"""Characters of a line."""
MAX_LINES = 20_000
"""Lines of a row, which has them in quotes."""
MAX_EMAIL = 320
"""Characters that are kept of the address of a row that is refused."""
_ROW = "row"
"""What a row is called where its fields are read."""
LOST = "\ufffd"
"""What stands for bytes that are no text."""


@frozen
class Job:
    """What is to be read.

    Attributes:
        path: of the file.
        layout: how; None: each line is a JSON object.
        known: fields of the audience.
        status: of rows that name none.
        start: rows to be passed over, because they are applied.
    """

    path: Path
    layout: Layout | None
    known: Mapping[str, AudienceField]
    status: Status
    start: int


@frozen
class Batch:
    """Rows `start` to `end` of a file: who is in them, those refused, and the bytes read so far."""

    start: int
    end: int
    joiners: list[Joiner]
    refused: list[RefusedRow]
    position: int


class UnreadableError(ValueError):
    """The file cannot be read any further; one sentence that names the row."""


def read(job: Job) -> Iterator[Batch]:
    """Yield the rows of a file, batch by batch, always in the same batches but for the first.

    Raises:
        UnreadableError
        OSError
    """
    with job.path.open("rb") as file:
        rows = _json_rows(file) if job.layout is None else _csv_rows(file, job.layout, job.known)
        batch = Batch(job.start, job.start, [], [], 0)
        end = 0
        for end, row in enumerate(rows, 1):
            if end <= job.start:
                continue
            found = judge(row, job.known, job.status, end)
            if isinstance(found, Joiner):
                batch.joiners.append(found)
            else:
                batch.refused.append(found)
            if end - batch.start == BATCH:
                yield Batch(batch.start, end, batch.joiners, batch.refused, file.tell())
                batch = Batch(end, end, [], [], 0)
        if end > batch.start:
            yield Batch(batch.start, end, batch.joiners, batch.refused, file.tell())


def judge(
    row: JsonValue | FieldError, known: Mapping[str, AudienceField], status: Status, number: int
) -> Joiner | RefusedRow:
    """Return who is in a row, or what is wrong with it.

    Args:
        row: an object, or why there is none.
        known: fields of the audience.
        status: of whoever names none.
        number: of the row, the first is 1.
    """
    if isinstance(row, FieldError):
        return RefusedRow(number, row.field, row.code, row.message, "")
    fields = Fields(row, [], _ROW)
    joiner = read_joiner(fields, known, status)
    if joiner is not None and not fields.errors:
        return joiner
    first = fields.errors[0]
    field = first.field.removeprefix(_ROW).removeprefix(".")
    email = row.get("email") if isinstance(row, dict) else ""
    shown = email[:MAX_EMAIL] if isinstance(email, str) else ""
    return RefusedRow(number, field, first.code, first.message, shown)


def _json_rows(file: BinaryIO) -> Iterator[JsonValue | FieldError]:
    for line in file:
        try:
            yield decode(line)
        except JsonError as error:
            yield FieldError("", "invalid_json", f"Not JSON: {error}.")


def _csv_rows(
    file: BinaryIO, layout: Layout, known: Mapping[str, AudienceField]
) -> Iterator[JsonValue | FieldError]:
    """Yield the rows behind the header; empty lines are none."""
    numbers = frozenset(tag for tag, one in known.items() if one.type == "number")
    text = io.TextIOWrapper(file, layout.codec, errors="replace", newline="")
    records = _records(text, layout.delimiter)
    next(records, None)
    try:
        for cells in records:
            if isinstance(cells, FieldError):
                yield cells
            elif any(LOST in cell for cell in cells):
                yield FieldError("", "undecodable", "The row is not text in this encoding.")
            elif any(cells):
                yield cast("JsonValue", object_of(cells, layout.targets, numbers))
    finally:
        if not text.closed:  # it would close the file
            text.detach()


def _records(text: io.TextIOWrapper, delimiter: str) -> Iterator[list[str] | FieldError]:
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        lines.of_row = 0
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error:  # quotes that do not end; the next line is read as a row again
            yield FieldError(
                "", "invalid_csv", "The row cannot be taken apart; look at its quotes."
            )


class _Lines:
    """The lines of a text, none too long, and not too many for one row.

    Attributes:
        of_row: lines taken for the row that is being read.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.of_row = 0
        self._text = text
        self._number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE)
        if not line:
            raise StopIteration
        self._number += 1
        self.of_row += 1
        if len(line) == MAX_LINE and line[-1] not in "\r\n":
            message = f"Line {self._number} is longer than {MAX_LINE} characters."
            raise UnreadableError(message)
        if self.of_row > MAX_LINES:
            raise UnreadableError(f"The row that ends in line {self._number} has too many lines.")
        return line


def first_row(head: bytes, codec: str, delimiter: str) -> list[str]:
    """Return the cells of the first row of a file, as its beginning has them; [] for none."""
    text = io.TextIOWrapper(io.BytesIO(head), codec, errors="replace", newline="")
    try:
        found = next(_records(text, delimiter), [])
    except UnreadableError:
        return []
    return [] if isinstance(found, FieldError) else found
