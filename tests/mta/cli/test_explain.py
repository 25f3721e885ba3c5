"""The sentence that tells what an entry waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mta.cli.explain import Standing, explain
from mta.core.disposition import Why
from storage.engine_state import Suspension

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
LATER = NOW + timedelta(minutes=20)


def suspended(site: str, until: datetime = LATER) -> Suspension:
    return Suspension(site, until, Why.UNREACHABLE, "connection refused")


@pytest.mark.parametrize(
    ("state", "due_at", "why", "suspension", "expected"),
    [
        ("delivered", None, "", None, ""),
        ("claimed", None, "", None, "the engine is delivering it right now"),
        ("held", None, "held", None, "an operator holds it; `mta queue release` lets it go"),
        ("waiting", NOW, "new", None, "due since 2026-11-20 12:00:00Z, waiting for its turn: acc"),
        ("waiting", SOON, "dns", None, "next attempt 2026-11-20 12:05:00Z (in 5 min): the DNS"),
        (
            "waiting",
            SOON,
            "unreachable",
            suspended("mx1.a.test,mx2.a.test"),
            "its site mx1.a.test,mx2.a.test is left alone until 2026-11-20 12:20:00Z (in 20 min): ",
        ),
        ("waiting", SOON, "dns", suspended("a.test"), "its site a.test is left alone"),
        ("waiting", SOON, "dns", suspended("mx.b.test"), "next attempt"),  # another site
        ("waiting", SOON, "dns", suspended("a.test", NOW), "next attempt"),  # just over
        ("waiting", LATER + timedelta(hours=1), "dns", suspended("a.test"), "next attempt"),
    ],
)
def test_explanations(
    state: str, due_at: datetime | None, why: str, suspension: Suspension | None, expected: str
) -> None:
    entry = Standing(state, "a.test", due_at, why, host="mx2.a.test")
    sentence = explain(entry, [suspension] if suspension else [], NOW)
    assert sentence.startswith(expected)
    assert bool(sentence) == bool(expected)


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_words(why: Why) -> None:
    assert explain(Standing("waiting", "a.test", SOON, why.value, ""), [], NOW)
