"""Imports: lists of contacts on their way into an audience, row by row and exactly once.

What an import has got to moves in the transaction that applies the rows, so that after a crash it
goes on behind the last row that counts (import_rows.py). Its file is in the spool until it ends.
Not here: reading files and working through them (control_api/import_worker.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import events
from storage.audiences import AudienceRecord
from storage.database import Connection

_OF = (
    "id, tenant_id, audience_id, audience, status, mode, layout, file, size, position,"
    " received, inserted, updated, skipped, failed, problem, created_at, started_at, completed_at"
)


@frozen
class Counts:
    """What became of rows; received is the sum of the others."""

    received: int = 0
    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    failed: int = 0


@frozen
class NewImport:
    """An import to be made.

    Attributes:
        audience: where the contacts go.
        mode: what becomes of known members: "skip" or "overwrite".
        layout: JSON of how the file is read.
        file: its name in the spool.
        size: its bytes.
    """

    audience: AudienceRecord
    mode: str
    layout: str = ""
    file: str | None = None
    size: int = 0


@frozen
class ImportRecord:
    """One import.

    Attributes:
        row: its row number.
        id: "imp_...".
        tenant_id, audience_row, audience_id: where the contacts go.
        status: "queued", "running", "completed", "failed" or "canceled".
        mode, layout, file, size: as in NewImport; the file is None once it is gone.
        position: bytes of the file that are done, about.
        counts: what became of the rows so far.
        problem: why it failed as a whole; "" when it did not.
        created_at, started_at, completed_at: aware, UTC; None: not yet.
    """

    row: int
    id: str
    tenant_id: int
    audience_row: int
    audience_id: str
    status: str
    mode: str
    layout: str
    file: str | None
    size: int
    position: int
    counts: Counts
    problem: str
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


def create(
    connection: Connection, tenant_id: int, new: NewImport, *, now: datetime
) -> ImportRecord:
    """Make an import that waits for its turn."""
    row = connection.execute(
        "INSERT INTO imports (tenant_id, audience_id, audience, status, mode, layout, file,"
        " size, position, received, inserted, updated, skipped, failed, problem, created_at)"
        f" VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, '', ?) RETURNING {_OF}",
        (
            *(tenant_id, new.audience.row, new.audience.id, new.mode, new.layout),
            *(new.file, new.size, ids.milliseconds(now)),
        ),
    ).fetchone()
    return _record(row)


def get(connection: Connection, tenant_id: int, import_id: str) -> ImportRecord | None:
    """Return the import with this "imp_..." id; None when the tenant has none."""
    number = ids.number_of(import_id, "imp")
    if number is None:
        return None
    row = connection.execute(
        f"SELECT {_OF} FROM imports WHERE id = ? AND tenant_id = ?", (number, tenant_id)
    ).fetchone()
    found = _record(row) if row else None
    return found if found and found.id == import_id else None


def running(connection: Connection, number: int) -> ImportRecord | None:
    """Return the import with this row number; None when it does not run."""
    row = connection.execute(
        f"SELECT {_OF} FROM imports WHERE id = ? AND status = 'running'", (number,)
    ).fetchone()
    return _record(row) if row else None


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    audience_row: int | None = None,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[ImportRecord]:
    """Return imports, newest first; the cursors as of contacts.list_."""
    column, value = "tenant_id", tenant_id
    if audience_row is not None:
        column, value = "audience_id", audience_row
    cursor = ids.number_of(after or before, "imp")
    is_back = bool(before and not after)
    number = (0 if after else 2**63 - 1) if cursor is None else cursor
    sign, direction = (">", "ASC") if is_back else ("<", "DESC")
    rows = connection.execute(
        f"SELECT {_OF} FROM imports WHERE {column} = ? AND tenant_id = ? AND id {sign} ?"
        f" ORDER BY id {direction} LIMIT ? OFFSET ?",
        (value, tenant_id, number, limit, skip),
    ).fetchall()
    return [_record(row) for row in (rows[::-1] if is_back else rows)]


def open_of(connection: Connection, tenant_id: int) -> int:
    """Return how many imports of a tenant wait or run."""
    row = connection.execute(
        "SELECT COUNT(*) FROM imports WHERE status IN ('queued', 'running') AND tenant_id = ?",
        (tenant_id,),
    ).fetchone()
    return int(row[0])


def claim(connection: Connection, *, now: datetime) -> ImportRecord | None:
    """Return the next import that waits, which runs from now on; one of each tenant at a time."""
    row = connection.execute(
        "UPDATE imports SET status = 'running', started_at = COALESCE(started_at, ?)"
        " WHERE id = (SELECT id FROM imports q WHERE status = 'queued' AND NOT EXISTS"
        " (SELECT 1 FROM imports r WHERE r.status = 'running' AND r.tenant_id = q.tenant_id)"
        f" ORDER BY id LIMIT 1) RETURNING {_OF}",
        (ids.milliseconds(now),),
    ).fetchall()
    return _record(row[0]) if row else None


def release_all(connection: Connection) -> None:
    """Let imports wait that ran when the server ended."""
    connection.execute("UPDATE imports SET status = 'queued' WHERE status = 'running'")


def advance(
    connection: Connection, number: int, counts: Counts, *, position: int, now: datetime
) -> None:
    """Add to the counts of an import, and note the bytes that are done."""
    connection.execute(
        "UPDATE imports SET received = received + ?, inserted = inserted + ?, updated = updated"
        " + ?, skipped = skipped + ?, failed = failed + ?, position = ?,"
        " started_at = COALESCE(started_at, ?) WHERE id = ?",
        (
            *(counts.received, counts.inserted, counts.updated, counts.skipped, counts.failed),
            *(position, ids.milliseconds(now), number),
        ),
    )


def finish(
    connection: Connection, number: int, status: str, *, problem: str = "", now: datetime
) -> ImportRecord | None:
    """End an import, with an event; None when it has ended before. Its file is the caller's now."""
    row = connection.execute(
        "UPDATE imports SET status = ?1, problem = ?2, completed_at = ?3,"
        " position = CASE WHEN ?1 = 'completed' THEN size ELSE position END"
        f" WHERE id = ?4 AND status IN ('queued', 'running') RETURNING {_OF}",
        (status, problem, ids.milliseconds(now), number),
    ).fetchone()
    if row is None:
        return None
    found = _record(row)
    data: dict[str, JsonValue] = {
        "id": found.id,
        "audience_id": found.audience_id,
        "status": status,
        "counts": counts_json(found.counts),
    }
    none, kind = events.NO_ROW, EventKind.IMPORT_COMPLETED.value
    events.append(
        connection,
        [(none, none, found.tenant_id, kind, ids.milliseconds(now), events.json_data(data))],
    )
    return found


