"""Large changes of the queue, in steps: what was asked for is kept until all of it is done.

A change is written down, then carried out on so many entries at a time, so that mail never waits
long for it, and struck out at the end. What a crash interrupts is begun anew later: each operation
leaves alone what it has done already, and mail that was accepted since is not meant. Not here: the
operations themselves (operators.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from mta.core import ids, json_text
from mta.core.frozen import frozen
from storage import operators
from storage.database import Connection
from storage.entries import OPEN_STATES
from storage.operators import Selection

STEP = 2000
"""Entries in one transaction: some 30 ms, which mail has to wait."""


class Operation(enum.Enum):
    """What is done with entries; see operators.py."""

    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    CANCEL = "cancel"


_OPERATIONS: Mapping[Operation, Callable[..., int]] = {
    Operation.HOLD: operators.hold,
    Operation.RELEASE: operators.release,
    Operation.RETRY: operators.retry_now,
    Operation.CANCEL: operators.cancel,
}


@frozen
class QueueChange:
    """One change.

    Attributes:
        operation: what is done.
        selection: with which entries.
        at: when that was asked for (aware, UTC).
        tenant_id: of this tenant only; None is everybody's.
    """

    operation: Operation
    selection: Selection
    at: datetime
    tenant_id: int | None = None


def entries(connection: Connection, change: QueueChange) -> Sequence[int]:
    """Return the row ids of the open entries that a change is about: reads what is queued."""
    return _entries(connection, change, "TRUE", ())


def entries_left(connection: Connection, change: QueueChange) -> Sequence[int]:
    """Return those that a change is about which was asked for some time ago."""
    return _entries(connection, change, _ACCEPTED_BY, (ids.milliseconds(change.at),))


_ACCEPTED_BY = "(SELECT created_at FROM messages m WHERE m.id = entries.message_id) <= ?"


def _entries(
    connection: Connection, change: QueueChange, also: str, more: tuple[object, ...]
) -> Sequence[int]:
    found = array("q")
    for condition, values in operators.conditions(connection, change.selection, change.tenant_id):
        for state in OPEN_STATES:
            rows = connection.execute(
                f"SELECT id FROM entries WHERE state = {state:d} AND {condition} AND {also}",
                (*values, *more),
            )
            found.extend(row for (row,) in rows)
    return found


def steps(rows: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield entries in as many as one step takes."""
    for start in range(0, len(rows), STEP):
        yield tuple(rows[start : start + STEP])


def apply(connection: Connection, change: QueueChange, rows: Sequence[int] | None = None) -> int:
    """Carry a change out, on all its entries or those of `rows` only; return how many changed."""
    selection = change.selection if rows is None else Selection(rows=tuple(rows))
    operation = _OPERATIONS[change.operation]
    return operation(connection, selection, now=change.at, tenant_id=change.tenant_id)


_COLUMNS = "operation, ids, domain, is_all, tag_name, tag_value, site, at, tenant_id"


def begin(connection: Connection, change: QueueChange) -> int:
    """Write a change down; return its row id, for end()."""
    selection = change.selection
    tag_name, tag_value = selection.tag or (None, None)
    values = (
        change.operation.value,
        json_text.encode(selection.ids).decode(),
        selection.domain,
        selection.is_all,
        *(tag_name, tag_value, selection.site),
        *(ids.milliseconds(change.at), change.tenant_id),
    )
    sql = f"INSERT INTO queue_changes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return int(connection.execute(sql, values).lastrowid or 0)


def end(connection: Connection, row: int) -> None:
    """Strike a change out; one that is gone is no error."""
    connection.execute("DELETE FROM queue_changes WHERE id = ?", (row,))


def unfinished(connection: Connection) -> list[tuple[int, QueueChange]]:
    """Return the changes that were begun and not ended, with their row ids, oldest first."""
    rows = connection.execute(f"SELECT id, {_COLUMNS} FROM queue_changes ORDER BY id")
    return [(row, _change(*values)) for row, *values in rows]


def _change(
    operation: str, named: str, domain: str, is_all: int, *others: str | int | None
) -> QueueChange:
    tag_name, tag_value, site, at, tenant_id = others
    tag = None if tag_name is None else (str(tag_name), str(tag_value))
    listed = json_text.decode(named.encode())
    selection = Selection(
        ids=tuple(map(str, listed)) if isinstance(listed, list) else (),
        domain=domain,
        is_all=bool(is_all),
        tag=tag,
        site=str(site),
    )
    asked_at = ids.moment(int(at or 0))
    return QueueChange(
        Operation(operation), selection, asked_at, None if tenant_id is None else int(tenant_id)
    )
