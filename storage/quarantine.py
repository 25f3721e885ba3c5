"""Damaged rows: put aside with an event, so that one of them stops nothing else.

Such an entry is held with the reason "damaged" until an operator has looked: releasing it tries it
again, canceling it takes it out. What is damaged in a body is found where it is read
(mta/transactions.py) and comes here as the settlement of an attempt.
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from mta.core import ids
from mta.core.disposition import Why
from mta.core.event import EventKind
from mta.core.outcome import Stage
from storage import events, tallies
from storage.database import Connection, OperationalError
from storage.tallies import Tally

END = 253_402_300_800_000
"""The year 10000 (ms), which no time in an undamaged row reaches; text, too, is greater than it."""

_PUT_ASIDE = f"""
UPDATE entries SET state = 2, why = ?, reply = ?, owner = NULL, wish = NULL,
    due_at = CASE WHEN due_at BETWEEN 0 AND {END} THEN due_at ELSE ? END,
    priority = CASE WHEN priority IN (0, 1) THEN priority ELSE 0 END
WHERE id = ? AND state < 10 RETURNING message_id, tenant_id
"""
_MISPLACED = f"""
SELECT id FROM entries
WHERE state = 0 AND (due_at NOT BETWEEN 0 AND {END} OR priority NOT IN (0, 1))
"""


def put_aside(connection: Connection, damaged: Mapping[int, str], now: datetime) -> None:
    """Hold open entries whose rows are damaged, with an event each.

    Args:
        connection: of a write.
        damaged: entry row id -> what is wrong, one printable line.
        now: aware, UTC.
    """
    at_ms = ids.milliseconds(now)
    journal: list[events.EventRow] = []
    counted: dict[int, Tally] = {}
    for row, error in damaged.items():
        parameters = (Why.DAMAGED.value, error, at_ms, row)
        for message_row, tenant_id in connection.execute(_PUT_ASIDE, parameters).fetchall():
            data = {"why": Why.DAMAGED.value, "stage": Stage.DAMAGED.value, "text": error}
            kind = EventKind.DEFERRED.value
            journal.append((message_row, row, tenant_id, kind, at_ms, events.json_data(data)))
            counted.setdefault(message_row, Tally(at_ms)).is_deferred = True
    events.append(connection, journal)
    tallies.apply(connection, counted)


def put_aside_misplaced(connection: Connection, now: datetime) -> None:
    """Hold what waits at a time or in a lane that there is not, and would never be found due.

    For start-up: reads all that waits.
    """
    rows = connection.execute(_MISPLACED).fetchall()
    put_aside(connection, dict.fromkeys((row for (row,) in rows), "its due time is damaged"), now)


_ENTRY_TEXTS = ("recipient", "notify", "orcpt")
_MESSAGE_TEXTS = (
    *("public_id", "mail_from", "ret", "envid", "sender_domain"),
    *("door", "unsubscribe", "tracking"),
)
_MENDED = "UPDATE entries SET recipient = ?, notify = ?, orcpt = ? WHERE id = ?"


def is_undecodable(error: OperationalError) -> bool:
    """Tell whether SQLite's module has found text that is no UTF-8: SQLite's errors have a code."""
    return getattr(error, "sqlite_errorcode", None) is None


def put_aside_undecodable(connection: Connection, domains: Iterable[str], now: datetime) -> None:
    """Hold what waits for some domains and has text that is no UTF-8.

    SQLite gives no row at all of a query that meets such text, so that it has to be looked for. The
    octets in an address that are none are replaced, so that people can see the entry.
    """
    damaged: dict[int, str] = {}
    for domain in domains:
        for row, name, texts in list(_undecodable(connection, domain)):
            damaged[row] = f"{name} of its row is no text"
            if texts:
                connection.execute(_MENDED, (*texts, row))
    put_aside(connection, damaged, now)


def _undecodable(connection: Connection, domain: str) -> Iterator[tuple[int, str, list[str]]]:
    """Return row ids, the bad column and, where it is the entry's own, its texts mended."""
    columns = [f"e.{name}" for name in _ENTRY_TEXTS] + [f"m.{name}" for name in _MESSAGE_TEXTS]
    octets = ", ".join(f"CAST({column} AS BLOB)" for column in columns)
    rows = connection.execute(
        f"SELECT e.id, {octets} FROM entries e LEFT JOIN messages m ON m.id = e.message_id"
        " WHERE e.state = 0 AND e.domain = ?",
        (domain,),
    )
    names = (*_ENTRY_TEXTS, *_MESSAGE_TEXTS)
    for row, *values in rows:
        bad = [name for name, value in zip(names, values, strict=True) if not _is_text(value)]
        if bad:
            own = values[: len(_ENTRY_TEXTS)] if bad[0] in _ENTRY_TEXTS else []
            yield row, bad[0], [value.decode(errors="replace") for value in own]


def _is_text(value: bytes | None) -> bool:
    return value is None or value.decode(errors="replace").encode() == value
