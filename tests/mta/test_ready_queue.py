"""Order, merging and splitting of deliveries."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mta.core.envelope import Priority
from mta.core.message import Message
from mta.ready_queue import ReadyQueue
from storage.queue import QueuedEntry, QueuedMessage

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BULK = Priority.BULK


def message(number: int) -> QueuedMessage:
    body = Message(b"", None, 0, 0, b"", False)
    return QueuedMessage(number, f"em_{number}", 1, "", "", "", body, False, "", NOW)


def entries(
    *names: str, priority: Priority = Priority.TRANSACTIONAL, domain: str = "x.test"
) -> list[QueuedEntry]:
    return [
        QueuedEntry(number, f"{name}@{domain}", domain, "", "", priority, 0, NOW)
        for number, name in enumerate(names)
    ]


def taken(queue: ReadyQueue) -> list[str]:
    return [
        "+".join(each.recipient.partition("@")[0] for each in delivery.entries)
        for delivery in queue.drain()
    ]


def test_first_in_first_out_within_a_priority() -> None:
    queue = ReadyQueue(100)
    queue.put(message(1), entries("bulk1", priority=BULK), NOW)
    queue.put(message(2), entries("urgent1"), NOW)
    queue.put(message(3), entries("bulk2", priority=BULK), NOW)
    queue.put(message(4), entries("urgent2"), NOW)
    assert len(queue) == 4
    assert taken(queue) == ["urgent1", "urgent2", "bulk1", "bulk2"]
    assert len(queue) == 0
    assert queue.take() is None


def test_entries_of_one_message_share_a_delivery() -> None:
    queue = ReadyQueue(100)
    queue.put(message(1), entries("a", "b"), NOW)
    queue.put(message(2), entries("c"), NOW)
    queue.put(message(1), entries("d", domain="y.test"), NOW)
    assert taken(queue) == ["a+b+d", "c"]


def test_a_delivery_that_was_taken_gets_no_more_entries() -> None:
    queue = ReadyQueue(100)
    queue.put(message(1), entries("a"), NOW)
    queue.take()
    queue.put(message(1), entries("b"), NOW)
    assert taken(queue) == ["b"]


def test_deliveries_are_no_larger_than_a_transaction() -> None:
    queue = ReadyQueue(2)
    queue.put(message(1), entries("a", "b", "c"), NOW)
    queue.put(message(1), entries("d"), NOW)
    queue.put(message(1), entries("e"), NOW)
    assert taken(queue) == ["a+b", "c+d", "e"]


def test_what_is_put_back_comes_first_in_its_lane() -> None:
    queue = ReadyQueue(100)
    queue.put(message(1), entries("a"), NOW)
    queue.put(message(2), entries("b"), NOW)
    delivery = queue.take()
    assert delivery is not None
    queue.put_back(delivery)
    queue.put(message(3), entries("c", priority=BULK), NOW)
    assert taken(queue) == ["a", "b", "c"]


def test_the_oldest_delivery_counts_whatever_its_priority() -> None:
    queue = ReadyQueue(100)
    assert queue.oldest_at is None
    queue.put(message(1), entries("a", priority=BULK), NOW)
    queue.put(message(2), entries("b"), NOW + timedelta(seconds=1))
    assert queue.oldest_at == NOW


def test_mail_of_campaigns_is_withdrawn_and_the_rest_stays_in_order() -> None:
    queue = ReadyQueue(100)
    for number, campaign in enumerate((7, None, 7, 8), 1):
        one = replace(message(number), campaign=campaign)
        queue.put(one, entries(f"a{number}", priority=BULK), NOW)
    withdrawn = queue.withdraw({7, 9})
    assert [one.message.id for one in withdrawn] == [1, 3]
    queue.put(replace(message(1), campaign=7), entries("again"), NOW)
    assert taken(queue) == ["again", "a2", "a4"]
