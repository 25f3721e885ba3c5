"""The suppression policy: which failures end all mail to an address, and which never may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.bounce import HARD, BounceClass
from mta.core.suppression import (
    ALLOWED,
    DEFAULT_RULES,
    Keep,
    PolicyError,
    Rule,
    Suppress,
    SuppressionPolicy,
)

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
POLICY = SuppressionPolicy()
FULL, BAD = BounceClass.MAILBOX_FULL, BounceClass.BAD_MAILBOX
INACTIVE, NO_DOMAIN = BounceClass.INACTIVE_MAILBOX, BounceClass.BAD_DOMAIN


@pytest.mark.parametrize(
    ("bounce_class", "is_hard", "days_before", "expected"),
    [
        (BAD, True, [], Suppress(BAD, None)),
        (BAD, False, [], Keep.SOFT),  # 450 5.1.1 while a directory is down
        (BAD, False, [1, 2, 3], Keep.SOFT),
        (INACTIVE, True, [], Keep.TOO_FEW),
        (INACTIVE, True, [3], Suppress(INACTIVE, NOW + 180 * DAY)),
        (NO_DOMAIN, True, [], Keep.TOO_FEW),
        (NO_DOMAIN, True, [0.5], Keep.TOO_FEW),  # one bad day of the DNS
        (NO_DOMAIN, True, [1], Suppress(NO_DOMAIN, NOW + 90 * DAY)),
        (FULL, False, [1], Keep.TOO_FEW),
        (FULL, False, [1, 2], Suppress(FULL, NOW + 30 * DAY)),
        (FULL, True, [1, 2], Suppress(FULL, NOW + 30 * DAY)),
        (FULL, False, [2, 1], Suppress(FULL, NOW + 30 * DAY)),
        (FULL, False, [0, 0.1, 0.2, 0.3, 0.4], Keep.TOO_FEW),  # ten mails on one afternoon
        (FULL, False, [1, 1.1, 1.2], Keep.TOO_FEW),
        (FULL, False, [1, 30], Suppress(FULL, NOW + 30 * DAY)),
        (FULL, False, [1, 31], Keep.TOO_FEW),
        (FULL, False, [-1, -2], Keep.TOO_FEW),  # the clock went back
    ],
)
def test_default_policy(
    bounce_class: BounceClass, is_hard: bool, days_before: list[float], expected: object
) -> None:
    earlier = [NOW - days * DAY for days in days_before]
    assert POLICY.decide(bounce_class, is_hard=is_hard, earlier=earlier, now=NOW) == expected


@pytest.mark.parametrize("bounce_class", sorted(set(BounceClass) - ALLOWED, key=str))
@pytest.mark.parametrize("rule", [Rule(), Rule(failures=50, within=100 * DAY)])
def test_no_policy_suppresses_on_what_is_not_the_recipients(
    bounce_class: BounceClass, rule: Rule
) -> None:
    with pytest.raises(PolicyError, match=f"^{bounce_class.value}: never suppresses"):
        SuppressionPolicy({BAD: Rule(), bounce_class: rule})


@given(
    st.sampled_from(sorted(set(BounceClass) - ALLOWED, key=str)),
    st.lists(st.datetimes(timezones=st.just(UTC)), max_size=20),
)
def test_such_a_failure_keeps_the_address_even_when_called_hard(
    bounce_class: BounceClass, earlier: list[datetime]
) -> None:
    fate = POLICY.decide(bounce_class, is_hard=True, earlier=earlier, now=NOW)
    assert fate is Keep.CLASS


def test_every_hard_class_can_suppress() -> None:
    assert HARD <= ALLOWED
    assert set(DEFAULT_RULES) <= ALLOWED


def test_a_class_without_a_rule_never_suppresses() -> None:
    policy = SuppressionPolicy({})
    assert policy.decide(BAD, is_hard=True, earlier=[], now=NOW) is Keep.CLASS


def test_rules_are_the_operators() -> None:
    policy = SuppressionPolicy({FULL: Rule(failures=2, apart=timedelta(0), lasts=DAY)})
    fate = policy.decide(FULL, is_hard=False, earlier=[NOW], now=NOW)
    assert fate == Suppress(FULL, NOW + DAY)


@pytest.mark.parametrize(
    ("bounce_class", "rule", "problem"),
    [
        (BAD, Rule(failures=0), "failures must be 1 to 100"),
        (BAD, Rule(failures=-1), "failures must be 1 to 100"),
        (BAD, Rule(failures=10**12), "failures must be 1 to 100"),
        (FULL, Rule(failures=1), "at least 2"),
        (BounceClass.RELAY_DENIED, Rule(), "at least 2"),
        (BAD, Rule(lasts=timedelta(0)), "longer than no time"),
        (BAD, Rule(lasts=-DAY), "longer than no time"),
        (BAD, Rule(lasts=timedelta.max), "no time may be longer"),
        (FULL, Rule(failures=2, within=timedelta.max), "no time may be longer"),
        (FULL, Rule(failures=2, apart=-DAY), "do not fit"),
        (FULL, Rule(failures=4, within=2 * DAY, apart=DAY), "4 failures so far apart do not fit"),
    ],
)
def test_rules_that_make_no_sense(bounce_class: BounceClass, rule: Rule, problem: str) -> None:
    with pytest.raises(PolicyError, match=f"^{bounce_class.value}: .*{problem}"):
        SuppressionPolicy({bounce_class: rule})


@given(
    st.sampled_from(sorted(DEFAULT_RULES, key=str)),
    st.lists(st.datetimes(timezones=st.just(UTC)), max_size=30),
    st.booleans(),
)
def test_more_history_never_saves_an_address(
    bounce_class: BounceClass, earlier: list[datetime], is_hard: bool
) -> None:
    few = POLICY.decide(bounce_class, is_hard=is_hard, earlier=earlier[::2], now=NOW)
    many = POLICY.decide(bounce_class, is_hard=is_hard, earlier=earlier, now=NOW)
    assert isinstance(many, Suppress) or not isinstance(few, Suppress)
