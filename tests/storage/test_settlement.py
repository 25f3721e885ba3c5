from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import Deferred, Why
from mta.core.event import EventKind
from mta.core.outcome import Ambiguous, Attempt, Peer
from storage import events, message_lists, queue
from storage.database import Connection
from storage.messages import EmailView
from storage.queue import Selection
from tests.storage import builders
from tests.storage.builders import LATER, NOW, accept, claim, settle_all, settlement

ENDED = NOW + timedelta(milliseconds=1500)


def view(connection: Connection) -> EmailView:
    [email] = message_lists.page(connection, 1, limit=2).emails
    return email


@pytest.mark.parametrize(
    ("result", "kind", "data"),
    [
        (
            "delivered",
            EventKind.DELIVERED,
            {"code": 250, "enhanced": "2.0.0", "text": "queued as 1", "command": "end_of_data"},
        ),
        (
            "bounced",
            EventKind.BOUNCED,
            {
                "code": 550,
                "enhanced": "5.1.1",
                "text": "no such user",
                "command": "rcpt",
                "class": "bad_mailbox",
            },
        ),
        (
            "deferred",
            EventKind.DEFERRED,
            {
                "code": 451,
                "enhanced": "4.7.1",
                "text": "try later",
                "command": "rcpt",
                "class": "greylist",
                "why": "reply",
                "due_at": "2026-03-01T12:05:00.000+00:00",
            },
        ),
        (
            "expired",
            EventKind.EXPIRED,
            {
                "text": "connection refused",
                "stage": "connect",
                "class": "network",
                "why": "unreachable",
            },
        ),
    ],
)
def test_one_event_tells_the_attempt(
    connection: Connection, result: str, kind: EventKind, data: dict[str, object]
) -> None:
    accept(connection)
    settle_all(connection, claim(connection), result)
    _, event = events.of_message(connection, 1)
    assert (event.kind, event.at) == (kind, ENDED)
    assert event.data == {
        "attempt": 1,
        "host": "mx.example.net",
        "address": "192.0.2.25",
        "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "started_at": "2026-03-01T12:00:00.000+00:00",
        "duration_ms": 1500,
        **data,
    }


def test_a_lost_connection_without_a_peer_says_only_what_is_known(connection: Connection) -> None:
    accept(connection)
    [entry] = claim(connection)
    attempt = Attempt(Ambiguous("connection lost"), Peer(), NOW, NOW)
    deferred = Deferred(LATER, Why.AMBIGUOUS, BounceClass.NETWORK)
    queue.settle(connection, [queue.Settlement(entry.id, 1, deferred, attempt)])
    _, event = events.of_message(connection, 1)
    assert event.data == {
        "attempt": 1,
        "text": "connection lost",
        "command": "end_of_data",
        "started_at": "2026-03-01T12:00:00.000+00:00",
        "duration_ms": 0,
        "due_at": "2026-03-01T12:05:00.000+00:00",
        "why": "ambiguous",
        "class": "network",
    }


@pytest.mark.parametrize(
    ("result", "code", "reply", "bounce_class"),
    [
        ("delivered", 250, "queued as 1", ""),
        ("bounced", 550, "no such user", "bad_mailbox"),
        ("expired", None, "connection refused", "network"),
    ],
)
def test_a_final_entry_settles_its_message(
    connection: Connection, result: str, code: int | None, reply: str, bounce_class: str
) -> None:
    accept(connection)
    settle_all(connection, claim(connection), result)
    email = view(connection)
    assert (email.status, email.settled_at) == (result, ENDED)
    [recipient] = email.recipients
    assert (recipient.status, recipient.attempts, recipient.due_at) == (result, 1, None)
    assert (recipient.code, recipient.reply, recipient.bounce_class) == (code, reply, bounce_class)
    assert recipient.host == "mx.example.net"
    assert claim(connection, at=NOW + timedelta(days=9)) == []


