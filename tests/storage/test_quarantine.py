"""One damaged row is put aside, and all others go on. (A21)"""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.disposition import Quarantined
from mta.core.event import EventKind
from mta.core.outcome import Attempt, Stage, Unreachable
from storage import events, queue
from storage.database import Connection, OperationalError
from storage.entries import EntryState
from storage.queue import Selection
from tests.storage.builders import NOW, PEER, accept, claim

DAMAGES = [
    "UPDATE messages SET unsubscribe = '{' WHERE id = 1",
    "UPDATE messages SET unsubscribe = '[]' WHERE id = 1",
    "UPDATE messages SET tracking = '{\"nonce\": 1}' WHERE id = 1",
    "UPDATE messages SET created_at = 'x' WHERE id = 1",
    "UPDATE messages SET mail_from = CAST(x'61ff40' AS TEXT) WHERE id = 1",
    "UPDATE entries SET recipient = CAST(x'616e74ff40' AS TEXT) WHERE id = 1",
    "UPDATE entries SET recipient = x'00' WHERE id = 1",
    "UPDATE entries SET attempts = 'x' WHERE id = 1",
    "UPDATE entries SET eligible_at = 'x' WHERE id = 1",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a21_a_damaged_row_is_held_and_the_others_are_claimed(
    connection: Connection, damage: str
) -> None:
    for recipient in ("ant@example.net", "bee@example.net"):
        accept(connection, recipient)
    connection.execute(damage)
    assert [entry.recipient for entry in claim(connection)] == ["bee@example.net"]
    assert claim(connection) == []
    row = connection.execute("SELECT state, why, owner FROM entries WHERE id = 1").fetchone()
    assert row == (EntryState.HELD, "damaged", None)
    kind, data = connection.execute(
        "SELECT kind, data ->> 'why' FROM events WHERE entry_id = 1 ORDER BY seq DESC"
    ).fetchone()
    assert (kind, data) == (EventKind.DEFERRED.value, "damaged")


@pytest.mark.parametrize("eligible_at", ["x", 2**62])
def test_a21_what_is_not_mended_is_held_again(connection: Connection, eligible_at: object) -> None:
    accept(connection)
    connection.execute("UPDATE entries SET eligible_at = ?", (eligible_at,))
    for _ in range(2):
        assert claim(connection) == []
        row = connection.execute("SELECT state, why FROM entries").fetchone()
        assert row == (EntryState.HELD, "damaged")
        assert queue.release(connection, Selection(is_all=True), now=NOW) == 1


@pytest.mark.parametrize("damage", ["due_at = 'x'", f"due_at = {2**62}", "priority = 8"])
def test_a21_what_nobody_would_find_due_is_held_at_the_start(
    connection: Connection, damage: str
) -> None:
    for recipient in ("ant@example.net", "bee@example.net"):
        accept(connection, recipient)
    connection.execute(f"UPDATE entries SET {damage} WHERE id = 1")  # noqa: S608
    queue.free_claims(connection, NOW)
    assert [one.domain for one in queue.schedule(connection)] == ["example.net"]
    assert [entry.recipient for entry in claim(connection)] == ["bee@example.net"]
    assert queue.release(connection, Selection(is_all=True), now=NOW) == 1
    assert [entry.recipient for entry in claim(connection)] == ["ant@example.net"]


def test_a21_only_text_that_cannot_be_read_is_looked_for(connection: Connection) -> None:
    accept(connection, "ant@example.net")
    connection.execute("DROP INDEX entries_waiting")
    connection.execute("ALTER TABLE messages RENAME COLUMN ret TO gone")
    with pytest.raises(OperationalError, match="no such column"):
        claim(connection)


def test_a21_octets_that_are_no_text_are_shown_replaced(connection: Connection) -> None:
    accept(connection, "ant@example.net")
    connection.execute("UPDATE entries SET recipient = CAST(x'616eff40' AS TEXT)")
    assert claim(connection) == []
    [entry] = queue.list_entries(connection, limit=9)
    assert (entry.recipient, entry.state, entry.why) == ("an\ufffd@", "held", "damaged")


def test_a21_an_operator_releases_what_was_mended(connection: Connection) -> None:
    accept(connection, "ant@example.net")
    connection.execute("UPDATE messages SET unsubscribe = '{'")
    assert claim(connection) == []
    assert queue.release(connection, Selection(is_all=True), now=NOW) == 1
    assert claim(connection) == []
    connection.execute("UPDATE messages SET unsubscribe = NULL")
    assert queue.release(connection, Selection(is_all=True), now=NOW) == 1
    assert [entry.recipient for entry in claim(connection)] == ["ant@example.net"]


@pytest.mark.parametrize(
    ("wish", "state", "why"), [(None, 2, "damaged"), (2, 2, "damaged"), (13, 13, "")]
)
def test_a21_a_body_that_is_damaged_is_held_unless_it_was_canceled(
    connection: Connection, wish: int | None, state: int, why: str
) -> None:
    accept(connection, "ant@example.net")
    [entry] = claim(connection)
    connection.execute("UPDATE entries SET wish = ?, wished_at = 0", (wish,))
    outcome = Unreachable(Stage.DAMAGED, "the body of the message is missing")
    attempt = Attempt(outcome, PEER, NOW, NOW + timedelta(seconds=1))
    queue.settle(connection, [queue.Settlement(entry.id, 1, Quarantined(), attempt)])
    found = connection.execute("SELECT state, why, reply FROM entries").fetchone()
    assert found == (state, why, "the body of the message is missing")
    last = events.of_message(connection, 1)[-1]
    assert last.kind is (EventKind.CANCELED if wish == 13 else EventKind.DEFERRED)
    assert last.data["why"] == "damaged"
