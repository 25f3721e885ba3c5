"""Telling machines from persons by what they send."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.tracking_agents import Machine, machine_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LATER = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (FIREFOX, Machine.NONE),
        ("Mozilla/5.0", Machine.APPLE),
        (
            "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            Machine.GMAIL,
        ),
        ("YahooMailProxy; https://help.yahoo.com/", Machine.YAHOO),
        ("BarracudaCentral", Machine.SCANNER),
        ("python-requests/2.32", Machine.SCANNER),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", Machine.SCANNER),
        ("", Machine.SCANNER),
    ],
)
def test_by_name(agent: str, expected: Machine) -> None:
    assert machine_of(agent, "GET", LATER) is expected


def test_by_method() -> None:
    assert machine_of(FIREFOX, "HEAD", LATER) is Machine.SCANNER


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(seconds=1), Machine.HASTE),
        (timedelta(seconds=3), Machine.NONE),
        (None, Machine.NONE),
    ],
)
def test_by_haste(after: timedelta | None, expected: Machine) -> None:
    assert machine_of(FIREFOX, "GET", after) is expected


def test_the_proxies_of_people_are_people() -> None:
    assert {one for one in Machine if one.is_person} == {Machine.NONE, Machine.GMAIL, Machine.YAHOO}