def test_a_deferred_entry_waits_again(connection: Connection) -> None:
    accept(connection)
    settle_all(connection, claim(connection), "deferred")
    email = view(connection)
    assert (email.status, email.settled_at) == ("deferred", None)
    [recipient] = email.recipients
    assert (recipient.status, recipient.due_at, recipient.why) == ("waiting", LATER, "reply")
    assert (recipient.code, recipient.enhanced, recipient.reply) == (451, "4.7.1", "try later")
    assert claim(connection) == []
    [again] = claim(connection, at=LATER)
    assert (again.attempts, again.eligible_at) == (1, NOW)
    settle_all(connection, [again])
    assert view(connection).status == "delivered"
    assert view(connection).recipients[0].attempts == 2


@pytest.mark.parametrize(
    ("results", "status"),
    [
        (["delivered", "delivered"], "delivered"),
        (["delivered", "bounced"], "partial"),
        (["delivered", "expired"], "partial"),
        (["expired", "bounced"], "bounced"),
        (["expired", "expired"], "expired"),
        (["delivered", "deferred"], "deferred"),
    ],
)
@pytest.mark.parametrize("is_together", [True, False])
def test_the_status_of_several_recipients(
    connection: Connection, results: list[str], status: str, is_together: bool
) -> None:
    accept(connection, "a@example.net", "b@example.net")
    pairs = zip(claim(connection), results, strict=True)
    settlements = [settlement(entry, result) for entry, result in pairs]
    if is_together:
        queue.settle(connection, settlements)
    else:
        for one in settlements:
            queue.settle(connection, [one])
    email = view(connection)
    assert email.status == status
    assert (email.settled_at is None) == (status == "deferred")
    assert len(events.of_message(connection, 1)) == 4


def test_a_message_in_progress_keeps_its_status(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.org")
    settle_all(connection, claim(connection))
    assert view(connection).status == "queued"
    assert view(connection).settled_at is None


def test_many_messages_in_one_call(connection: Connection) -> None:
    for number in range(30):
        accept(connection, f"a{number}@example.net", f"b{number}@example.net")
    settle_all(connection, claim(connection))
    emails = message_lists.page(connection, 1, limit=100).emails
    assert {email.status for email in emails} == {"delivered"}
    assert events.last_seq(connection) == 120


def test_what_is_final_stays_as_it_is(connection: Connection) -> None:
    accept(connection)
    entries = claim(connection)
    settle_all(connection, entries, "delivered")
    settle_all(connection, entries, "bounced")
    assert view(connection).status == "delivered"
    assert len(events.of_message(connection, 1)) == 2


def test_a_success_counts_even_when_the_claim_was_freed(connection: Connection) -> None:
    accept(connection)
    entries = claim(connection)
    queue.free_claims(connection, NOW)
    settle_all(connection, entries, "delivered")
    assert view(connection).status == "delivered"
    assert claim(connection) == []


def test_a_wish_to_hold_is_honoured_when_it_is_deferred(connection: Connection) -> None:
    accept(connection)
    entries = claim(connection)
    assert queue.hold(connection, Selection(domain="example.net"), now=NOW) == 1
    settle_all(connection, entries, "deferred")
    [recipient] = view(connection).recipients
    assert (recipient.status, recipient.why, recipient.reply) == ("held", "held", "try later")
    event = events.of_message(connection, 1)[-1]
    assert event.kind is EventKind.DEFERRED
    assert "due_at" not in event.data
    assert claim(connection, at=LATER) == []


def test_a_wish_to_cancel_is_honoured_when_it_is_deferred(connection: Connection) -> None:
    accept(connection)
    entries = claim(connection)
    queue.cancel(connection, Selection(domain="example.net"), now=NOW)
    settle_all(connection, entries, "deferred")
    email = view(connection)
    assert (email.status, email.settled_at) == ("canceled", ENDED)
    assert email.recipients[0].why == ""
    event = events.of_message(connection, 1)[-1]
    assert (event.kind, event.data["text"]) == (EventKind.CANCELED, "try later")


@pytest.mark.parametrize("result", ["delivered", "bounced", "expired"])
def test_a_wish_comes_too_late_for_what_is_final(connection: Connection, result: str) -> None:
    accept(connection)
    entries = claim(connection)
    queue.cancel(connection, Selection(domain="example.net"), now=NOW)
    settle_all(connection, entries, result)
    assert view(connection).status == result


def test_nothing_to_settle(connection: Connection) -> None:
    queue.settle(connection, [])
    assert builders.claim(connection) == []
