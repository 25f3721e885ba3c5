"""What failures in sessions do to addresses, in the transaction that settles them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mta.core.bounce import HARD, BounceClass
from mta.core.disposition import Bounced, Deferred, Delivered, Disposition, Expired, Why
from mta.core.event import EventKind
from mta.core.findings import Failure
from mta.core.outcome import Accepted, Attempt, Command, Refused
from mta.core.reply import Reply
from mta.core.suppression import SuppressionPolicy
from storage import (
    correlation,
    directives,
    events,
    feedback,
    queue,
    suppressed_entries,
    suppressions,
)
from storage.database import Connection
from storage.entries import EntryState
from storage.suppressions import NewSuppression
from tests.storage import builders
from tests.storage.builders import NOW

POLICY = SuppressionPolicy()
FULL = Bounced(BounceClass.MAILBOX_FULL)


def settle(
    connection: Connection,
    disposition: Disposition,
    at: datetime = NOW,
    *,
    is_hard: bool | None = None,
) -> None:
    """Send a mail and let its attempt end so; is_hard None is what its class says."""
    if is_hard is None:
        is_hard = isinstance(disposition, Bounced) and disposition.bounce_class in HARD
    builders.accept(connection, "ant@example.net", at=at)
    [entry] = builders.claim(connection, at=at)
    settlement = builders.settlement(entry)
    refused = Refused(Reply(550, "5.0.0", "no"), Command.RCPT)
    attempt = Attempt(refused, builders.PEER, at, at)
    queue.settle(
        connection,
        [replace(settlement, disposition=disposition, attempt=attempt, is_hard=is_hard)],
        POLICY,
    )


def deliver(connection: Connection, at: datetime) -> None:
    builders.accept(connection, "ant@example.net", at=at)
    [entry] = builders.claim(connection, at=at)
    attempt = Attempt(Accepted(Reply(250, "", "ok")), builders.PEER, at, at)
    queue.settle(connection, [replace(builders.settlement(entry), attempt=attempt)], POLICY)


def suppressed(connection: Connection, at: datetime = NOW) -> dict[str, str]:
    return suppressions.lookup(connection, 1, ["ant@example.net"], at)


@pytest.mark.parametrize(
    ("disposition", "is_suppressed"),
    [
        (Bounced(BounceClass.BAD_MAILBOX), True),
        (Bounced(BounceClass.IP_REPUTATION), False),
        (Bounced(BounceClass.POLICY), False),
        (Bounced(BounceClass.SPAM_CONTENT), False),
        (Bounced(BounceClass.BAD_DOMAIN), False),  # one alone may be a hiccup
        (FULL, False),
        # Never refused for good: deferred until its time ran out.
        (Expired(Why.REPLY, BounceClass.BAD_MAILBOX), False),
        (Deferred(NOW, Why.REPLY, BounceClass.BAD_MAILBOX), False),
    ],
)
def test_one_failure(connection: Connection, disposition: Disposition, is_suppressed: bool) -> None:
    settle(connection, disposition)
    assert bool(suppressed(connection)) is is_suppressed


def test_a_rule_may_spare_an_address_whose_class_would_not(connection: Connection) -> None:
    settle(connection, Bounced(BounceClass.BAD_MAILBOX), is_hard=False)
    assert not suppressed(connection)


def test_the_suppression_names_event_and_email(connection: Connection) -> None:
    settle(connection, Bounced(BounceClass.BAD_MAILBOX))
    record = suppressions.get(connection, 1, "ant@example.net", now=NOW)
    journal = events.read(connection, after=0, limit=9)
    [bounced] = [event for event in journal if event.kind is EventKind.BOUNCED]
    assert record is not None
    assert record.cause == suppressions.Cause("bad_mailbox", bounced.id, bounced.email_id)


def days(number: float) -> datetime:
    return NOW + timedelta(days=number)


def test_repeated_failures_suppress_and_a_delivery_forgets_them(connection: Connection) -> None:
    for at in (0, 2):
        settle(connection, FULL, days(at))
    deliver(connection, days(3))
    assert not feedback.has_failures(connection)
    for at in (4, 6):
        settle(connection, FULL, days(at))
        assert not suppressed(connection, days(at))
    settle(connection, FULL, days(6.1))  # the same afternoon
    assert not suppressed(connection, days(7))
    settle(connection, FULL, days(8))
    assert suppressed(connection, days(9))
    assert not suppressed(connection, days(39))


def test_without_a_policy_nothing_happens(connection: Connection) -> None:
    builders.accept(connection)
    builders.settle_all(connection, builders.claim(connection), "bounced")
    assert not suppressed(connection)


def test_old_failures_are_forgotten(connection: Connection) -> None:
    settle(connection, FULL)
    assert feedback.forget_failures(connection, days(100), limit=9) == 0
    assert feedback.forget_failures(connection, days(500), limit=9) == 1


def test_l08_what_waits_for_a_suppressed_address_is_not_sent(connection: Connection) -> None:
    builders.accept(connection, "ant@example.net", "bee@example.net", at=NOW + timedelta(hours=1))
    builders.accept(connection, "ant@example.net", tenant_id=2, at=NOW + timedelta(hours=1))
    settle(connection, Bounced(BounceClass.BAD_MAILBOX))
    rows = connection.execute(
        "SELECT tenant_id, recipient, state FROM entries ORDER BY id"
    ).fetchall()
    assert rows == [
        (1, "ant@example.net", EntryState.SUPPRESSED),
        (1, "bee@example.net", EntryState.WAITING),
        (2, "ant@example.net", EntryState.WAITING),
        (1, "ant@example.net", EntryState.BOUNCED),
    ]
    pending = connection.execute("SELECT status, pending FROM messages ORDER BY id").fetchall()
    assert pending == [("queued", 1), ("queued", 1), ("bounced", 0)]
    kinds = [event.kind for event in events.read(connection, after=0, limit=20)]
    assert kinds.count(EventKind.SUPPRESSED) == 1


ANT = NewSuppression("ant@example.net", "ant@example.net", "complaint")


def suppress_while_claimed(connection: Connection) -> queue.QueuedEntry:
    builders.accept(connection, "ant@example.net")
    [entry] = builders.claim(connection)
    suppressed_entries.add_and_settle(connection, 1, [ANT], now=NOW)
    return entry


def fate(connection: Connection) -> tuple[EntryState, str, list[EventKind]]:
    state, status = connection.execute(
        "SELECT e.state, m.status FROM entries e JOIN messages m ON m.id = e.message_id"
    ).fetchone()
    kinds = [event.kind for event in events.read(connection, after=0, limit=20)]
    return EntryState(state), status, kinds[1:]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (
            "deferred",
            (
                EntryState.SUPPRESSED,
                "suppressed",
                [EventKind.SUPPRESSION_ADDED, EventKind.DEFERRED, EventKind.SUPPRESSED],
            ),
        ),
        (
            "delivered",
            (
                EntryState.DELIVERED,
                "delivered",
                [EventKind.SUPPRESSION_ADDED, EventKind.DELIVERED],
            ),
        ),
    ],
)
def test_l08_what_is_being_tried_when_its_address_is_suppressed_is_not_tried_again(
    connection: Connection, result: str, expected: object
) -> None:
    entry = suppress_while_claimed(connection)
    builders.settle_all(connection, [entry], result)
    assert fate(connection) == expected


@pytest.mark.parametrize("is_dead", [False, True])
def test_l08_what_is_claimed_and_not_tried_yet_is_called_back_and_suppressed(
    connection: Connection, is_dead: bool
) -> None:
    entry = suppress_while_claimed(connection)
    [directive], _ = directives.after(connection, 0)
    assert (directive.kind, directive.target) == (directives.SUPPRESSED, str(entry.id))
    if is_dead:
        queue.free_claims(connection, NOW)
    else:
        queue.give_back(connection, [entry.id], due_at=NOW, why=Why.SITE_BUSY)
    assert fate(connection)[:2] == (EntryState.SUPPRESSED, "suppressed")


def test_l08_who_is_taken_off_the_list_meanwhile_gets_what_was_claimed(
    connection: Connection,
) -> None:
    entry = suppress_while_claimed(connection)
    suppressions.remove(connection, tenant_id=1, key=ANT.key, now=NOW)
    builders.settle_all(connection, [entry], "deferred")
    assert fate(connection)[:2] == (EntryState.WAITING, "deferred")
    [row] = connection.execute("SELECT wish FROM entries").fetchall()
    assert row == (None,)


SANDBOX = SuppressionPolicy(sandbox_domain="sandbox.test")


def simulate(
    connection: Connection, recipient: str, disposition: Disposition, at: datetime
) -> None:
    """Settle mail that went to the sandbox: a test key's, or a live one's to a sandbox address."""
    is_test = not recipient.endswith("@sandbox.test")
    builders.accept(connection, recipient, at=at, is_test=is_test)
    [entry] = builders.claim(connection, domain="sandbox.test", at=at)
    answer = Refused(Reply(550, "5.1.1", "no"), Command.RCPT)
    if isinstance(disposition, Delivered):
        attempt = Attempt(Accepted(Reply(250, "", "ok")), builders.PEER, at, at)
    else:
        attempt = Attempt(answer, builders.PEER, at, at)
    settled = replace(
        builders.settlement(entry),
        disposition=disposition,
        attempt=attempt,
        is_hard=isinstance(disposition, Bounced),
    )
    queue.settle(connection, [settled], SANDBOX)


@pytest.mark.parametrize("recipient", ["ant@example.net", "bounced@sandbox.test"])
def test_failures_in_the_sandbox_tell_nothing_of_an_address(
    connection: Connection, recipient: str
) -> None:
    simulate(connection, recipient, Bounced(BounceClass.BAD_MAILBOX), NOW)
    assert not suppressions.lookup(connection, 1, [recipient], NOW)
    for day in range(0, 20, 2):
        simulate(connection, recipient, FULL, days(day))
    assert not feedback.has_failures(connection)
    assert not suppressions.lookup(connection, 1, [recipient], days(21))


def test_deliveries_in_the_sandbox_forget_no_failures(connection: Connection) -> None:
    settle(connection, FULL, days(0))
    settle(connection, FULL, days(2))
    simulate(connection, "ant@example.net", Delivered(), days(3))
    settle(connection, FULL, days(4))
    assert suppressed(connection, days(5))


def test_reports_about_test_mail_suppress_nobody(connection: Connection) -> None:
    simulate(connection, "ant@example.net", Delivered(), NOW)
    number = connection.execute("SELECT MAX(id) FROM entries").fetchone()[0]
    entry = correlation.entry_of(connection, number, 1)
    assert entry is not None
    failure = Failure(
        "ant@example.net", BounceClass.BAD_MAILBOX, is_permanent=True, is_hard=True, status="5.1.1"
    )
    assert feedback.record_failure(connection, entry, failure, policy=SANDBOX, tells=True, now=NOW)
    assert feedback.record_complaint(connection, entry, "abuse", now=NOW)
    assert not suppressed(connection)
