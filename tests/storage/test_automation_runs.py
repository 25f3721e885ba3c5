"""Runs on the disk: what waits costs nothing, moves happen once, and counters are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from mta.core.automation import Reentry
from mta.core.automation_plan import ENTRY_WINDOW, MAX_ENTRIES
from mta.core.event import JsonValue
from storage import (
    automation_history,
    automation_runs,
    automations,
    contacts,
    events,
    joining,
    retention,
    tenancy,
)
from storage.automation_history import RunFilter
from storage.automation_runs import Done, Entrant, Move, Refusal, RunRecord, RunState
from storage.automations import NewAutomation
from storage.contacts import NewContact
from storage.database import Connection, Database

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DEFINITION: Mapping[str, JsonValue] = {"trigger": {"type": "api"}, "steps": [{"type": "stop"}]}


@pytest.fixture
def automation(connection: Connection) -> automations.AutomationRecord:
    new = NewAutomation("a", automations.ACTIVE, "api", DEFINITION)
    made = automations.create(connection, 1, new, secret="s", is_test=False, now=NOW)
    found = automations.get(connection, 1, made)
    assert found is not None
    return found


def person(connection: Connection, name: str = "bee") -> int:
    made = contacts.upsert_all(
        connection, 1, [NewContact(f"{name}@dest.test", f"{name}@dest.test")], now=NOW
    )
    return made.rows[f"{name}@dest.test"]


def entrant(automation_row: int, contact_row: int, reentry: Reentry = Reentry.ALWAYS) -> Entrant:
    return Entrant(automation_row, contact_row, reentry)


def due(connection: Connection, row: int, *, posts: bool = False) -> list[RunRecord]:
    return automation_runs.due(connection, row, posts=posts, now=NOW, limit=100)


def counts(connection: Connection, automation_id: str) -> dict[str, int]:
    found = automations.get(connection, 1, automation_id)
    assert found is not None
    return {name: count for name, count in found.counts.items() if count}


@pytest.mark.parametrize(
    ("reentry", "while_it_runs", "later"),
    [
        (Reentry.NEVER, Refusal.UNDER_WAY, Refusal.ONLY_ONCE),
        (Reentry.AFTER_END, Refusal.UNDER_WAY, None),
        (Reentry.ALWAYS, None, None),
    ],
)
def test_entering_again(
    connection: Connection,
    automation: automations.AutomationRecord,
    reentry: Reentry,
    while_it_runs: Refusal | None,
    later: Refusal | None,
) -> None:
    wish = entrant(automation.row, person(connection), reentry)

    def enter() -> Refusal | None:
        found = automation_runs.enter(connection, wish, now=NOW)
        return found if isinstance(found, Refusal) else None

    assert enter() is None
    assert enter() is while_it_runs
    for run in due(connection, automation.row):
        assert automation_runs.cancel(connection, run, now=NOW)
        assert not automation_runs.cancel(connection, run, now=NOW)
    assert enter() is later


def test_events_let_one_in_only_so_often(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    wish = entrant(automation.row, person(connection))
    found = [automation_runs.enter(connection, wish, now=NOW) for _ in range(MAX_ENTRIES + 1)]
    assert found[-1] is Refusal.TOO_OFTEN
    assert Refusal.TOO_OFTEN not in found[:-1]
    later = NOW + ENTRY_WINDOW
    assert automation_runs.enter(connection, wish, now=later) is not Refusal.TOO_OFTEN


def test_who_is_not_there_does_not_enter(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    wish = entrant(automation.row, 99)
    assert automation_runs.enter(connection, wish, now=NOW) is Refusal.GONE
    automations.delete(connection, automation)
    wish = entrant(automation.row, person(connection))
    assert automation_runs.enter(connection, wish, now=NOW) is Refusal.GONE


def test_a_move_happens_once(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    automation_runs.enter(connection, entrant(automation.row, person(connection)), now=NOW)
    [run] = due(connection, automation.row)
    assert automation_runs.current(connection, [run]) == {run.row}
    done = Done("steps[0]", "tag", "done")
    at = NOW + timedelta(hours=1)
    automation_runs.move(connection, [Move(run, 1, at, done=done)], now=NOW)
    assert automation_runs.current(connection, [run]) == set()
    assert due(connection, automation.row) == []
    [work] = automation_runs.work(connection)
    assert (work.due_at, work.posts_at, work.is_deleted) == (at, None, False)
    assert automation_history.steps(connection, run.row, limit=9) == [(done, NOW)]


def test_ends_are_counted(connection: Connection, automation: automations.AutomationRecord) -> None:
    for number in range(4):
        row = person(connection, f"p{number}")
        automation_runs.enter(connection, entrant(automation.row, row), now=NOW)
    first, second, third, _ = due(connection, automation.row)
    moves = [
        Move(first, 9, None, RunState.COMPLETED),
        Move(second, 2, None, RunState.FAILED, "steps[2]: gone"),
    ]
    automation_runs.move(connection, moves, now=NOW)
    automation_runs.cancel(connection, third, now=NOW)
    expected = {"runs": 4, "active": 1, "completed": 1, "failed": 1, "canceled": 1}
    assert counts(connection, automation.id) == expected
    failed = automation_history.list_(
        connection, 1, RunFilter(automation.row, 0, "failed"), limit=9
    )
    assert [(one.run.reason, one.run.ended_at) for one in failed] == [("steps[2]: gone", NOW)]


def test_webhooks_wait_apart(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    automation_runs.enter(connection, entrant(automation.row, person(connection)), now=NOW)
    [run] = due(connection, automation.row)
    automation_runs.move(connection, [Move(run, 0, NOW, posts=True, attempts=2)], now=NOW)
    assert due(connection, automation.row) == []
    [waiting] = due(connection, automation.row, posts=True)
    assert (waiting.attempts, waiting.moves) == (2, 1)
    [work] = automation_runs.work(connection)
    assert (work.due_at, work.posts_at) == (None, NOW)


def test_runs_of_paused_automations_are_not_work(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    automation_runs.enter(connection, entrant(automation.row, person(connection)), now=NOW)
    [run] = due(connection, automation.row)
    new = NewAutomation("a", automations.PAUSED, "api", DEFINITION)
    automations.change(connection, automation, new, now=NOW)
    assert automation_runs.work(connection) == []
    assert automation_runs.current(connection, [run]) == set()


def test_retention_forgets_what_has_ended(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    rows = [person(connection, name) for name in ("bee", "elk", "ant")]
    for row, reentry in zip(rows, (Reentry.ALWAYS, Reentry.NEVER, Reentry.ALWAYS), strict=True):
        automation_runs.enter(connection, entrant(automation.row, row, reentry), now=NOW)
    runs = due(connection, automation.row)
    moves = [
        Move(run, 9, None, RunState.COMPLETED, done=Done("", "tag", "done")) for run in runs[:2]
    ]
    automation_runs.move(connection, moves, now=NOW)
    later = NOW + timedelta(milliseconds=1)
    assert automation_runs.forget_ended(connection, NOW, limit=9) == 0
    # One that says that its contact has been there stays, and so does one under way.
    assert automation_runs.forget_ended(connection, later, limit=9) == 1
    left = automation_history.list_(connection, 1, RunFilter(automation.row), limit=9)
    assert {one.email for one in left} == {"elk@dest.test", "ant@dest.test"}
    assert counts(connection, automation.id) == {"runs": 3, "active": 1, "completed": 2}


def test_with_a_tenant_its_automations_end(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    made = tenancy.create(connection, name="other", now=NOW)
    assert made is not None
    new = NewAutomation("b", automations.ACTIVE, "api", DEFINITION)
    automations.create(connection, made.number, new, secret="s", is_test=False, now=NOW)
    assert tenancy.delete(connection, made.number) is None
    assert [one.is_deleted for one in automation_runs.work(connection)] == [False, True]


@pytest.mark.parametrize(
    "ask",
    [
        automation_runs.work,
        lambda db: automation_runs.due(db, 1, posts=False, now=NOW, limit=100),
    ],
    ids=["what is due when", "what is due"],
)
def test_runs_that_wait_are_not_looked_at(
    connection: Connection, ask: Callable[[Connection], object]
) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    ask(connection)
    connection.set_trace_callback(None)
    for statement in statements:
        plan = " ".join(
            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        )
        assert "automation_runs_due" in plan
        assert not re.search(r"SCAN (r|automation_runs)\b|TEMP B-TREE", plan), plan


def test_ids_of_other_tenants_find_nothing(
    connection: Connection, automation: automations.AutomationRecord
) -> None:
    begun = automation_runs.enter(connection, entrant(automation.row, person(connection)), now=NOW)
    assert isinstance(begun, str)
    assert automations.get(connection, 2, automation.id) is None
    assert automation_history.get(connection, 1, begun) is not None
    assert automation_history.get(connection, 2, begun) is None


def test_events_are_kept_until_they_were_looked_at(database: Database) -> None:
    wanted = [NewContact("bee@dest.test", "bee@dest.test")]
    database.write_now(lambda db: joining.put(db, 1, wanted, now=NOW))

    def prune() -> int:
        later = NOW + timedelta(days=1)
        pruned = database.write_now(
            lambda db: retention.prune(db, bodies_before=later, events_before=later, limit=9)
        )
        return pruned.events

    database.write_now(lambda db: automations.set_mark(db, 0))
    assert prune() == 0
    seq = database.read_now(events.last_seq)
    database.write_now(lambda db: automations.set_mark(db, seq))
    assert (database.read_now(automations.mark), prune()) == (seq, 1)
