from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.event import EventKind
from storage import events, webhooks
from storage.database import Connection
from storage.webhooks import Retry, WebhookRecord
from tests.storage.builders import LATER, NOW, accept


def create(connection: Connection, webhook_id: str = "wh_1") -> WebhookRecord:
    return webhooks.create(
        connection,
        tenant_id=1,
        webhook_id=webhook_id,
        url="https://app.example/hook",
        kinds=[EventKind.BOUNCED, EventKind.EXPIRED],
        secret="whsec_c2VjcmV0",
        description="bounces",
        now=NOW,
    )


def test_what_is_created_is_found(connection: Connection) -> None:
    accept(connection)
    record = create(connection)
    assert record.cursor == events.last_seq(connection) == 1  # not what happened before
    assert record.kinds == (EventKind.BOUNCED, EventKind.EXPIRED)
    assert webhooks.get(connection, "wh_1") == record
    assert webhooks.get(connection, "wh_1", tenant_id=1) == record
    assert webhooks.get(connection, "wh_1", tenant_id=2) is None
    assert webhooks.list_(connection) == webhooks.list_(connection, tenant_id=1) == [record]
    assert webhooks.list_(connection, tenant_id=2) == []
    assert webhooks.enabled(connection) == [record]
    assert "c2VjcmV0" not in repr(record)


def test_all_kinds(connection: Connection) -> None:
    record = webhooks.create(
        connection,
        tenant_id=1,
        webhook_id="wh_1",
        url="https://app.example/",
        kinds=None,
        secret="s",
        description="",
        now=NOW,
    )
    assert record.kinds is None
    assert webhooks.get(connection, "wh_1") == record


def test_the_cursor_only_goes_forward(connection: Connection) -> None:
    create(connection)
    webhooks.advance(connection, "wh_1", 7)
    webhooks.advance(connection, "wh_1", 5)
    [record] = webhooks.enabled(connection)
    assert record.cursor == 7


def test_retries_by_when_they_are_due(connection: Connection) -> None:
    create(connection)
    late = Retry("wh_1", 1, 3, LATER, None, "connection refused")
    soon = Retry("wh_1", 2, 1, NOW, 503)
    assert webhooks.next_retry(connection) is None
    webhooks.record_failure(connection, late)
    webhooks.record_failure(connection, soon)
    assert webhooks.next_retry(connection) == NOW
    assert webhooks.due_retries(connection, NOW, limit=9) == [soon]
    assert webhooks.due_retries(connection, LATER, limit=9) == [soon, late]
    assert webhooks.due_retries(connection, LATER, limit=1) == [soon]
    assert webhooks.retries(connection, "wh_1", limit=9) == [late, soon]


def test_failing_again_replaces_the_retry(connection: Connection) -> None:
    create(connection)
    webhooks.record_failure(connection, Retry("wh_1", 1, 1, NOW, 503))
    again = Retry("wh_1", 1, 2, LATER, None, "timed out")
    webhooks.record_failure(connection, again)
    assert webhooks.retries(connection, "wh_1", limit=9) == [again]
    webhooks.forget_retry(connection, "wh_1", 1)
    assert webhooks.retries(connection, "wh_1", limit=9) == []


def test_deleting_takes_the_retries_along(connection: Connection) -> None:
    create(connection)
    webhooks.record_failure(connection, Retry("wh_1", 1, 1, NOW))
    assert not webhooks.delete(connection, "wh_1", tenant_id=2)
    assert webhooks.delete(connection, "wh_1", tenant_id=1)
    assert not webhooks.delete(connection, "wh_1")
    assert webhooks.next_retry(connection) is None
    webhooks.record_failure(connection, Retry("wh_1", 2, 1, NOW))  # a post was still under way
    assert webhooks.next_retry(connection) is None


@pytest.mark.parametrize("is_again", [False, True])
def test_a_disabled_endpoint_rests(connection: Connection, is_again: bool) -> None:
    create(connection)
    webhooks.record_failure(connection, Retry("wh_1", 1, 1, NOW))
    webhooks.set_disabled(connection, "wh_1", NOW + timedelta(seconds=1))
    if is_again:
        webhooks.set_disabled(connection, "wh_1", None)
    assert len(webhooks.enabled(connection)) == is_again
    assert len(webhooks.due_retries(connection, NOW, limit=9)) == is_again
    assert webhooks.next_retry(connection) == (NOW if is_again else None)
