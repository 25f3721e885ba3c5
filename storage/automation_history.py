"""Looking at the runs of automations, and at what each has done: by automation and by contact.

Not here: what changes runs (automation_runs.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from storage.automation_runs import COLUMNS, Done, RunRecord, record
from storage.database import Connection


@frozen
class ShownRun:
    """A run with the names that people know: "aut_...", "ct_..." and the address."""

    run: RunRecord
    automation_id: str
    contact_id: str
    email: str


@frozen
class RunFilter:
    """Which runs of a tenant are meant: those that meet all that is given.

    Attributes:
        automation_row: of this automation; 0: of any. Then there is a contact.
        contact_row: of this contact; 0: of any.
        state: of RunState; "" any.
    """

    automation_row: int = 0
    contact_row: int = 0
    state: str = ""


_SELECT = f"""
SELECT {COLUMNS}, a.created_at, c.created_at, c.email
FROM automation_runs r
CROSS JOIN automations a ON a.id = r.automation_id
CROSS JOIN contacts c ON c.id = r.contact_id
WHERE a.tenant_id = ? AND a.status <> 'deleted'
"""


def get(connection: Connection, tenant_id: int, run_id: str) -> ShownRun | None:
    """Return the run with this "run_..." id; None when the tenant has none."""
    number = ids.number_of(run_id, "run")
    if number is None:
        return None
    row = connection.execute(f"{_SELECT} AND r.id = ?", (tenant_id, number)).fetchone()
    return _shown(row) if row else None


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    wanted: RunFilter,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[ShownRun]:
    """Return runs, newest first; with a state, one after the other is looked at.

    Args:
        connection: any.
        tenant_id: whose.
        wanted: which.
        limit: at most so many.
        after: go on after the one with this id, to older ones.
        before: instead, those just before this one, newer ones. Another kind of id gives none.
        skip: leave out so many at the start.
    """
    where, values = _where(tenant_id, wanted)
    cursor = ids.number_of(after or before, "run")
    is_forward = bool(before and not after)
    if after or before:
        where = f"{where} AND r.id {'>' if is_forward else '<'} ?"
        values.append((0 if after else 2**63 - 1) if cursor is None else cursor)
    rows = connection.execute(
        f"{_SELECT}{where} ORDER BY r.id {'ASC' if is_forward else 'DESC'} LIMIT ? OFFSET ?",
        (*values, limit, skip),
    ).fetchall()
    return [_shown(row) for row in (rows[::-1] if is_forward else rows)]


def _where(tenant_id: int, wanted: RunFilter) -> tuple[str, list[object]]:
    where, values = "", list[object]([tenant_id])
    for column, value in (
        ("automation_id", wanted.automation_row),
        ("contact_id", wanted.contact_row),
        ("state", wanted.state),
    ):
        if value:
            where += f" AND r.{column} = ?"
            values.append(value)
    return where, values


def steps(connection: Connection, run_row: int, *, limit: int) -> Sequence[tuple[Done, datetime]]:
    """Return what a run has done and when (aware, UTC), in order."""
    rows = connection.execute(
        "SELECT path, type, result, detail, email_id, at FROM automation_steps WHERE run_id = ?"
        " ORDER BY number LIMIT ?",
        (run_row, limit),
    )
    return [(Done(*row[:5]), ids.moment(row[5])) for row in rows]


def _shown(row: tuple[Any, ...]) -> ShownRun:
    *columns, automation_at, contact_at, email = row
    run = record(tuple(columns))
    return ShownRun(
        run,
        ids.numbered_id("aut", automation_at, run.automation_row),
        ids.numbered_id("ct", contact_at, run.contact_row),
        email,
    )
