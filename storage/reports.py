"""Reports that came in: kept before they are acknowledged, read later, kept for a while after that.

Not here: receiving (mta/reports.py), reading (mta/report_intake.py), what follows (feedback.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from mta.core import ids, json_text
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection

MAX_WAITING = 10_000
"""Reports that may wait to be read; then senders are told to come back later."""
MAX_TRIES = 3
WAITING, READ, GIVEN_UP = 0, 1, 2


@frozen
class NewReport:
    """A report to be kept.

    Attributes:
        data: the whole mail.
        recipients: the addresses that it came to, in lower case; () for an imported one.
        digest: what tells two reports apart, see core.report_address.digest_of.
        source: "smtp", "import" or "api".
        client: IP address over SMTP, else "".
        tenant_id: only this tenant's mail can be meant; None for any.
        entry_ids: row ids of the entries whose return paths it came to.
    """

    data: bytes
    recipients: tuple[str, ...]
    digest: bytes
    source: str
    client: str = ""
    tenant_id: int | None = None
    entry_ids: tuple[int, ...] = ()


@frozen
class WaitingReport:
    """A report to be read; the attributes are those of NewReport."""

    id: int
    data: bytes
    recipients: tuple[str, ...]
    tenant_id: int | None
    tries: int
    received_at: datetime


_INSERT = """
INSERT INTO reports (
    tenant_id, source, client, recipients, digest, received_at, size, data, state, tries, outcome
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '{}')
ON CONFLICT (digest) DO NOTHING
RETURNING id
"""

_COUNT = """
INSERT INTO report_counts (entry_id, count, at) VALUES (?, 1, ?)
ON CONFLICT (entry_id) DO UPDATE SET count = count + 1, at = excluded.at
"""


def add(connection: Connection, report: NewReport, now: datetime) -> str | None:
    """Keep a report; return its "rp_..." id, None when the very same one was kept before."""
    now_ms = ids.milliseconds(now)
    row = connection.execute(
        _INSERT,
        (
            report.tenant_id,
            report.source,
            report.client,
            json_text.encode(report.recipients).decode(),
            report.digest,
            now_ms,
            len(report.data),
            report.data,
        ),
    ).fetchone()
    if row is None:
        return None
    connection.executemany(_COUNT, [(entry_id, now_ms) for entry_id in report.entry_ids])
    return ids.numbered_id("rp", now_ms, row[0])


def has_room(connection: Connection) -> bool:
    """Tell whether another report may wait."""
    waiting = connection.execute("SELECT COUNT(*) FROM reports WHERE state = 0").fetchone()
    return int(waiting[0]) < MAX_WAITING


def has_waiting(connection: Connection) -> bool:
    """Tell whether there is something to read."""
    return (
        connection.execute("SELECT 1 FROM reports WHERE state = 0 LIMIT 1").fetchone() is not None
    )


def count_of(connection: Connection, entry_id: int) -> int:
    """Return how many different reports came to an entry's return path."""
    row = connection.execute(
        "SELECT count FROM report_counts WHERE entry_id = ?", (entry_id,)
    ).fetchone()
    return int(row[0]) if row else 0


def take(connection: Connection, *, limit: int) -> list[WaitingReport]:
    """Return the reports that have waited longest, and note that reading them begins (a write).

    Those whose reading was begun MAX_TRIES times before are given up.
    """
    connection.execute(
        "UPDATE reports SET state = ?, outcome = ? WHERE state = 0 AND tries >= ?",
        (GIVEN_UP, '{"result":"given_up"}', MAX_TRIES),
    )
    rows = connection.execute(
        "UPDATE reports SET tries = tries + 1 WHERE id IN ("
        " SELECT id FROM reports WHERE state = 0 ORDER BY id LIMIT ?)"
        " RETURNING id, data, recipients, tenant_id, tries, received_at",
        (limit,),
    ).fetchall()
    return [
        WaitingReport(
            row, data, tuple(_texts(recipients)), tenant_id, tries, ids.moment(received_at)
        )
        for row, data, recipients, tenant_id, tries, received_at in sorted(rows)
    ]


def is_waiting(connection: Connection, report_id: int) -> bool:
    """Tell whether a report was not read yet: nothing may follow from one twice."""
    row = connection.execute("SELECT state FROM reports WHERE id = ?", (report_id,)).fetchone()
    return row is not None and row[0] == WAITING


def finish(
    connection: Connection, report_id: int, outcome: Mapping[str, JsonValue], *, keep: bool
) -> None:
    """Note that a report was read.

    Args:
        connection: of a write.
        report_id: row id.
        outcome: what it was and what followed.
        keep: whether the mail itself is kept for people to look at.
    """
    connection.execute(
        "UPDATE reports SET state = ?, outcome = ?, data = CASE WHEN ? THEN data END WHERE id = ?",
        (READ, events.json_data(outcome), keep, report_id),
    )


def prune(connection: Connection, before: datetime, *, limit: int) -> int:
    """Delete some of what is older than that and no longer needed; return how many rows (a write).

    Waiting reports and due delivery reports are kept whatever their age.
    """
    before_ms = ids.milliseconds(before)
    return sum(connection.execute(sql, (before_ms, limit)).rowcount for sql in _PRUNE)


_PRUNE = (
    """
    DELETE FROM reports WHERE id IN (
        SELECT id FROM reports WHERE received_at < ? AND state > 0 LIMIT ?)
    """,
    """
    DELETE FROM report_counts WHERE entry_id IN (
        SELECT entry_id FROM report_counts WHERE at < ? LIMIT ?)
    """,
    """
    DELETE FROM delivery_reports WHERE (entry_id, action) IN (
        SELECT entry_id, action FROM delivery_reports WHERE at < ? AND sent_at > 0 LIMIT ?)
    """,
)


def _texts(text: str) -> list[str]:
    return cast("list[str]", json_text.decode(text))
