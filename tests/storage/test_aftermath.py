"""What failures in sessions do to addresses, in the transaction that settles them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mta.core.bounce import HARD, BounceClass
from mta.core.disposition import Bounced, Deferred, Disposition, Expired, Why
from mta.core.event import EventKind
from mta.core.outcome import Accepted, Attempt, Command, Refused
from mta.core.reply import Reply
from mta.core.suppression import SuppressionPolicy
from storage import events, feedback, queue, suppressions
from storage.database import Connection
from storage.entries import EntryState
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
