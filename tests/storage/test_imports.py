"""Imports in storage: whose turn it is, rows that count once, and what stays of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from storage import audiences, contacts, events, import_rows, imports, memberships, retention
from storage.audiences import AudienceRecord, Identity
from storage.contacts import NewContact
from storage.database import Connection
from storage.import_rows import MAX_ERRORS, AudienceGone, RefusedRow, Step
from storage.imports import Counts, ImportRecord, NewImport
from storage.joining import Joiner

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
FILE = "0" * 32


def audience(connection: Connection, tenant_id: int = 1) -> AudienceRecord:
    connection.execute(
        "INSERT OR IGNORE INTO tenants (id, name, created_at) VALUES (?1, 't' || ?1, 0)",
        (tenant_id,),
    )
    return audiences.create(connection, tenant_id, Identity("news"), now=NOW)


def make(
    connection: Connection, into: AudienceRecord, tenant_id: int = 1, mode: str = "overwrite"
) -> ImportRecord:
    new = NewImport(into, mode, "{}", FILE, 1000)
    return imports.create(connection, tenant_id, new, now=NOW)


def people(*names: str, name: str = "") -> list[Joiner]:
    return [Joiner(NewContact(f"{one}@x.test", f"{one}@x.test", name)) for one in names]


def step(start: int, joiners: list[Joiner], *refused: RefusedRow, position: int = 0) -> Step:
    return Step(start, start + len(joiners) + len(refused), joiners, refused, position)


def running(connection: Connection, into: AudienceRecord, mode: str = "overwrite") -> ImportRecord:
    make(connection, into, mode=mode)
    found = imports.claim(connection, now=NOW)
    assert found is not None
    return found


def again(connection: Connection, one: ImportRecord) -> ImportRecord:
    found = imports.get(connection, one.tenant_id, one.id)
    assert found is not None
    return found


def test_a_tenant_has_one_turn_at_a_time(connection: Connection) -> None:
    mine, theirs = audience(connection), audience(connection, 2)
    first, second = make(connection, mine), make(connection, mine)
    other = make(connection, theirs, 2)
    claimed = [imports.claim(connection, now=LATER) for _ in range(3)]
    assert [one.id if one else None for one in claimed] == [first.id, other.id, None]
    assert again(connection, first).started_at == LATER
    imports.finish(connection, first.row, "completed", now=LATER)
    found = imports.claim(connection, now=LATER)
    assert found is not None
    assert found.id == second.id
    assert imports.open_of(connection, 1) == 1


def test_after_a_crash_they_wait_again(connection: Connection) -> None:
    one = running(connection, audience(connection))
    assert import_rows.apply(connection, one.row, step(0, people("a", "b")), now=NOW)
    imports.release_all(connection)
    assert again(connection, one).status == "queued"
    found = imports.claim(connection, now=LATER)
    assert found is not None
    assert (found.counts.received, found.started_at) == (2, NOW)


def test_rows_count_once(connection: Connection) -> None:
    into = audience(connection)
    one = running(connection, into)
    first = step(0, people("a", "b"), RefusedRow(2, "email", "x", "X.", "no"), position=70)
    assert import_rows.apply(connection, one.row, first, now=NOW)
    assert import_rows.apply(connection, one.row, first, now=NOW)
    with pytest.raises(LookupError):
        import_rows.apply(connection, one.row, step(4, people("c")), now=NOW)
    assert import_rows.apply(connection, one.row, step(3, people("b", "c")), now=NOW)
    found = again(connection, one)
    assert found.counts == Counts(5, inserted=3, updated=1, skipped=0, failed=1)
    assert memberships.count(connection, into.row) == {"subscribed": 3}


def test_rows_come_one_after_the_other(connection: Connection) -> None:
    """The same address twice in one step is what it would be in two."""
    for mode, name, counts in (
        ("overwrite", "new", Counts(3, inserted=1, updated=2)),
        ("skip", "old", Counts(3, inserted=1, skipped=2)),
    ):
        one = running(connection, audience(connection), mode)
        rows = [*people(mode, name="old"), *people(mode), *people(mode, name="new")]
        assert import_rows.apply(connection, one.row, step(0, rows), now=NOW)
        assert again(connection, one).counts == counts
        contact = contacts.get(connection, 1, f"{mode}@x.test")
        assert contact is not None
        assert contact.name == name
        imports.finish(connection, one.row, "completed", now=NOW)


def test_nothing_is_applied_once_it_has_ended(connection: Connection) -> None:
    one = running(connection, audience(connection))
    imports.finish(connection, one.row, "canceled", now=NOW)
    assert not import_rows.apply(connection, one.row, step(0, people("a")), now=NOW)
    assert imports.running(connection, one.row) is None
    assert contacts.get(connection, 1, "a@x.test") is None


def test_the_audience_is_gone(connection: Connection) -> None:
    into = audience(connection)
    one = running(connection, into)
    audiences.delete(connection, into)
    with pytest.raises(AudienceGone):
        import_rows.apply(connection, one.row, step(0, people("a")), now=NOW)


def test_the_end_is_told_once(connection: Connection) -> None:
    into = audience(connection)
    one = running(connection, into)
    import_rows.apply(connection, one.row, step(0, people("a")), now=NOW)
    ended = imports.finish(connection, one.row, "failed", problem="Why.", now=LATER)
    assert ended is not None
    assert (ended.status, ended.problem, ended.completed_at) == ("failed", "Why.", LATER)
    assert imports.finish(connection, one.row, "completed", now=LATER) is None
    [told] = events.read(connection, after=0, limit=9)
    assert told.kind.webhook_type == "import.completed"
    assert told.data == {
        "id": one.id,
        "audience_id": into.id,
        "status": "failed",
        "counts": {"received": 1, "inserted": 1, "updated": 0, "skipped": 0, "failed": 0},
    }


def test_only_so_many_errors_are_kept(connection: Connection) -> None:
    one = running(connection, audience(connection))
    count = MAX_ERRORS - 5
    rows = [RefusedRow(number, "f", "c", "M.", "") for number in range(1, count + 20)]
    assert import_rows.apply(connection, one.row, step(0, [], *rows[:count]), now=NOW)
    assert import_rows.apply(connection, one.row, step(count, [], *rows[count:]), now=NOW)
    assert again(connection, one).counts.failed == len(rows)
    kept = import_rows.errors_after(connection, one.row, 0, limit=20_000)
    assert kept == rows[:MAX_ERRORS]
    assert import_rows.errors_after(connection, one.row, 7, limit=2) == rows[7:9]


def test_files_are_in_use_until_they_are_forgotten(connection: Connection) -> None:
    one = running(connection, audience(connection))
    assert retention.files_in_use(connection, [FILE, "1" * 32]) == {FILE}
    assert imports.ended_files(connection, limit=9) == []
    imports.finish(connection, one.row, "completed", now=NOW)
    assert imports.ended_files(connection, limit=9) == [(one.row, FILE)]
    assert imports.forget_before(connection, LATER, limit=9) == 0
    imports.forget_file(connection, one.row)
    assert retention.files_in_use(connection, [FILE]) == set()


def test_what_ended_long_ago_is_forgotten(connection: Connection) -> None:
    into = audience(connection)
    one, other = running(connection, into), make(connection, into)
    refused = RefusedRow(1, "", "x", "X.", "")
    import_rows.apply(connection, one.row, step(0, [], refused), now=NOW)
    imports.finish(connection, one.row, "completed", now=NOW)
    imports.forget_file(connection, one.row)
    assert imports.forget_before(connection, NOW, limit=9) == 0
    assert imports.forget_before(connection, LATER, limit=9) == 1
    assert imports.get(connection, 1, one.id) is None
    assert import_rows.errors_after(connection, one.row, 0, limit=9) == []
    assert imports.get(connection, 1, other.id) is not None


def test_ids_of_others_are_nobodys(connection: Connection) -> None:
    one = make(connection, audience(connection))
    assert imports.get(connection, 2, one.id) is None
    assert imports.get(connection, 1, "imp_00000000000000000000000001") is None
    assert imports.get(connection, 1, "imp_x") is None


def test_nothing_looks_at_all_rows(connection: Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    imports.claim(connection, now=NOW)
    imports.open_of(connection, 1)
    imports.list_(connection, 1, limit=9)
    imports.list_(connection, 1, 1, limit=9)
    imports.ended_files(connection, limit=9)
    imports.forget_before(connection, NOW, limit=9)
    import_rows.errors_after(connection, 1, 0, limit=9)
    connection.set_trace_callback(None)
    plans = [row[3] for sql in seen for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    allowed = "SCAN imports USING INDEX imports_in_spool"
    assert not [one for one in plans if one.startswith("SCAN") and one != allowed], plans
