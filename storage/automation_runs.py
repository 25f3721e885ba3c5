"""Runs: contacts on their way through automations. Who enters, who is due, what each has done.

What a step does and the move behind it are written in one transaction: move() is called in that of
the effect, for runs that current() says are still where they were read. Not here: what is next
(core/automation_plan.py), looking at runs (automation_history.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.automation import Reentry
from mta.core.automation_plan import ENTRY_WINDOW, MAX_ENTRIES
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from storage.database import Connection
from storage.sql import given


class RunState(enum.Enum):
    """How far a run is."""

    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Refusal(enum.Enum):
    """Why a contact does not enter an automation."""

    UNDER_WAY = "under_way"
    ONLY_ONCE = "only_once"
    TOO_OFTEN = "too_often"
    """Events have let it enter MAX_ENTRIES times within ENTRY_WINDOW."""
    GONE = "gone"
    """The contact is not there any more, or the automation is not active."""


@frozen
class Entrant:
    """A contact that is to enter an automation.

    Attributes:
        automation_row, contact_row: which and who.
        reentry: whether it may be in it again.
        audience_id: in which it happened, "" for none.
        data: of the request.
        is_bounded: whether events set it off, which it may cause itself.
    """

    automation_row: int
    contact_row: int
    reentry: Reentry
    audience_id: str = ""
    data: Mapping[str, JsonValue] = field(default_factory=dict)
    is_bounded: bool = True


@frozen
class RunRecord:
    """One run.

    Attributes:
        row: its row number.
        id: "run_...".
        automation_row, contact_row, audience_id, data: as in Entrant.
        version: of the automation when it began.
        state: and `reason`, why it has failed.
        position: in the program of the version.
        moves: how often it was changed.
        attempts: failed posts of the webhook that is next.
        due_at: when it goes on (aware, UTC); None: it has ended.
        created_at, ended_at: aware, UTC; None: under way.
    """

    row: int
    id: str
    automation_row: int
    contact_row: int
    version: int
    audience_id: str
    data: Mapping[str, JsonValue]
    state: RunState
    position: int
    moves: int
    attempts: int
    due_at: datetime | None
    reason: str
    created_at: datetime
    ended_at: datetime | None


@frozen
class Done:
    """What a step did.

    Attributes:
        path, type: which step.
        result: "done", "skipped", "failed" or "retrying".
        detail: why; may be "".
        email_id: "em_..." that was accepted, "" for none.
    """

    path: str
    type: str
    result: str
    detail: str = ""
    email_id: str = ""


@frozen
class Move:
    """Where a run is from now on.

    Attributes:
        run: as it was read.
        position: what is next.
        due_at: when it goes on (aware, UTC); None: it ends with `state`.
        state, reason: of its end.
        posts: whether a webhook is next.
        attempts: failed posts of it.
        done: what the step did; None: there was none.
    """

    run: RunRecord
    position: int
    due_at: datetime | None
    state: RunState = RunState.ACTIVE
    reason: str = ""
    posts: bool = False
    attempts: int = 0
    done: Done | None = None


_ENTER = """
INSERT INTO automation_runs (automation_id, contact_id, version, audience, data, state, position,
    moves, attempts, posts, due_at, reason, is_kept, created_at)
SELECT a.id, c.id, a.version, ?, ?, 'active', 0, 0, 0, 0, ?, '', ?, ?
FROM automations a CROSS JOIN contacts c
WHERE a.id = ? AND a.status = 'active' AND c.id = ? AND c.tenant_id = a.tenant_id RETURNING id
"""


def enter(connection: Connection, entrant: Entrant, *, now: datetime) -> str | Refusal:
    """Begin a run, due at once; return its id, or why the contact does not enter."""
    refusal = _refusal(connection, entrant, now)
    if refusal is not None:
        return refusal
    now_ms = ids.milliseconds(now)
    row = connection.execute(
        _ENTER,
        (
            *(entrant.audience_id, json_text.encode(entrant.data).decode()),
            *(now_ms, entrant.reentry is Reentry.NEVER, now_ms),
            *(entrant.automation_row, entrant.contact_row),
        ),
    ).fetchone()
    return ids.numbered_id("run", now_ms, row[0]) if row else Refusal.GONE


_EARLIER = """
SELECT COUNT(*), COALESCE(SUM(due_at IS NOT NULL), 0), COALESCE(SUM(created_at > ?), 0)
FROM automation_runs WHERE contact_id = ? AND automation_id = ?
"""


def _refusal(connection: Connection, entrant: Entrant, now: datetime) -> Refusal | None:
    since = ids.milliseconds(now - ENTRY_WINDOW)
    values = (since, entrant.contact_row, entrant.automation_row)
    total, active, recent = connection.execute(_EARLIER, values).fetchone()
    if active and entrant.reentry is not Reentry.ALWAYS:
        return Refusal.UNDER_WAY
    if total and entrant.reentry is Reentry.NEVER:
        return Refusal.ONLY_ONCE
    if entrant.is_bounded and recent >= MAX_ENTRIES:
        return Refusal.TOO_OFTEN
    return None


@frozen
class Work:
    """What an automation has to do, and when; times are aware, UTC, None for never.

    Attributes:
        row: of the automation.
        is_deleted: its runs are to be removed.
        due_at, posts_at: when a run goes on, or posts a webhook.
        look_at: when dates are looked at.
    """

    row: int
    is_deleted: bool
    due_at: datetime | None
    posts_at: datetime | None
    look_at: datetime | None


_WORK = """
SELECT id, status = 'deleted',
    (SELECT MIN(due_at) FROM automation_runs
        WHERE automation_id = a.id AND posts = 0 AND due_at IS NOT NULL),
    (SELECT MIN(due_at) FROM automation_runs
        WHERE automation_id = a.id AND posts = 1 AND due_at IS NOT NULL),
    look_at
