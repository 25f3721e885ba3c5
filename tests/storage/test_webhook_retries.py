"""Rows that stand for what is to be posted later."""

from __future__ import annotations

import pytest

from storage import webhook_retries
from storage.database import Connection
from storage.webhook_retries import Retry
from tests.storage.builders import LATER, NOW
from tests.storage.test_webhooks import create

LATE = Retry("wh_1", 1, 3, LATER, 7)
SOON = Retry("wh_1", 2, 1, NOW)


@pytest.fixture
def connection(connection: Connection) -> Connection:
    create(connection)
    create(connection, "wh_2")
    for retry in (LATE, SOON, Retry("wh_2", 1, 1, NOW, 8)):
        webhook_retries.keep(connection, retry)
    return connection


def test_rows_by_when_they_are_due(connection: Connection) -> None:
    assert webhook_retries.due(connection, "wh_1", NOW, limit=9) == [SOON]
    assert webhook_retries.due(connection, "wh_1", LATER, limit=9) == [SOON, LATE]
    assert webhook_retries.due(connection, "wh_1", LATER, limit=1) == [SOON]
    assert webhook_retries.next_due(connection, "wh_1", after=NOW) == LATER
    assert webhook_retries.next_due(connection, "wh_1", after=LATER) is None
    assert webhook_retries.oldest(connection, "wh_1", limit=9) == [LATE, SOON]
    assert webhook_retries.count(connection, "wh_1") == 2


def test_keeping_again_replaces_the_row(connection: Connection) -> None:
    again = Retry("wh_1", 2, 2, LATER, 9)
    webhook_retries.keep(connection, again)
    assert webhook_retries.oldest(connection, "wh_1", limit=9) == [LATE, again]
    webhook_retries.forget(connection, "wh_1", [1, 2, 99])
    assert webhook_retries.count(connection, "wh_1") == 0
    assert webhook_retries.count(connection, "wh_2") == 1


def test_messages_that_wait(connection: Connection) -> None:
    assert webhook_retries.waiting_messages(connection, "wh_1", [6, 7, 8]) == {7}
    assert webhook_retries.waiting_messages(connection, "wh_1", []) == set()


@pytest.mark.parametrize(
    ("seq", "message", "holder"),
    [
        (1, 7, LATE),
        (5, 7, LATE),  # behind it
        (0, 7, None),  # before it
        (5, 8, None),
        (2, 8, SOON),
        (5, None, None),
    ],
)
def test_what_an_event_waits_for(
    connection: Connection, seq: int, message: int | None, holder: Retry | None
) -> None:
    assert webhook_retries.holder(connection, "wh_1", seq, message) == holder
