"""The sentences of [suppression], and what they mean."""

from __future__ import annotations

from datetime import timedelta

import pytest

from config.settings import Settings, SettingsError, parse
from config.suppression_rules import policy, reader
from config.units import BadValueError
from mta.core.bounce import BounceClass
from mta.core.suppression import DEFAULT_RULES, Rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("at once", Rule()),
        ("At  once for 90d", Rule(lasts=timedelta(days=90))),
        ("3 within 30d", Rule(3, timedelta(days=30), timedelta(0))),
        (
            "3 within 30d apart 20h for 1d",
            Rule(3, timedelta(days=30), timedelta(hours=20), timedelta(days=1)),
        ),
    ],
)
def test_sentences(text: str, rule: Rule) -> None:
    found = policy({BounceClass.BAD_MAILBOX: reader(text)}).rules
    assert found[BounceClass.BAD_MAILBOX] == rule


def test_the_defaults_are_those_of_the_policy() -> None:
    rules = Settings().suppression.policy.rules
    for bounce_class, rule in DEFAULT_RULES.items():
        found = rules[bounce_class]
        assert (found.failures, found.lasts) == (rule.failures, rule.lasts)
    assert rules.keys() == DEFAULT_RULES.keys()  # relay_denied: never


@pytest.mark.parametrize("text", ["", "always", "3 times", "at once within 3d", "x within 3d", 3])
def test_other_texts_are_refused(text: object) -> None:
    with pytest.raises(BadValueError):
        reader(text)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('mailbox_full = "at once"', "mailbox_full"),
        ('bad_mailbox = "3 within 1h apart 20h"', "bad_mailbox"),
        ('policy = "at once"', "policy"),
    ],
)
def test_rules_that_make_no_sense(line: str, names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        parse(f"[suppression]\n{line}", "mta.toml")


def test_a_listener_needs_a_domain() -> None:
    with pytest.raises(SettingsError, match=r"smtp\.reports\.domain"):
        parse('[smtp.reports]\nlisten = ["127.0.0.1:0"]', "mta.toml")
