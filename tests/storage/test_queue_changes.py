"""Large changes of the queue: what they are about, and what is kept of them."""

from __future__ import annotations

import pytest

from storage import queue, queue_changes
from storage.database import Connection
from storage.operators import Selection
from storage.queue_changes import STEP, Operation, QueueChange
from tests.storage.builders import LATER, NOW, accept, claim

EVERYTHING = Selection(is_all=True)


@pytest.mark.parametrize(
    "selection",
    [
        EVERYTHING,
        Selection(ids=("dl_1", "em_2")),
        Selection(domain="example.net", tag=("campaign", "x"), site="mx1.test,mx2.test"),
    ],
)
@pytest.mark.parametrize("tenant_id", [None, 7])
def test_a_change_is_kept_until_it_is_done(
    connection: Connection, selection: Selection, tenant_id: int | None
) -> None:
    change = QueueChange(Operation.CANCEL, selection, NOW, tenant_id)
    row = queue_changes.begin(connection, change)
    assert queue_changes.unfinished(connection) == [(row, change)]
    queue_changes.end(connection, row)
    assert queue_changes.unfinished(connection) == []


def test_it_is_about_what_is_open_and_meant(connection: Connection) -> None:
    accept(connection, "ant@example.net", "bee@example.org")
    assert len(claim(connection)) == 1
    queue.hold(connection, Selection(domain="example.org"), now=NOW)
    accept(connection, "elk@example.net")
    queue.cancel(connection, Selection(domain="example.net"), now=NOW)

    def found(selection: Selection, tenant_id: int | None = None) -> list[int]:
        change = QueueChange(Operation.HOLD, selection, NOW, tenant_id)
        return sorted(queue_changes.entries(connection, change))

    assert found(EVERYTHING) == [1, 2]
    assert found(Selection(domain="example.org")) == [2]
    assert found(EVERYTHING, tenant_id=2) == []
    assert found(Selection()) == []


def test_what_is_taken_up_later_is_not_about_newer_mail(connection: Connection) -> None:
    accept(connection, "ant@example.net")
    change = QueueChange(Operation.CANCEL, EVERYTHING, NOW)
    accept(connection, "bee@example.net", at=LATER)
    assert sorted(queue_changes.entries(connection, change)) == [1, 2]
    assert sorted(queue_changes.entries_left(connection, change)) == [1]


def test_steps_take_all_of_it_once(connection: Connection) -> None:
    accept(connection, *(f"user{number}@example.net" for number in range(STEP + 10)))
    change = QueueChange(Operation.HOLD, EVERYTHING, NOW)
    rows = queue_changes.entries(connection, change)
    counts = [queue_changes.apply(connection, change, some) for some in queue_changes.steps(rows)]
    assert counts == [STEP, 10]
    again = [queue_changes.apply(connection, change, some) for some in queue_changes.steps(rows)]
    assert again == [0, 0]
    assert (
        queue_changes.apply(connection, QueueChange(Operation.RELEASE, EVERYTHING, NOW))
        == STEP + 10
    )
