from datetime import UTC, datetime, timedelta

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import (
    Bounced,
    Deferred,
    Delivered,
    EntryFacts,
    Expired,
    Why,
    decide,
)
from mta.core.outcome import Accepted, Ambiguous, Command, Outcome, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule

SCHEDULE = RetrySchedule(
    first=timedelta(minutes=10), lifetime=timedelta(days=1), jitter=0.1, factor=2.0
)
ACCEPTED_AT = datetime(2030, 1, 1, tzinfo=UTC)
NOW = ACCEPTED_AT + timedelta(hours=1)
ENTRY = EntryFacts(ACCEPTED_AT, attempts=2)
DUE = NOW + timedelta(minutes=20)
OLD = EntryFacts(ACCEPTED_AT - timedelta(days=2), attempts=30)

ABOUT_THE_SESSION = [Command.CONNECT, Command.EHLO, Command.STARTTLS, Command.AUTH]
ABOUT_THE_MAIL = [Command.MAIL, Command.RCPT, Command.DATA, Command.END_OF_DATA]


def fate(outcome: Outcome, entry: EntryFacts = ENTRY) -> object:
    return decide(outcome, entry, SCHEDULE, now=NOW, draw=0.0)


def test_every_command_is_in_one_of_the_tables() -> None:
    assert sorted(c.value for c in ABOUT_THE_SESSION + ABOUT_THE_MAIL) == sorted(
        c.value for c in Command
    )


@pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
def test_accepted_is_delivered(code: int) -> None:
    assert fate(Accepted(Reply(code, "", "ok"))) == Delivered()
    assert fate(Accepted(Reply(code, "", "ok")), OLD) == Delivered()


@pytest.mark.parametrize("command", ABOUT_THE_MAIL)
def test_a_permanent_refusal_of_the_mail_bounces(command: Command) -> None:
    refused = Refused(Reply(550, "5.1.1", "no"), command)
    assert fate(refused) == Bounced(BounceClass.BAD_MAILBOX)
    assert fate(refused, OLD) == Bounced(BounceClass.BAD_MAILBOX)


@pytest.mark.parametrize("command", ABOUT_THE_SESSION)
def test_a_permanent_refusal_of_the_session_defers(command: Command) -> None:
    refused = Refused(Reply(554, "5.7.1", "no"), command)
    assert fate(refused) == Deferred(DUE, Why.REPLY, BounceClass.POLICY)
    assert fate(refused, OLD) == Expired(Why.REPLY, BounceClass.POLICY)


@pytest.mark.parametrize("command", Command)
def test_a_transient_refusal_defers(command: Command) -> None:
    refused = Refused(Reply(451, "4.3.0", "later"), command)
    assert fate(refused) == Deferred(DUE, Why.REPLY, BounceClass.REMOTE_ERROR)
    assert fate(refused, OLD) == Expired(Why.REPLY, BounceClass.REMOTE_ERROR)


@pytest.mark.parametrize("command", Command)
def test_an_answer_out_of_place_is_never_final(command: Command) -> None:
    assert isinstance(fate(Refused(Reply(354, "", "go"), command)), Deferred)


@pytest.mark.parametrize(
    ("stage", "why", "bounce_class"),
    [
        (Stage.ROUTE, Why.DNS, BounceClass.NETWORK),
        (Stage.CONNECT, Why.UNREACHABLE, BounceClass.NETWORK),
        (Stage.GREETING, Why.UNREACHABLE, BounceClass.NETWORK),
        (Stage.TLS, Why.UNREACHABLE, BounceClass.TLS),
        (Stage.SESSION, Why.UNREACHABLE, BounceClass.NETWORK),
        (Stage.LOCAL, Why.LOCAL, BounceClass.UNKNOWN),
    ],
)
def test_unreachable_defers(stage: Stage, why: Why, bounce_class: BounceClass) -> None:
    assert fate(Unreachable(stage, "x")) == Deferred(DUE, why, bounce_class)
    assert fate(Unreachable(stage, "x"), OLD) == Expired(why, bounce_class)


@pytest.mark.parametrize(
    ("enhanced", "bounce_class", "reason"),
    [
        ("5.1.10", BounceClass.BAD_DOMAIN, "null MX"),
        ("5.1.2", BounceClass.BAD_DOMAIN, "NXDOMAIN"),
        ("5.3.4", BounceClass.TOO_LARGE, "larger than the peer's SIZE"),
        ("", BounceClass.UNKNOWN, "no status"),
    ],
)
def test_unreachable_for_good_bounces(
    enhanced: str, bounce_class: BounceClass, reason: str
) -> None:
    outcome = Unreachable(Stage.ROUTE, "x", is_permanent=True, enhanced=enhanced)
    assert fate(outcome) == Bounced(bounce_class), reason


def test_ambiguous_is_tried_again() -> None:
    assert fate(Ambiguous("lost")) == Deferred(DUE, Why.AMBIGUOUS, BounceClass.NETWORK)
    assert fate(Ambiguous("lost"), OLD) == Expired(Why.AMBIGUOUS, BounceClass.NETWORK)


def test_jitter_reaches_the_schedule() -> None:
    disposition = decide(Ambiguous("lost"), ENTRY, SCHEDULE, now=NOW, draw=0.5)
    assert disposition == Deferred(NOW + timedelta(minutes=21), Why.AMBIGUOUS, BounceClass.NETWORK)
