"""Which process does what, and whose a site is."""

from __future__ import annotations

from typing import Literal

import pytest

from mta.roles import ALL, Share, plan


@pytest.mark.parametrize(
    ("processes", "cores", "names"),
    [
        (1, 8, ["all"]),
        ("auto", 1, ["front", "delivery-0"]),
        ("auto", 2, ["front", "delivery-0"]),
        (3, 2, ["front", "delivery-0", "delivery-1"]),
        ("auto", 4, ["front", "edge-1", "delivery-0", "delivery-1"]),
    ],
)
def test_plan(processes: int | Literal["auto"], cores: int, names: list[str]) -> None:
    parts = plan(processes, cores)
    assert [part.name for part in parts] == names
    assert [part.is_front for part in parts].count(True) == 1


def test_every_site_has_one_owner() -> None:
    shares = [part.share for part in plan(7, 1) if part.share]
    for number in range(200):
        owners = [share for share in shares if share.owns(f"site{number}.example")]
        assert len(owners) == 1


def test_sites_are_spread() -> None:
    owned = sum(Share(0, 4).owns(f"site{number}.example") for number in range(2000))
    assert 400 < owned < 600


def test_one_process_owns_all() -> None:
    assert ALL.share is not None
    assert ALL.share.owns("anything.example")
