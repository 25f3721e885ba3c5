"""The one thing that holds an entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mta.core.disposition import Why
from mta.core.explain import Block, Constraint, Explanation, Standing, explain

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SOON = NOW + timedelta(minutes=5)
LATER = NOW + timedelta(minutes=20)
ENTRY = Standing("waiting", "a.test", SOON, "reply", 1, "mx2.a.test", "451 busy")
SITE = Block("mx1.a.test,mx2.a.test", LATER, "connection refused")
DOMAIN = Block("a.test", LATER, "moving house", is_operator=True)


def test_an_entry_that_is_settled_waits_for_nothing() -> None:
    for state in ("delivered", "bounced", "expired", "canceled", "suppressed"):
        assert explain(Standing(state, "a.test", None, ""), [SITE, DOMAIN], NOW) is None


@pytest.mark.parametrize(
    ("changes", "blocks", "constraint", "until"),
    [
        ({"state": "claimed", "due_at": None}, [SITE], "delivery", None),
        ({"state": "held", "due_at": None, "why": "held"}, [DOMAIN], "hold", None),
        ({}, [], "retry", SOON),
        ({"why": "dns"}, [], "retry", SOON),
        ({"why": "scheduled", "attempts": 0}, [], "schedule", SOON),
        ({"why": "site_busy"}, [], "site_suspension", SOON),
        ({"due_at": NOW}, [], "connection_limit", None),
        ({"due_at": NOW, "why": "new", "attempts": 0}, [], "connection_limit", None),
        ({}, [SITE], "site_suspension", LATER),
        ({"due_at": NOW}, [SITE], "site_suspension", LATER),
        ({"host": ""}, [SITE], "retry", SOON),  # never there: the site is not known
        ({"host": ""}, [Block("a.test", LATER, "x")], "site_suspension", LATER),
        ({"host": "mx.b.test"}, [SITE], "retry", SOON),
        ({}, [DOMAIN], "domain_suspension", LATER),
        ({"domain": "b.test"}, [DOMAIN], "retry", SOON),
        ({"domain": "mx1.a.test"}, [replace(DOMAIN, name="x,mx1.a.test")], "retry", SOON),
        ({}, [replace(SITE, until=NOW)], "retry", SOON),  # just over
        ({"due_at": LATER + timedelta(hours=1)}, [SITE], "retry", LATER + timedelta(hours=1)),
        ({"why": "quota", "due_at": LATER}, [replace(SITE, until=SOON)], "quota", LATER),
    ],
)
def test_what_ends_last_holds(
    changes: dict[str, object],
    blocks: list[Block],
    constraint: str,
    until: datetime | None,
) -> None:
    entry = replace(ENTRY, **changes)  # type: ignore[arg-type]
    found = explain(entry, blocks, NOW)
    assert found is not None
    assert (found.constraint.value, found.until) == (constraint, until)
    assert found.sentence


def test_sentences_name_the_answer_that_led_to_it() -> None:
    def sentence(*blocks: Block, **changes: object) -> str:
        found = explain(replace(ENTRY, **changes), blocks, NOW)  # type: ignore[arg-type]
        assert found is not None
        return found.sentence

    assert sentence() == "the server put it off: 451 busy"
    assert sentence(SITE) == (
        "its site mx1.a.test,mx2.a.test is left alone for a while: connection refused"
    )
    assert sentence(DOMAIN) == "an operator has suspended a.test: moving house"
    assert sentence(replace(DOMAIN, detail="")) == "an operator has suspended a.test"
    assert sentence(due_at=NOW).endswith("its turn with its site: the server put it off: 451 busy")


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_has_words(why: Why) -> None:
    found = explain(Standing("waiting", "a.test", SOON, why.value), [], NOW)
    assert isinstance(found, Explanation)
    assert "(" not in found.sentence


def test_a_reason_of_a_later_release_is_named() -> None:
    found = explain(Standing("waiting", "a.test", SOON, "moon"), [], NOW)
    assert found == Explanation(Constraint.RETRY, "it waits (moon)", SOON)
