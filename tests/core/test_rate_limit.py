"""Several windows at once, and clocks that jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.rate_limit import Limit, Meter, is_idle, parse_limit, rule, whole_seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMITS = (parse_limit("5/s"), parse_limit("20/m"))


def after(count: int, at: datetime = NOW) -> Meter:
    meter = None
    for _ in range(count):
        meter = rule(LIMITS, meter, at).meter
    assert meter is not None
    return meter


@pytest.mark.parametrize(
    ("text", "quota", "seconds"),
    [("100/s", 100, 1), ("5000/m", 5000, 60), ("20/10s", 20, 10), ("7/d", 7, 86_400)],
)
def test_parse(text: str, quota: int, seconds: int) -> None:
    assert parse_limit(text) == Limit(quota, timedelta(seconds=seconds), text)


@pytest.mark.parametrize("text", ["", "100", "0/s", "-1/s", "1/0s", "1/w", "1.5/s", "1 / s", "x/s"])
def test_other_text_is_no_limit(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate"):
        parse_limit(text)


def test_what_remains_is_told_for_each_limit() -> None:
    ruling = rule(LIMITS, after(2), NOW)
    assert [one.remaining for one in ruling.standings] == [2, 17]
    assert [one.reset for one in ruling.standings] == [0.6 * SECOND, 9 * SECOND]
    assert ruling.tightest.limit.name == "5/s"
    assert ruling.retry_after is None


def test_j08_a_burst_is_stopped_by_the_short_window() -> None:
    ruling = rule(LIMITS, after(5), NOW)
    assert ruling.retry_after == 0.2 * SECOND
    assert ruling.tightest.remaining == 0


def test_j08_a_steady_stream_is_stopped_by_the_long_window() -> None:
    meter, passed = None, 0
    for tenth in range(600):
        ruling = rule(LIMITS, meter, NOW + tenth * SECOND / 4)
        meter, passed = ruling.meter, passed + (ruling.retry_after is None)
    assert passed == pytest.approx(20 + 150 * 20 / 60, abs=1)  # the quota, and what drained


def test_a_refused_request_counts_nowhere() -> None:
    meter = after(5)
    refused = rule(LIMITS, meter, NOW)
    assert refused.meter == meter


def test_who_waits_as_told_may_go_on() -> None:
    refused = rule(LIMITS, after(5), NOW)
    assert refused.retry_after is not None
    wait = timedelta(seconds=whole_seconds(refused.retry_after))
    assert rule(LIMITS, refused.meter, NOW + wait).retry_after is None


def test_looking_costs_nothing() -> None:
    meter = after(5)
    looked = rule(LIMITS, meter, NOW, cost=0)
    assert looked.meter == meter
    assert looked.retry_after is None


def test_j08_a_clock_set_back_locks_nobody_out() -> None:
    meter = after(5, NOW + timedelta(days=400))
    ruling = rule(LIMITS, meter, NOW)
    assert ruling.retry_after == 0.2 * SECOND
    assert rule(LIMITS, ruling.meter, NOW + SECOND).retry_after is None


def test_a_clock_set_forward_empties_the_buckets() -> None:
    assert rule(LIMITS, after(5), NOW + timedelta(days=400)).standings[0].remaining == 4
    assert is_idle(LIMITS, after(5), NOW + timedelta(days=400))
    assert not is_idle(LIMITS, after(5), NOW + SECOND)


@given(st.lists(st.integers(-1000, 5000), max_size=60))
def test_remaining_and_resets_are_always_sane(steps: list[int]) -> None:
    meter, now = None, NOW
    for step in steps:
        now += timedelta(milliseconds=step)
        ruling = rule(LIMITS, meter, now)
        meter = ruling.meter
        counted = ruling.retry_after is None  # what one limit refuses counts with none of them
        for one in ruling.standings:
            assert 0 <= one.remaining <= one.limit.quota - counted
            assert timedelta(0) <= one.reset <= one.limit.window
            assert one.reset > timedelta(0) or not counted
        if ruling.retry_after is not None:
            assert timedelta(0) < ruling.retry_after <= timedelta(minutes=1)
