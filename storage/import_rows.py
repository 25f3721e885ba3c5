"""The rows of an import: they join, or it is kept why they were refused, and the mark moves.

All in one transaction, so that each row counts once, whatever ends the server. Not here: imports as
a whole (imports.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core.frozen import frozen
from storage import audiences, imports, joining
from storage.audiences import AudienceRecord
from storage.database import Connection
from storage.imports import Counts, ImportRecord
from storage.joining import Joiner
from storage.sql import given

MAX_ERRORS = 10_000
"""Refused rows of an import that are kept; all are counted."""


@frozen
class RefusedRow:
    """A row that was refused: its number (the first is 1), the first thing wrong, its address."""

    row: int
    field: str
    code: str
    message: str
    email: str


@frozen
class Step:
    """Some rows of an import that follow each other.

    Attributes:
        start: rows before them.
        end: rows up to the last of them.
        joiners: who is in them, in their order.
        refused: the others.
        position: bytes of the file up to the last of them, about.
    """

    start: int
    end: int
    joiners: Sequence[Joiner]
    refused: Sequence[RefusedRow]
    position: int


class AudienceGone(Exception):  # noqa: N818 - it is what happened
    """The audience was deleted."""


def apply(connection: Connection, number: int, step: Step, *, now: datetime) -> bool:
    """Apply rows, unless that was done before; False, and nothing changed, when it has ended.

    Args:
        connection: of a write.
        number: row number of the import.
        step: which rows.
        now: aware, UTC.

    Raises:
        AudienceGone: there is nowhere to put them.
        LookupError: rows before them are not applied.
    """
    found = imports.running(connection, number)
    if found is None:
        return False
    if found.counts.received >= step.end:
        return True
    if found.counts.received != step.start:
        raise LookupError("rows before these are not applied")
    audience = audiences.get(connection, found.tenant_id, found.audience_id)
    if audience is None:
        raise AudienceGone
    _put(connection, found, audience, step, now=now)
    return True


def apply_at_once(
    connection: Connection,
    new: ImportRecord,
    audience: AudienceRecord,
    step: Step,
    *,
    now: datetime,
) -> ImportRecord:
    """Apply all rows of an import that was just made, and end it; return it as it is then."""
    _put(connection, new, audience, step, now=now)
    ended = imports.finish(connection, new.row, "completed", now=now)
    if ended is None:
        raise LookupError("an import that was just made is not there")
    return ended


def _put(
    connection: Connection,
    found: ImportRecord,
    audience: AudienceRecord,
    step: Step,
    *,
    now: datetime,
) -> None:
    """Let the people of some rows join, keep the others, and move the mark."""
    counts = _join(connection, found, audience, step, now=now)
    _keep(connection, found.row, step.refused)
    imports.advance(connection, found.row, counts, position=step.position, now=now)


def _join(
    connection: Connection,
    found: ImportRecord,
    audience: AudienceRecord,
    step: Step,
    *,
    now: datetime,
) -> Counts:
    """Let people join as if they came one after the other; nothing is told."""
    overwrite = found.mode == "overwrite"
    inserted = known = 0
    for wave in _waves(step.joiners):
        _, joined = joining.join_untold(
            connection, found.tenant_id, audience, wave, now=now, overwrite=overwrite
        )
        known += len(joined.known)
        inserted += len(wave) - len(joined.known)
    updated, skipped = (known, 0) if overwrite else (0, known)
    refused = step.end - step.start - len(step.joiners)
    return Counts(step.end - step.start, inserted, updated, skipped, refused)


def _waves(joiners: Sequence[Joiner]) -> list[list[Joiner]]:
    """Return the same people in groups in which each address is once; nearly always one."""
    waves: list[list[Joiner]] = []
    seen: dict[str, int] = {}
    for one in joiners:
        place = seen.get(one.contact.key, 0)
        seen[one.contact.key] = place + 1
        if place == len(waves):
            waves.append([])
        waves[place].append(one)
    return waves


def _keep(connection: Connection, number: int, refused: Sequence[RefusedRow]) -> None:
    """Keep why rows were refused, as many as there is room for."""
    if not refused:
        return
    [(kept,)] = connection.execute(
        "SELECT COUNT(*) FROM import_errors WHERE import_id = ?", (number,)
    ).fetchall()
    rows = [
        (one.row, one.field, one.code, one.message, one.email)
        for one in refused[: max(0, MAX_ERRORS - kept)]
    ]
    connection.execute(
        "INSERT OR IGNORE INTO import_errors (import_id, row, field, code, message, email)"
        " SELECT ?, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
        " FROM json_each(?) AS given",
        (number, given(rows)),
    )


def errors_after(
    connection: Connection, number: int, after: int, *, limit: int
) -> list[RefusedRow]:
    """Return refused rows behind a row number, in their order."""
    rows = connection.execute(
        "SELECT row, field, code, message, email FROM import_errors"
        " WHERE import_id = ? AND row > ? ORDER BY row LIMIT ?",
        (number, after, limit),
    )
    return [RefusedRow(*row) for row in rows]
