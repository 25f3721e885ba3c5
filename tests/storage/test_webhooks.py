"""Endpoints: what is stored of them, and who may see it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mta.core.event import EventKind
from storage import events, webhook_retries, webhooks
from storage.database import Connection
from storage.webhook_retries import Retry
from storage.webhooks import Health, WebhookRecord
from tests.storage.builders import LATER, NOW, accept


def create(
    connection: Connection,
    webhook_id: str = "wh_1",
    kinds: tuple[EventKind, ...] | None = (EventKind.BOUNCED, EventKind.EXPIRED),
) -> WebhookRecord:
    return webhooks.create(
        connection,
        tenant_id=1,
        webhook_id=webhook_id,
        url="https://app.example/hook?token=geheim",
        kinds=kinds,
        secret="whsec_c2VjcmV0",
        description="bounces",
        now=NOW,
    )


def found(connection: Connection) -> WebhookRecord:
    record = webhooks.get(connection, "wh_1")
    assert record is not None
    return record


def test_what_is_created_is_found(connection: Connection) -> None:
    accept(connection)
    record = create(connection)
    assert record.cursor == events.last_seq(connection) == 1  # not what happened before
    assert record.kinds == (EventKind.BOUNCED, EventKind.EXPIRED)
    assert (record.format, record.disabled_for, record.dropped) == ("native", "", 0)
    assert record.health == Health()
    assert webhooks.get(connection, "wh_1") == record
    assert webhooks.get(connection, "wh_1", tenant_id=1) == record
    assert webhooks.get(connection, "wh_1", tenant_id=2) is None
    assert webhooks.list_(connection) == webhooks.list_(connection, tenant_id=1) == [record]
    assert webhooks.list_(connection, tenant_id=2) == []
    assert webhooks.enabled(connection) == [record]


def test_k08_secrets_do_not_get_into_logs(connection: Connection) -> None:
    shown = repr(create(connection))
    assert "c2VjcmV0" not in shown
    assert "geheim" not in shown


def test_all_kinds(connection: Connection) -> None:
    assert create(connection, kinds=None).kinds is None


def test_the_cursor_only_goes_forward(connection: Connection) -> None:
    create(connection)
    webhooks.advance(connection, "wh_1", 7)
    webhooks.advance(connection, "wh_1", 5, dropped=3)
    assert (found(connection).cursor, found(connection).dropped) == (7, 3)


def test_changes_are_seen_by_the_sender(connection: Connection) -> None:
    record = create(connection)
    wish = replace(record, url="https://b.example/", kinds=None, description="all")
    changed = webhooks.change(connection, wish)
    assert changed == replace(wish, revision=record.revision + 1)
    webhooks.touch(connection, "wh_1")
    assert found(connection).revision == record.revision + 2


def test_two_secrets_at_most(connection: Connection) -> None:
    create(connection)
    record = webhooks.rotate(connection, "wh_1", "whsec_two", old_until=LATER)
    assert record.secrets(NOW) == ("whsec_two", "whsec_c2VjcmV0")
    assert record.secrets(LATER) == ("whsec_two",)
    record = webhooks.rotate(connection, "wh_1", "whsec_three", old_until=LATER)
    assert record.secrets(NOW) == ("whsec_three", "whsec_two")


def test_deleting_takes_the_retries_along(connection: Connection) -> None:
    create(connection)
    webhook_retries.keep(connection, Retry("wh_1", 1, 1, NOW))
    assert not webhooks.delete(connection, "wh_1", tenant_id=2)
    assert webhooks.delete(connection, "wh_1", tenant_id=1)
    assert not webhooks.delete(connection, "wh_1")
    webhook_retries.keep(connection, Retry("wh_1", 2, 1, NOW))  # a post was still under way
    assert webhook_retries.count(connection, "wh_1") == 0


def test_a_disabled_endpoint_rests(connection: Connection) -> None:
    create(connection)
    assert webhooks.disable(connection, "wh_1", LATER, "gone")
    assert not webhooks.disable(connection, "wh_1", LATER + timedelta(hours=1), "failing")
    assert webhooks.enabled(connection) == []
    assert (found(connection).disabled_at, found(connection).disabled_for) == (LATER, "gone")


def test_enabling_forgets_the_failures(connection: Connection) -> None:
    create(connection)
    webhooks.note_health(connection, "wh_1", Health(NOW, LATER, LATER))
    assert found(connection).health == Health(NOW, LATER, LATER)
    assert not webhooks.enable(connection, "wh_1")
    webhooks.disable(connection, "wh_1", LATER, "failing")
    assert webhooks.enable(connection, "wh_1")
    assert found(connection).health == Health()
    assert found(connection).disabled_for == ""


def test_what_is_gone_cannot_be_changed(connection: Connection) -> None:
    record = create(connection)
    webhooks.delete(connection, "wh_1")
    with pytest.raises(LookupError):
        webhooks.change(connection, record)
    with pytest.raises(LookupError):
        webhooks.rotate(connection, "wh_1", "s", old_until=LATER)