def counts_json(counts: Counts) -> dict[str, JsonValue]:
    """Return counts as events and the API show them."""
    return {
        "received": counts.received,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "skipped": counts.skipped,
        "failed": counts.failed,
    }


def forget_file(connection: Connection, number: int) -> None:
    """Note that the file of an import that has ended is gone."""
    connection.execute("UPDATE imports SET file = NULL WHERE id = ?", (number,))


def ended_files(connection: Connection, *, limit: int) -> list[tuple[int, str]]:
    """Return row number and file of imports that have ended and whose file is still there."""
    rows = connection.execute(
        "SELECT id, file FROM imports WHERE file IS NOT NULL AND completed_at IS NOT NULL LIMIT ?",
        (limit,),
    )
    return [(number, file) for number, file in rows]


def forget_before(connection: Connection, before: datetime, *, limit: int) -> int:
    """Delete imports that ended before then (aware), with their errors; return how many."""
    deleted = connection.execute(
        "DELETE FROM imports WHERE id IN (SELECT id FROM imports"
        " WHERE completed_at IS NOT NULL AND completed_at < ? AND file IS NULL LIMIT ?)",
        (ids.milliseconds(before), limit),
    )
    return deleted.rowcount


def _record(row: tuple[Any, ...]) -> ImportRecord:
    number, tenant_id, audience_row, audience_id, status, mode, layout = row[:7]
    file, size, position = row[7:10]
    problem, created_at, started_at, completed_at = row[15:]
    return ImportRecord(
        row=number,
        id=ids.numbered_id("imp", created_at, number),
        tenant_id=tenant_id,
        audience_row=audience_row,
        audience_id=audience_id,
        status=status,
        mode=mode,
        layout=layout,
        file=file,
        size=size,
        position=position,
        counts=Counts(*row[10:15]),
        problem=problem,
        created_at=ids.moment(created_at),
        started_at=None if started_at is None else ids.moment(started_at),
        completed_at=None if completed_at is None else ids.moment(completed_at),
    )
