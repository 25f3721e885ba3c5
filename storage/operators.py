"""What operators and senders ask of the queue: hold, release, retry now, cancel.

A claimed entry is in the engine's hands: what is asked of it is kept as a wish and honoured when it
would wait again. Not here: listing (listing.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage import directives, quotas, tallies
from storage.database import Connection
from storage.entries import EntryState
from storage.quarantine import END
from storage.sql import chunks, marks


@frozen
class Selection:
    """Which entries are meant: those with one of the ids, or of domain, tag and site, or all.

    Attributes:
        ids: "dl_..." of entries and "em_..." of messages; unknown ones select nothing.
        domain: recipient domain, A-label; used when there are no ids.
        is_all: without ids, domain and tag, whether everything is meant rather than nothing.
        tag: name and value of a tag of the message; used when there are no ids.
        site: names of servers, with commas between: entries that were last tried at one of them;
            used when there are no ids.
        rows: row ids of entries, instead of everything else.
    """

    ids: tuple[str, ...] = ()
    domain: str = ""
    is_all: bool = False
    tag: tuple[str, str] | None = None
    site: str = ""
    rows: tuple[int, ...] = ()


def hold(
    connection: Connection, selection: Selection, *, now: datetime, tenant_id: int | None = None
) -> int:
    """Keep entries from being tried until they are released; return how many.

    Args:
        connection: of a write.
        selection: which.
        now: aware, UTC.
        tenant_id: only this tenant's; None is everybody's. The same in the other functions.
    """
    where = conditions(connection, selection, tenant_id)
    wish = (EntryState.HELD, ids.milliseconds(now))
    keep = f"{_WISH} AND wish IS DISTINCT FROM 14"  # suppressed: not to come back at the release
    held = _update(connection, "SET state = 2, why = 'held' WHERE state = 0", (), where)
    return len(held) + len(_update(connection, keep, wish, where))


def release(
    connection: Connection, selection: Selection, *, now: datetime, tenant_id: int | None = None
) -> int:
    """Make held entries wait again, due now; return how many.

    One whose time (send_at, or what its tenant's quota gave it) has yet to come waits for that.
    """
    where = conditions(connection, selection, tenant_id)
    at = (ids.milliseconds(now),)
    released = _update(connection, _RELEASE, at, where)
    _record_due_changed(connection, released)
    spared = _update(connection, "SET wish = NULL WHERE state = 1 AND wish = 2", (), where)
    return len(released) + len(spared)


def retry_now(
    connection: Connection, selection: Selection, *, now: datetime, tenant_id: int | None = None
) -> int:
    """Make waiting entries due now; return how many were not yet.

    A tenant cannot hurry what waits for its sending quota; the operator (tenant_id None) can.
    """
    where = conditions(connection, selection, tenant_id)
    at = ids.milliseconds(now)
    late = "state = 0 AND due_at > ?" if tenant_id is None else _MAY_HURRY
    changed = _update(connection, f"{_DUE_NOW} WHERE {late}", (at, at), where)
    _record_due_changed(connection, changed)
    return len(changed)


def cancel(
    connection: Connection, selection: Selection, *, now: datetime, tenant_id: int | None = None
) -> int:
    """Take entries out of the queue for good, with an event each; return how many.

    One that is just being tried may still be delivered; it is canceled when it would wait again.
    """
    where = conditions(connection, selection, tenant_id)
    at = ids.milliseconds(now)
    canceled = _update(connection, "SET state = 13, why = '' WHERE state = 0", (), where)
    canceled += _update(connection, "SET state = 13, why = '' WHERE state = 2", (), where)
    tallies.record_canceled(connection, [(*row[:3], at) for row in canceled])
    quotas.give_back(connection, [(row[0], row[2]) for row in canceled])
    wished = _update(connection, _WISH, (EntryState.CANCELED, at), where)
    return len(canceled) + len(wished)


_WISH = "SET wish = ?, wished_at = ? WHERE state = 1 AND wish IS DISTINCT FROM 13"
_MAY_HURRY = "state = 0 AND due_at > ? AND why <> 'quota'"
_DUE_NOW = "SET state = 0, due_at = ?, why = 'released'"
_PROMISED = """COALESCE(
    eligible_at, (SELECT send_at FROM messages m WHERE m.id = entries.message_id), 0
)"""
_IS_EARLY = f"attempts = 0 AND {_PROMISED} > ?1 AND {_PROMISED} < {END}"
_RELEASE = f"""
SET state = 0, due_at = CASE WHEN {_IS_EARLY} THEN {_PROMISED} ELSE ?1 END,
    why = CASE WHEN {_IS_EARLY} THEN IIF(eligible_at IS NULL, 'scheduled', 'quota')
        ELSE 'released' END
WHERE state = 2
"""
"""A quota sets eligible_at. So does a retry that its sender asked for later, which cannot be told
from that any more and gets the name that lets no tenant hurry it."""

Condition = tuple[str, tuple[object, ...]]
_Row = tuple[int, int, int, str]


def conditions(
    connection: Connection, selection: Selection, tenant_id: int | None
) -> list[Condition]:
    """Return the selection as SQL conditions with their parameters; their union is meant.

    The "+" keeps SQLite on the partial indexes: others lead through all that a tenant ever sent.
    """
    tenant, values = ("TRUE", ()) if tenant_id is None else ("+tenant_id = ?", (tenant_id,))
    if selection.ids or selection.rows:
        rows = selection.rows or _entry_rows(connection, selection.ids)
        return [(f"id IN ({marks(some)}) AND {tenant}", (*some, *values)) for some in chunks(rows)]
    conditions: dict[str, tuple[object, ...]] = {tenant: values}
    if selection.domain:
        conditions["domain = ?"] = (selection.domain,)
    if selection.site:
        hosts = selection.site.split(",")
        conditions[f"host IN ({marks(hosts)})"] = tuple(hosts)
    if selection.tag is not None:
        conditions[_TAGGED] = selection.tag
    if len(conditions) == 1 and not selection.is_all:
        return []
    parameters = tuple(value for some in conditions.values() for value in some)
    return [(" AND ".join(conditions), parameters)]


_TAGGED = """EXISTS (
    SELECT 1 FROM messages m JOIN message_tags t ON t.tenant_id = m.tenant_id AND t.name = ?
        AND t.value = ? AND t.created_at = m.created_at AND t.message_id = m.id
    WHERE m.id = entries.message_id
)"""
"""Asked of each open entry, so that it costs what is queued, not what ever had the tag."""


def _entry_rows(connection: Connection, identifiers: Sequence[str]) -> Sequence[int]:
    numbers = (ids.number_of(identifier, "dl") for identifier in identifiers)
    rows = {number for number in numbers if number is not None}
    for some in chunks([one for one in identifiers if one.startswith("em_")]):
        found = connection.execute(
            "SELECT e.id FROM messages m JOIN entries e ON e.message_id = m.id"
            f" WHERE m.public_id IN ({marks(some)})",
            some,
        )
        rows.update(row for (row,) in found)
    return sorted(rows)


def _update(
    connection: Connection,
    change: str,
    parameters: tuple[object, ...],
    where: Sequence[Condition],
) -> list[_Row]:
    """Change the entries that meet `change` and a condition; return id, message, tenant, domain."""
    changed: list[_Row] = []
    for condition, values in where:
        sql = f"UPDATE entries {change} AND {condition} RETURNING id, message_id, tenant_id, domain"
        changed += connection.execute(sql, (*parameters, *values)).fetchall()
    return changed


def _record_due_changed(connection: Connection, rows: Sequence[_Row]) -> None:
    for domain in sorted({domain for _, _, _, domain in rows}):
        directives.record(connection, directives.DUE_CHANGED, domain)
