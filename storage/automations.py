"""Automations: what they are called, what they say in each version, whether they are at work.

A change of what one says is a new version; runs under way keep theirs. Not here: runs
(automation_runs.py), what a definition means (core/automation.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection
from storage.readable import readable

ACTIVE, PAUSED, DELETED = "active", "paused", "deleted"
"""Of `status`."""
EVERY_NAME = ("trigger", "conditions", "steps", "reentry")
"""What a definition has."""


@frozen
class NewAutomation:
    """An automation to be made, or how one is to be from now on.

    Attributes:
        name: for people.
        status: ACTIVE or PAUSED.
        trigger_type: of the trigger in the definition.
        definition: JSON object with EVERY_NAME.
        look_at: when its dates are looked at first (aware, UTC); None: it has none.
    """

    name: str
    status: str
    trigger_type: str
    definition: Mapping[str, JsonValue]
    look_at: datetime | None = None


@frozen
class AutomationRecord:
    """One automation.

    Attributes:
        row: its row number.
        id: "aut_...".
        tenant_id: whose.
        name, status, trigger_type, definition, look_at: as in NewAutomation; the newest version.
        version: its number.
        secret: signs webhooks, "whsec_...".
        is_test: whether its mail goes to the sandbox.
        since_seq: only events behind this place of the journal set it off.
        look_after: row numbers up to this one are done in the look at dates that is under way.
        counts: "runs" that have begun, and how many of them are or were in each state.
        created_at, updated_at: aware, UTC.
    """

    row: int
    id: str
    tenant_id: int
    name: str
    status: str
    trigger_type: str
    definition: Mapping[str, JsonValue]
    look_at: datetime | None
    version: int
    secret: str
    is_test: bool
    since_seq: int
    look_after: int
    counts: Mapping[str, int]
    created_at: datetime
    updated_at: datetime


_SELECT = """
SELECT a.id, a.tenant_id, a.name, a.status, a.trigger_type, v.definition, a.look_at, a.version,
    a.secret, a.is_test, a.since_seq, a.look_after, a.runs, a.active, a.completed, a.failed,
    a.canceled, a.created_at, a.updated_at
