"""The score of a sender domain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.reputation import Fared


@pytest.mark.parametrize(
    ("fared", "score"),
    [
        (Fared(), None),
        (Fared(delivered=1000), 100),
        (Fared(delivered=950, bounced=50), 70),
        (Fared(delivered=900, bounced=60, expired=40), 40),
        (Fared(delivered=1000, reported=50), 70),
        (Fared(delivered=1000, complained=3), 60),
        (Fared(delivered=500, bounced=500, complained=50), 0),
        (Fared(bounced=1), 40),
    ],
)
def test_score(fared: Fared, score: int | None) -> None:
    assert fared.score == score


@given(st.builds(Fared, *(st.integers(0, 1000) for _ in range(5))))
def test_it_stays_within_its_bounds(fared: Fared) -> None:
    assert fared.score is None or 0 <= fared.score <= 100