FROM automations a WHERE status <> 'paused' ORDER BY id
"""


def work(connection: Connection) -> list[Work]:
    """Return what each automation has to do that is not paused; a look into an index for each."""
    return [
        Work(row, bool(is_deleted), *(None if at is None else ids.moment(at) for at in times))
        for row, is_deleted, *times in connection.execute(_WORK)
    ]


COLUMNS = """
r.id, r.created_at, r.automation_id, r.contact_id, r.version, r.audience, r.data, r.state,
r.position, r.moves, r.attempts, r.due_at, r.reason, r.ended_at
"""
"""What record() reads, of automation_runs r."""


def due(
    connection: Connection, automation_row: int, *, posts: bool, now: datetime, limit: int
) -> list[RunRecord]:
    """Return runs of an automation that are due, the longest due first.

    Args:
        connection: any.
        automation_row: which.
        posts: those with a webhook next, or all others.
        now: aware, UTC.
        limit: at most so many.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM automation_runs r WHERE automation_id = ? AND posts = ?"
        " AND due_at IS NOT NULL AND due_at <= ? ORDER BY due_at LIMIT ?",
        (automation_row, posts, ids.milliseconds(now), limit),
    )
    return [record(row) for row in rows]


_CURRENT = """
SELECT r.id FROM json_each(?) AS given
CROSS JOIN automation_runs r ON r.id = given.value ->> 0
CROSS JOIN automations a ON a.id = r.automation_id
WHERE r.moves = given.value ->> 1 AND r.due_at IS NOT NULL AND a.status = 'active'
"""


def current(connection: Connection, runs: Collection[RunRecord]) -> set[int]:
    """Return the rows of those runs that are as they were read, and not paused or ended since."""
    asked = given([(run.row, run.moves) for run in runs])
    return {row for (row,) in connection.execute(_CURRENT, (asked,))}


_MOVE = """
UPDATE automation_runs SET position = given.value ->> 1, due_at = given.value ->> 2,
    state = given.value ->> 3, reason = given.value ->> 4, posts = given.value ->> 5,
    attempts = given.value ->> 6, ended_at = given.value ->> 7, moves = moves + 1
FROM json_each(?) AS given WHERE automation_runs.id = given.value ->> 0
"""
_LOG = """
INSERT INTO automation_steps (run_id, number, path, type, result, detail, email_id, at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, ?
FROM json_each(?) AS given WHERE TRUE
ON CONFLICT (run_id, number) DO NOTHING
"""


def move(connection: Connection, moves: Sequence[Move], *, now: datetime) -> None:
    """Write down where runs are now, and what their steps did; two statements for all."""
    now_ms = ids.milliseconds(now)
    rows = [
        (
            *(one.run.row, one.position, None if one.due_at is None else _ms(one.due_at)),
            *(one.state.value, one.reason, one.posts, one.attempts),
            now_ms if one.due_at is None else None,
        )
        for one in moves
    ]
    connection.execute(_MOVE, (given(rows),))
    done = [
        (
            one.run.row,
            one.run.moves + 1,
            step.path,
            step.type,
            step.result,
            step.detail,
            step.email_id,
        )
        for one in moves
        if (step := one.done) is not None
    ]
    connection.execute(_LOG, (now_ms, given(done)))


def _ms(at: datetime) -> int:
    """Return milliseconds, rounded up: what is due is never a fraction of one early."""
    return ids.milliseconds(at) + (at.microsecond % 1000 > 0)


def cancel(connection: Connection, run: RunRecord, *, now: datetime) -> bool:
    """End a run where it is; False when it has ended."""
    changed = connection.execute(
        "UPDATE automation_runs SET state = 'canceled', due_at = NULL, ended_at = ?,"
        " moves = moves + 1 WHERE id = ? AND due_at IS NOT NULL",
        (ids.milliseconds(now), run.row),
    )
    return changed.rowcount == 1


def forget_ended(connection: Connection, before: datetime, *, limit: int) -> int:
    """Delete some runs that ended before then, and what they did; return how many."""
    deleted = connection.execute(
        "DELETE FROM automation_runs WHERE id IN (SELECT id FROM automation_runs"
        " WHERE ended_at IS NOT NULL AND is_kept = 0 AND ended_at < ? ORDER BY ended_at LIMIT ?)",
        (ids.milliseconds(before), limit),
    )
    return deleted.rowcount


def record(row: tuple[Any, ...]) -> RunRecord:
    """Return the run in the columns of a row."""
    number, created_at, automation_row, contact_row, version, audience, data, state = row[:8]
    position, moves, attempts, due_at, reason, ended_at = row[8:]
    return RunRecord(
        row=number,
        id=ids.numbered_id("run", created_at, number),
        automation_row=automation_row,
        contact_row=contact_row,
        version=version,
        audience_id=audience,
        data=cast("dict[str, JsonValue]", json_text.decode(data)),
        state=RunState(state),
        position=position,
        moves=moves,
        attempts=attempts,
        due_at=None if due_at is None else ids.moment(due_at),
        reason=reason,
        created_at=ids.moment(created_at),
        ended_at=None if ended_at is None else ids.moment(ended_at),
    )
