"""The line that tells what an entry waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mta.cli.explain import line
from mta.core.explain import Constraint, Explanation

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("constraint", "until", "expected"),
    [
        (Constraint.RETRY, SOON, "next attempt 2026-11-20 12:05:00Z (in 5 min): so it is"),
        (Constraint.SCHEDULE, SOON, "next attempt 2026-11-20 12:05:00Z (in 5 min): so it is"),
        (Constraint.DOMAIN_SUSPENSION, SOON, "until 2026-11-20 12:05:00Z (in 5 min): so it is"),
        (Constraint.QUOTA, SOON, "until 2026-11-20 12:05:00Z (in 5 min): so it is"),
        (Constraint.CONNECTION_LIMIT, None, "so it is"),
        (Constraint.HOLD, None, "so it is"),
    ],
)
def test_lines_tell_the_time(constraint: Constraint, until: datetime | None, expected: str) -> None:
    assert line(Explanation(constraint, "so it is", until), NOW) == expected
