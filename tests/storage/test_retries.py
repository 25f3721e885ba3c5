"""Failed recipients tried again, and scheduled mail moved to another time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.event import EventKind
from storage import directives, events, messages, operators, retries, suppressions
from storage.database import Connection
from storage.messages import EmailView
from storage.operators import Selection
from storage.retries import Retried
from tests.storage.builders import LATER, NOW, accept, claim, settle_all

HOUR = timedelta(hours=1)


def view(connection: Connection) -> EmailView:
    [row] = connection.execute("SELECT public_id FROM messages").fetchall()
    found = messages.get(connection, 1, row[0])
    assert found
    return found


def retry(connection: Connection, after: timedelta = timedelta()) -> Retried:
    return retries.retry_failed(connection, 1, 1, at=LATER + after, now=LATER)


@pytest.fixture
def failed(connection: Connection) -> Connection:
    """A message to three, of whom only the first got it."""
    accept(connection, "a@example.net", "b@example.net", "c@example.net")
    entries = claim(connection)
    for entry, result in zip(entries, ("delivered", "bounced", "expired"), strict=True):
        settle_all(connection, [entry], result)
    assert view(connection).status == "partial"
    return connection


def test_only_what_failed_is_tried_again(failed: Connection) -> None:
    assert retry(failed) == Retried(2, 0)
    email = view(failed)
    assert (email.status, email.settled_at) == ("queued", None)
    assert [one.status for one in email.recipients] == ["delivered", "waiting", "waiting"]
    assert [one.attempts for one in email.recipients] == [1, 0, 0]
    written = events.of_message(failed, 1)[-2:]
    assert [(one.kind, one.data) for one in written] == [
        (EventKind.QUEUED, {"retried": "bounced"}),
        (EventKind.QUEUED, {"retried": "expired"}),
    ]
    assert [one.target for one in directives.after(failed, 0)[0]] == ["example.net"]


def test_the_lifetime_begins_again(failed: Connection) -> None:
    retry(failed)
    entries = claim(failed, at=LATER)
    assert {entry.eligible_at for entry in entries} == {LATER}
    settle_all(failed, entries)
    assert view(failed).status == "delivered"
    assert retry(failed) == Retried(0, 0)
    assert view(failed).status == "delivered"


def test_later(failed: Connection) -> None:
    assert retry(failed, after=HOUR) == Retried(2, 0)
    email = view(failed)
    assert email.status == "scheduled"
    assert {one.due_at for one in email.recipients[1:]} == {LATER + HOUR}
    assert claim(failed, at=LATER) == []
    assert len(claim(failed, at=LATER + HOUR)) == 2
    assert events.of_message(failed, 1)[-1].data == {
        "retried": "expired",
        "send_at": (LATER + HOUR).isoformat(timespec="milliseconds"),
    }


def test_who_is_suppressed_meanwhile_is_not_tried(failed: Connection) -> None:
    suppressions.add(
        failed, tenant_id=1, key="b@example.net", address="b", reason="bounce", now=NOW
    )
    assert retry(failed) == Retried(1, 1)
    assert [one.status for one in view(failed).recipients] == ["delivered", "bounced", "waiting"]
    [event] = [one for one in events.of_message(failed, 1) if one.kind is EventKind.SUPPRESSED]
    assert (event.recipient, event.data) == ("b@example.net", {"reason": "bounce"})


def test_when_all_are_suppressed_nothing_changes(connection: Connection) -> None:
    accept(connection, "b@example.net")
    settle_all(connection, claim(connection), "bounced")
    suppressions.add(
        connection, tenant_id=1, key="b@example.net", address="b", reason="bounce", now=NOW
    )
    before, last = view(connection), events.last_seq(connection)
    assert retry(connection) == Retried(0, 1)
    assert (view(connection), events.last_seq(connection)) == (before, last)
    suppressions.remove(connection, tenant_id=1, key="b@example.net", now=NOW)
    assert retry(connection) == Retried(1, 0)


def test_another_time(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.net", send_at=NOW + HOUR)
    at = NOW + 2 * HOUR
    assert retries.reschedule(connection, 1, 1, at=at, now=NOW)
    email = view(connection)
    assert (email.status, email.send_at) == ("scheduled", at)
    assert claim(connection, at=NOW + HOUR) == []
    assert {entry.eligible_at for entry in claim(connection, at=at)} == {at}
    written = events.of_message(connection, 1)[-2:]
    assert {one.kind for one in written} == {EventKind.SCHEDULED}
    assert {one.data["send_at"] for one in written} == {at.isoformat(timespec="milliseconds")}


def test_who_does_not_move_keeps_its_lifetime(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.org", send_at=NOW + HOUR)
    operators.retry_now(connection, Selection(domain="example.org"), now=NOW)
    settle_all(connection, claim(connection, "example.org"), "deferred")
    assert retries.reschedule(connection, 1, 1, at=NOW + 48 * HOUR, now=NOW)
    [tried] = claim(connection, "example.org", at=LATER)
    assert tried.eligible_at == NOW + HOUR


def test_at_once_after_all(connection: Connection) -> None:
    accept(connection, send_at=NOW + HOUR)
    assert retries.reschedule(connection, 1, 1, at=NOW - HOUR, now=NOW)
    assert (view(connection).status, view(connection).send_at) == ("queued", None)
    assert len(claim(connection)) == 1


def test_what_goes_at_once_after_all_has_its_whole_lifetime(connection: Connection) -> None:
    accept(connection, send_at=NOW + 300 * HOUR)
    assert retries.reschedule(connection, 1, 1, at=NOW, now=NOW + 200 * HOUR)
    [entry] = claim(connection, at=NOW + 200 * HOUR)
    assert entry.eligible_at == NOW + 200 * HOUR


def test_what_does_not_wait_for_its_time_cannot_be_moved(connection: Connection) -> None:
    accept(connection)
    assert not retries.reschedule(connection, 1, 1, at=LATER, now=NOW)
    accept(connection, send_at=LATER)
    operators.cancel(connection, Selection(is_all=True), now=NOW)
    assert not retries.reschedule(connection, 1, 2, at=LATER + HOUR, now=NOW)


def test_a_retry_for_later_can_be_moved(failed: Connection) -> None:
    retry(failed, after=HOUR)
    assert retries.reschedule(failed, 1, 1, at=LATER + 2 * HOUR, now=LATER)
    assert claim(failed, at=LATER + HOUR) == []
    entries = claim(failed, at=LATER + 2 * HOUR)
    assert {entry.eligible_at for entry in entries} == {LATER + 2 * HOUR}
