"""Lists of suppressed addresses as CSV (RFC 4180), both ways, row by row.

Spreadsheets take a cell that begins with =, +, -, @ or a control character for a formula, and an
address may begin so. Such a cell is written with an apostrophe before it, which spreadsheets hide,
and read without it; one that begins with an apostrophe gets a second one, so that both are told
apart. Not here: files, bodies and transactions.
"""

from __future__ import annotations

import csv
import re
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO

from mta.core.address import Address, AddressError, parse_address
from mta.core.frozen import frozen

COLUMNS = ("email", "reason", "rule", "created_at", "expires_at", "event_id", "email_id")
"""What is written, and of which email, reason and expires_at are read."""
MAX_ROW = 10_000
"""Characters of a row, line ends inside quotes included."""
DEFAULT_REASON = "manual"
MAX_REASON = 64

_EMAIL_NAMES = frozenset({"email", "email_address", "address", "recipient", "e-mail"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_REASON = re.compile(r"[a-z0-9_.-]{1,64}")


class CsvError(ValueError):
    """The text as a whole is not such a list; one sentence that says why."""


@frozen
class Listed:
    """One row that was read.

    Attributes:
        address: parsed.
        reason: a word in lower case.
        expires_at: until when (aware, UTC); None: until somebody removes it.
    """

    address: Address
    reason: str
    expires_at: datetime | None


@frozen
class BadRow:
    """A row that is none: its number (the first after the header is 1) and what is wrong."""

    row: int
    message: str


class Reader:
    """Reads a list in pieces, cut anywhere; holds no more than a row."""

    def __init__(self, default_reason: str = DEFAULT_REASON) -> None:
        """Take the reason of rows that give none."""
        self._default_reason = default_reason
        self._decoder = getincrementaldecoder("utf-8-sig")("strict")
        self._rest = ""
        self._open: list[str] = []
        self._columns: Mapping[str, int] | None = None
        self._row = 0

    def feed(self, data: bytes, *, is_last: bool = False) -> list[Listed | BadRow]:
        """Return the rows that are complete with this piece; with the last one, all.

        Raises:
            CsvError: not UTF-8, a row without an end, or a header that names no address.
        """
        try:
            text = self._rest + self._decoder.decode(data, is_last)
        except UnicodeDecodeError:
            raise CsvError("the list is not UTF-8 text") from None
        return list(self._rows(self._lines(text, is_last=is_last)))

    def _lines(self, text: str, *, is_last: bool) -> Iterator[str]:
        """Yield rows: lines, joined while a quote is open."""
        *whole, self._rest = text.split("\n")
        if is_last and self._rest:
            whole.append(self._rest)
            self._rest = ""
        if len(self._rest) > MAX_ROW:
            raise CsvError(f"row {self._row + 1} is longer than {MAX_ROW} characters")
        for line in whole:
            self._open.append(line)
            joined = line if len(self._open) == 1 else "\n".join(self._open)
            if joined.count('"') % 2 == 0:
                self._open.clear()
                yield joined
            elif len(joined) > MAX_ROW:
                raise CsvError(f"the quotes of row {self._row + 1} do not end")
        if is_last and self._open:
            raise CsvError(f"the quotes of row {self._row + 1} do not end")

    def _rows(self, lines: Iterable[str]) -> Iterator[Listed | BadRow]:
        for line in lines:
            if not line.strip(" \r\n,"):
                continue
            try:
                [cells] = csv.reader([line])
            except csv.Error:  # a control character outside quotes
                cells = [line]
            if self._columns is None:
                self._columns = _columns(cells)
                if self._columns is not _BARE:
                    continue
            self._row += 1
            yield self._read(cells, self._columns)

    def _read(self, cells: Sequence[str], columns: Mapping[str, int]) -> Listed | BadRow:
        values = {
            name: unguarded(cells[index].strip())
            for name, index in columns.items()
            if index < len(cells)
        }
        try:
            address = parse_address(values.get("email", ""))
        except AddressError as error:
            return BadRow(self._row, f"{error}.")
        reason = values.get("reason", "").lower() or self._default_reason
        if not is_reason(reason):
            return BadRow(self._row, "the reason is not a word.")
        ends = values.get("expires_at", "")
        expires_at = _time(ends)
        if ends and expires_at is None:
            return BadRow(self._row, "expires_at is not RFC 3339 with an offset.")
        return Listed(address, reason, expires_at)


_BARE = {"email": 0}
"""Of a list without a header: its first column is the address."""


def _columns(cells: Sequence[str]) -> Mapping[str, int]:
    """Return name -> index of the columns that are read, from the first row."""
    names = [unguarded(cell.strip()).lower().replace(" ", "_") for cell in cells]
    wanted = ("reason", "expires_at")
    found: dict[str, int] = {name: names.index(name) for name in wanted if name in names}
    for index, name in enumerate(names):
        if name in _EMAIL_NAMES:
            return {"email": index, **found}
    if any("@" in name for name in names):
        return _BARE
    raise CsvError("no column is called email")


def is_reason(text: str) -> bool:
    """Tell whether a text can be the reason of a suppression: one short word in lower case."""
    return _REASON.fullmatch(text) is not None


def header() -> str:
    """Return the first line of a list."""
    return csv_line(COLUMNS)


def csv_line(cells: Iterable[str]) -> str:
    """Return one row, its line end included; no cell of it is a formula."""
    text = StringIO()
    csv.writer(text).writerow([guarded(cell) for cell in cells])
    return text.getvalue()


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    """Return what guarded() was given."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