FROM automations a
CROSS JOIN automation_versions v ON v.automation_id = a.id AND v.version = a.version
"""
_THEIRS = f"{_SELECT} WHERE a.tenant_id = ? AND a.status <> 'deleted'"


def create(
    connection: Connection,
    tenant_id: int,
    new: NewAutomation,
    *,
    secret: str,
    is_test: bool,
    now: datetime,
) -> str:
    """Make an automation; return its id. What has happened before does not set it off."""
    now_ms = ids.milliseconds(now)
    look_ms = None if new.look_at is None else ids.milliseconds(new.look_at)
    row = connection.execute(
        "INSERT INTO automations (tenant_id, name, status, trigger_type, version, secret, is_test,"
        " since_seq, look_at, look_after, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, 0, ?, ?) RETURNING id",
        (
            *(tenant_id, new.name, new.status, new.trigger_type, secret, is_test),
            *(events.last_seq(connection), look_ms, now_ms, now_ms),
        ),
    ).fetchone()
    _write_version(connection, row[0], 1, new.definition)
    return ids.numbered_id("aut", now_ms, row[0])


def get(connection: Connection, tenant_id: int, automation_id: str) -> AutomationRecord | None:
    """Return the automation with this id; None when the tenant has none."""
    number = ids.number_of(automation_id, "aut")
    if number is None:
        return None
    row = connection.execute(f"{_THEIRS} AND a.id = ?", (tenant_id, number)).fetchone()
    return _record(row) if row else None


def list_(
    connection: Connection,
    tenant_id: int,
    *,
    status: str = "",
    limit: int,
    after: str = "",
    before: str = "",
) -> list[AutomationRecord]:
    """Return automations, newest first, only with a status unless it is ""; cursors as elsewhere.

    Args:
        connection: any.
        tenant_id: whose.
        status: only with this one; "" all.
        limit: at most so many.
        after: go on after the one with this id, to older ones.
        before: instead, those just before this one, newer ones. Another kind of id gives none.
    """
    cursor = ids.number_of(after or before, "aut")
    where = f"{_THEIRS} AND ? IN ('', a.status)"
    if before and not after:
        number = 2**63 - 1 if cursor is None else cursor
        sql = f"{where} AND a.id > ? ORDER BY a.id LIMIT ?"
        rows = connection.execute(sql, (tenant_id, status, number, limit)).fetchall()[::-1]
    else:
        number = (0 if after else 2**63 - 1) if cursor is None else cursor
        sql = f"{where} AND a.id < ? ORDER BY a.id DESC LIMIT ?"
        rows = connection.execute(sql, (tenant_id, status, number, limit)).fetchall()
    return [_record(row) for row in rows]


def count(connection: Connection, tenant_id: int, status: str = "") -> int:
    """Return how many automations a tenant has, with a status unless it is ""."""
    row = connection.execute(
        "SELECT COUNT(*) FROM automations WHERE tenant_id = ?1 AND status <> 'deleted'"
        " AND ?2 IN ('', status)",
        (tenant_id, status),
    ).fetchone()
    return int(row[0])


def change(
    connection: Connection, automation: AutomationRecord, new: NewAutomation, *, now: datetime
) -> None:
    """Let an automation be so from now on; another definition is another version.

    What happened while it was paused, or before its trigger changed, does not set it off later.
    Versions that no run has any more are forgotten.
    """
    version = automation.version
    if new.definition != automation.definition:
        version += 1
        _write_version(connection, automation.row, version, new.definition)
        connection.execute(
            "DELETE FROM automation_versions WHERE automation_id = ?1 AND version <> ?2"
            " AND version NOT IN (SELECT version FROM automation_runs"
            " WHERE automation_id = ?1 AND due_at IS NOT NULL)",
            (automation.row, version),
        )
    is_other = new.definition.get("trigger") != automation.definition.get("trigger")
    begins = is_other or (automation.status != ACTIVE and new.status == ACTIVE)
    look_ms = None if new.look_at is None else ids.milliseconds(new.look_at)
    connection.execute(
        "UPDATE automations SET name = ?, status = ?, trigger_type = ?, version = ?,"
        " since_seq = ?, look_at = ?, look_after = ?, updated_at = ? WHERE id = ?",
        (
            *(new.name, new.status, new.trigger_type, version),
            events.last_seq(connection) if begins else automation.since_seq,
            look_ms,
            automation.look_after if new.look_at == automation.look_at else 0,
            ids.milliseconds(now),
            automation.row,
        ),
    )


def set_secret(
    connection: Connection, automation: AutomationRecord, secret: str, *, now: datetime
) -> None:
    """Let webhooks be signed with another secret from now on."""
    connection.execute(
        "UPDATE automations SET secret = ?, updated_at = ? WHERE id = ?",
        (secret, ids.milliseconds(now), automation.row),
    )


def delete(connection: Connection, automation: AutomationRecord) -> None:
    """End an automation: it is not there any more; its runs are removed by remove_some."""
    connection.execute("UPDATE automations SET status = 'deleted' WHERE id = ?", (automation.row,))


def remove_some(connection: Connection, row: int, *, limit: int) -> None:
    """Remove some runs of a deleted automation; when all are gone, itself with them."""
    removed = connection.execute(
        "DELETE FROM automation_runs WHERE id IN"
        " (SELECT id FROM automation_runs WHERE automation_id = ? ORDER BY id LIMIT ?)",
        (row, limit),
    )
    if removed.rowcount == limit:
        return
    connection.execute("DELETE FROM automation_versions WHERE automation_id = ?", (row,))
    connection.execute("DELETE FROM automations WHERE id = ? AND status = 'deleted'", (row,))


def listening(connection: Connection) -> Mapping[int, tuple[str, ...]]:
    """Return tenant -> types of the triggers that its active automations have."""
    found: dict[int, tuple[str, ...]] = {}
    for tenant_id, kind in connection.execute(
        "SELECT DISTINCT tenant_id, trigger_type FROM automations"
        " WHERE status <> 'paused' AND status = 'active'"
    ):
        found[tenant_id] = (*found.get(tenant_id, ()), kind)
    return found


def active(connection: Connection, tenant_id: int) -> list[AutomationRecord]:
    """Return the active automations of a tenant, oldest first, but for damaged ones."""
    rows = connection.execute(f"{_THEIRS} AND a.status = 'active' ORDER BY a.id", (tenant_id,))
    return readable("automation", rows, _record)


def by_row(connection: Connection, row: int) -> AutomationRecord | None:
    """Return the automation with this row number, whosever; None when there is none."""
    found = connection.execute(
        f"{_SELECT} WHERE a.id = ? AND a.status <> 'deleted'", (row,)
    ).fetchone()
    return _record(found) if found else None


def versions(
    connection: Connection, row: int, numbers: Sequence[int]
) -> Mapping[int, Mapping[str, JsonValue]]:
    """Return version -> definition for some versions of an automation."""
    rows = connection.execute(
        "SELECT version, definition FROM automation_versions WHERE automation_id = ?"
        " AND version IN (SELECT value FROM json_each(?) AS given)",
        (row, json_text.encode(list(numbers)).decode()),
    )
    return {number: _object(text) for number, text in rows}


def looked(connection: Connection, row: int, *, after: int, look_at: datetime) -> None:
    """Write down how far a look at dates has got: done up to a row, or due again at a time."""
    connection.execute(
        "UPDATE automations SET look_after = ?, look_at = ? WHERE id = ? AND look_at IS NOT NULL",
        (after, ids.milliseconds(look_at), row),
    )


def _write_version(
    connection: Connection, row: int, number: int, definition: Mapping[str, JsonValue]
) -> None:
    connection.execute(
        "INSERT INTO automation_versions (automation_id, version, definition) VALUES (?, ?, ?)",
        (row, number, json_text.encode(definition).decode()),
    )


def _object(text: str) -> Mapping[str, JsonValue]:
    return cast("dict[str, JsonValue]", json_text.decode(text))


def _record(row: tuple[Any, ...]) -> AutomationRecord:
    number, tenant_id, name, status, trigger_type, definition, look_at, version = row[:8]
    secret, is_test, since_seq, look_after, *counts, created_at, updated_at = row[8:]
    return AutomationRecord(
        row=number,
        id=ids.numbered_id("aut", created_at, number),
        tenant_id=tenant_id,
        name=name,
        status=status,
        trigger_type=trigger_type,
        definition=_object(definition),
        look_at=None if look_at is None else ids.moment(look_at),
        version=version,
        secret=secret,
        is_test=bool(is_test),
        since_seq=since_seq,
        look_after=look_after,
        counts=dict(
            zip(("runs", "active", "completed", "failed", "canceled"), counts, strict=True)
        ),
        created_at=ids.moment(created_at),
        updated_at=ids.moment(updated_at),
    )


_MARK = "automations"


def mark(connection: Connection) -> int:
    """Return up to which seq of the journal events have set automations off; 0 before any have."""
    row = connection.execute("SELECT value FROM counters WHERE name = ?", (_MARK,)).fetchone()
    return int(row[0]) if row else 0


def begin_mark(connection: Connection) -> int:
    """Return the mark; the first time, it is set to where the oldest active automation begins."""
    [(begins,)] = connection.execute(
        "SELECT COALESCE((SELECT value FROM counters WHERE name = ?),"
        " (SELECT MIN(since_seq) FROM automations WHERE status <> 'paused' AND status = 'active'))",
        (_MARK,),
    ).fetchall()
    seq = events.last_seq(connection) if begins is None else int(begins)
    set_mark(connection, seq)
    return seq


def set_mark(connection: Connection, seq: int) -> None:
    """Write down up to which seq events have been looked at; retention keeps what is behind."""
    connection.execute(
        "INSERT INTO counters (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_MARK, seq),
    )
