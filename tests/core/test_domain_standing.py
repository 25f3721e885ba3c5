"""How looks at the DNS move a domain, and when the next one is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mta.core.domain_standing import DomainStatus, Standing, after_look, next_look
from mta.core.event import EventKind

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NEW = Standing(NOW)
VERIFIED = Standing(NOW, checked_at=NOW, verified_at=NOW)


def test_a_domain_is_verified_by_one_good_look() -> None:
    assert NEW.status is DomainStatus.NOT_STARTED
    standing, event = after_look(NEW, is_verified=True, now=NOW + DAY)
    assert (standing.status, standing.verified_at) == (DomainStatus.VERIFIED, NOW + DAY)
    assert event is EventKind.DOMAIN_VERIFIED
    assert after_look(standing, is_verified=True, now=NOW)[1] is None


def test_a_domain_that_was_never_verified_stays_pending() -> None:
    standing, event = after_look(NEW, is_verified=False, now=NOW)
    assert (standing.status, event) == (DomainStatus.PENDING, None)


def test_two_bad_looks_in_a_row_take_the_standing() -> None:
    first, event = after_look(VERIFIED, is_verified=False, now=NOW + DAY)
    assert (first.status, first.failures, event) == (DomainStatus.VERIFIED, 1, None)
    second, event = after_look(first, is_verified=False, now=NOW + 2 * DAY)
    assert (second.status, event) == (DomainStatus.FAILED, EventKind.DOMAIN_FAILED)
    assert second.failed_at == NOW + 2 * DAY
    third, event = after_look(second, is_verified=False, now=NOW + 3 * DAY)
    assert (third.status, event) == (DomainStatus.FAILED, None)
    again, event = after_look(third, is_verified=True, now=NOW + 4 * DAY)
    assert (again.status, event) == (DomainStatus.VERIFIED, EventKind.DOMAIN_VERIFIED)
    assert again.failed_at is None


def test_a_dns_that_does_not_answer_never_counts() -> None:
    standing = replace(VERIFIED, failures=1)
    for _ in range(5):
        standing, event = after_look(standing, is_verified=None, now=NOW + DAY)
        assert event is None
    assert (standing.status, standing.failures) == (DomainStatus.VERIFIED, 1)
    mended, _ = after_look(standing, is_verified=True, now=NOW)
    assert mended.failures == 0


@pytest.mark.parametrize(
    ("standing", "is_rotating", "age", "wait"),
    [
        (NEW, False, timedelta(), timedelta(minutes=1)),
        (NEW, False, timedelta(minutes=30), timedelta(minutes=5)),
        (NEW, False, timedelta(hours=5), timedelta(minutes=30)),
        (NEW, False, timedelta(days=3), DAY),
        (VERIFIED, False, timedelta(), DAY),
        (VERIFIED, True, timedelta(), timedelta(minutes=5)),
        (replace(VERIFIED, failures=1), False, timedelta(), timedelta(minutes=5)),
        (Standing(NOW, NOW, None, NOW), False, timedelta(), DAY),
    ],
)
def test_the_next_look(
    standing: Standing, is_rotating: bool, age: timedelta, wait: timedelta
) -> None:
    now = NOW + age
    assert next_look(standing, is_rotating=is_rotating, interval=DAY, now=now) == now + wait
