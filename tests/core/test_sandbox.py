"""What the sandbox answers, by the name of the recipient."""

from __future__ import annotations

import pytest

from mta.core.address import parse_address
from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Deferred, Delivered, EntryFacts, decide
from mta.core.outcome import Accepted, Refused
from mta.core.retry import RetrySchedule
from mta.core.sandbox import DEFAULT_DOMAIN, NAMES, answer, complains, is_suppressed
from mta.core.shaping import Neutral, judge
from tests.core.test_disposition import NOW

SANDBOX = DEFAULT_DOMAIN


@pytest.mark.parametrize(
    ("recipient", "disposition"),
    [
        ("delivered@sandbox.test", Delivered),
        ("Delivered+a+b@sandbox.test", Delivered),
        ("complained@sandbox.test", Delivered),
        ("bounced@sandbox.test", Bounced),
        ("bounced+signup-7@sandbox.test", Bounced),
        ("soft-bounced@sandbox.test", Bounced),
        ("deferred@sandbox.test", Deferred),
        ("anybody@sandbox.test", Bounced),
        ("ant@example.net", Delivered),  # of a test key
        ("bounced@example.net", Delivered),
    ],
)
def test_outcomes_lead_to_what_the_name_says(recipient: str, disposition: type) -> None:
    outcome = answer(recipient, SANDBOX)
    facts = EntryFacts(eligible_at=NOW, attempts=1)
    decided = decide(outcome, facts, RetrySchedule(), now=NOW, draw=0.0)
    assert isinstance(decided, disposition)


def test_bounces_have_the_class_of_real_ones() -> None:
    facts = EntryFacts(eligible_at=NOW, attempts=1)
    for name, expected in (
        ("bounced", BounceClass.BAD_MAILBOX),
        ("soft-bounced", BounceClass.MAILBOX_FULL),
    ):
        outcome = answer(f"{name}@sandbox.test", SANDBOX)
        decided = decide(outcome, facts, RetrySchedule(), now=NOW, draw=0.0)
        assert isinstance(decided, Bounced)
        assert decided.bounce_class is expected


@pytest.mark.parametrize("name", [*NAMES, "anybody"])
def test_no_answer_tells_against_the_site(name: str) -> None:
    outcome = answer(f"{name}@sandbox.test", SANDBOX)
    assert isinstance(outcome, Accepted) or judge([outcome]) == Neutral()


def test_an_unknown_name_is_told_the_known_ones() -> None:
    outcome = answer("delivred@sandbox.test", SANDBOX)
    assert isinstance(outcome, Refused)
    assert all(name in outcome.reply.text for name in NAMES)


def test_only_one_complains() -> None:
    assert complains("complained+1@sandbox.test", SANDBOX)
    assert not complains("delivered@sandbox.test", SANDBOX)
    assert not complains("complained@example.net", SANDBOX)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("suppressed@sandbox.test", True),
        ("suppressed+x@sandbox.test", True),
        ("bounced@sandbox.test", False),
        ("suppressed@example.net", None),
    ],
)
def test_suppression_goes_by_the_name_too(address: str, expected: bool | None) -> None:
    assert is_suppressed(parse_address(address), SANDBOX) is expected
