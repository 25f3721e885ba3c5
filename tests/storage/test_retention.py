from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mta.core.event import EventKind
from storage import events, message_lists, messages, queue, retention, webhook_retries, webhooks
from storage.database import Connection
from storage.message_lists import EmailFilter
from storage.retention import Pruned
from storage.webhook_retries import Retry
from tests.storage import builders
from tests.storage.builders import NOW, accept, claim, settle_all

DAY = timedelta(days=1)
NEVER = NOW - 365 * DAY


def deliver(connection: Connection, *recipients: str, **changes: object) -> str:
    accepted = accept(connection, *recipients, **changes)
    settle_all(connection, claim(connection))
    return accepted.public_id


def prune(
    connection: Connection, bodies: datetime = NEVER, history: datetime = NEVER, limit: int = 100
) -> Pruned:
    return retention.prune(connection, bodies_before=bodies, events_before=history, limit=limit)


def count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608


def add_webhook(connection: Connection) -> None:
    webhooks.create(
        connection,
        tenant_id=1,
        webhook_id="wh_1",
        url="https://app.example/",
        kinds=None,
        secret="s",
        description="",
        now=NOW,
    )


def test_bodies_of_settled_messages_go_first(connection: Connection) -> None:
    done = deliver(connection, "a@example.net")
    waiting = accept(connection, "b@example.net").public_id
    assert prune(connection, bodies=NOW).is_empty
    assert prune(connection, bodies=NOW + DAY) == Pruned(1, 0, 0, ())
    assert prune(connection, bodies=NOW + DAY).is_empty
    for email_id, has_body in ((done, False), (waiting, True)):
        email = messages.get(connection, 1, email_id)
        assert email is not None
        assert email.has_body is has_body
    assert count(connection, "bodies") == 1
    assert count(connection, "events") == 3


def test_spool_files_to_remove_are_told(connection: Connection) -> None:
    spooled = replace(builders.message(), data=None, file="a" * 32)
    deliver(connection, message=spooled)
    assert retention.files_in_use(connection, ["a" * 32, "b" * 32]) == {"a" * 32}
    assert prune(connection, bodies=NOW + DAY).files == ("a" * 32,)
    assert retention.files_in_use(connection, ["a" * 32, "b" * 32]) == set()


def test_with_its_last_event_a_message_goes_altogether(connection: Connection) -> None:
    spooled = replace(builders.message(), data=None, file="a" * 32)
    deliver(connection, "a@example.net", "b@example.net", message=spooled, tags=(("x", "y"),))
    assert prune(connection, history=NOW + DAY) == Pruned(0, 4, 1, ("a" * 32,))
    for table in ("messages", "bodies", "entries", "events", "message_tags"):
        assert count(connection, table) == 0
    assert prune(connection, history=NOW + DAY).is_empty


def test_a_message_that_waits_outlives_its_events(connection: Connection) -> None:
    email_id = accept(connection, "a@example.net").public_id
    assert prune(connection, history=NOW + DAY) == Pruned(0, 1, 0, ())
    assert messages.get(connection, 1, email_id) is not None
    settle_all(connection, claim(connection))
    assert prune(connection, history=NOW + DAY) == Pruned(0, 1, 1, ())
    assert messages.get(connection, 1, email_id) is None


def test_small_steps(connection: Connection) -> None:
    for number in range(5):
        deliver(connection, f"u{number}@example.net")
    steps = []
    while not (step := prune(connection, NOW + DAY, NOW + DAY, limit=3)).is_empty:
        steps.append((step.bodies, step.events, step.messages))
    assert sum(events_ for _, events_, _ in steps) == 10
    assert max(max(step) for step in steps) == 3
    assert count(connection, "messages") == count(connection, "bodies") == 0


def test_the_newest_events_stay(connection: Connection) -> None:
    deliver(connection, "old@example.net")
    accept(connection, "new@example.net", at=NOW + 2 * DAY)
    assert prune(connection, history=NOW + DAY) == Pruned(0, 2, 1, ())
    assert [event.kind for event in events.read(connection, after=0, limit=9)] == [EventKind.QUEUED]


def test_events_wait_for_every_webhook(connection: Connection) -> None:
    add_webhook(connection)
    deliver(connection, "a@example.net")
    assert prune(connection, history=NOW + DAY).is_empty
    webhooks.advance(connection, "wh_1", 1)
    assert prune(connection, history=NOW + DAY) == Pruned(0, 1, 0, ())
    webhook_retries.keep(connection, Retry("wh_1", 2, 1, NOW))
    webhooks.advance(connection, "wh_1", 2)
    assert prune(connection, history=NOW + DAY).is_empty
    webhook_retries.forget(connection, "wh_1", [2])
    assert prune(connection, history=NOW + DAY) == Pruned(0, 1, 1, ())


@pytest.mark.parametrize("has_retry", [True, False])
def test_a_disabled_webhook_holds_nothing_back(connection: Connection, has_retry: bool) -> None:
    add_webhook(connection)
    deliver(connection, "a@example.net")
    if has_retry:
        webhook_retries.keep(connection, Retry("wh_1", 1, 1, NOW))
    webhooks.disable(connection, "wh_1", NOW, "gone")
    assert prune(connection, history=NOW + DAY) == Pruned(0, 2, 1, ())


def test_pruned_numbers_are_not_used_again(connection: Connection) -> None:
    deliver(connection, "a@example.net")
    last = queue.last_entry_id(connection)
    prune(connection, history=NOW + DAY)
    deliver(connection, "a@example.net")
    assert queue.last_entry_id(connection) == last + 1


def test_lists_do_not_show_what_is_gone(connection: Connection) -> None:
    deliver(connection, "a@example.net", tags=(("x", "y"),))
    prune(connection, history=NOW + DAY)
    for filters in (EmailFilter(), EmailFilter(tag="x", tag_value="y"), EmailFilter(tag="x")):
        assert message_lists.page(connection, 1, filters, limit=9).emails == ()
