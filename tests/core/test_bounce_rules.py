"""The classifier: order of evidence, conditions of a rule, speed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.bounce import BounceClass
from mta.core.bounce_rules import Classifier, Provider, Rule
from mta.core.diagnostic import Diagnostic
from mta.core.outcome import Command
from mta.core.phrases import Phrase
from mta.core.reply import Reply

FULL = BounceClass.MAILBOX_FULL


def rule(*phrases: str, name: str = "r", kind: BounceClass = FULL, **conditions: Any) -> Rule:
    return Rule(name, kind, tuple(Phrase.parse(phrase) for phrase in phrases), **conditions)


def name_of(rules: list[Rule], diagnostic: Diagnostic, **options: bool) -> str:
    return Classifier(rules).judge(diagnostic, **options).rule


def test_text_counts_before_status_and_status_before_code() -> None:
    rules = [rule("over quota")]
    assert name_of(rules, Diagnostic.read("550 5.1.1 over quota")) == "r"
    assert name_of(rules, Diagnostic.read("552 5.1.1 nope")) == "status:5.1.1"
    assert name_of(rules, Diagnostic.read("552 nope")) == "code:552"
    assert name_of(rules, Diagnostic.read("nope")) == ""


def test_the_first_rule_decides_but_a_providers_own_go_before() -> None:
    general, own = rule("full", name="general"), rule("full", name="own", provider="a")
    classifier = Classifier([general, own], [Provider("a", hosts=("a.test",))])
    assert classifier.judge(Diagnostic.read("full")).rule == "general"
    assert classifier.judge(Diagnostic.read("full", host="mx.a.test")).rule == "own"
    assert classifier.judge(Diagnostic.read("full", host="mx.aa.test")).rule == "general"


def test_a_provider_is_known_by_its_marks() -> None:
    providers = [Provider("a", marks=(Phrase.parse("a test"),))]
    classifier = Classifier([rule("full", provider="a")], providers)
    assert classifier.judge(Diagnostic.read("full, see http://a.test/x")).rule == "r"
    assert classifier.judge(Diagnostic.read("<x@a.test> full")).rule == "r", "in the address too"


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        ({"codes": frozenset({552})}, "552 full"),
        ({"statuses": frozenset({"5.2.2"})}, "552 5.2.2 full"),
        ({"statuses": frozenset({"x.2.2"})}, "452 4.2.2 full"),
        ({"commands": frozenset({Command.RCPT})}, "full (in reply to RCPT TO command)"),
        ({"unless": (Phrase.parse("not"),)}, "full"),
    ],
)
def test_every_condition_must_hold(conditions: dict[str, Any], text: str) -> None:
    rules = [rule("full", **conditions)]
    assert name_of(rules, Diagnostic.read(text)) == "r"
    assert name_of(rules, Diagnostic.read("550 5.9.9 not full")) == ""


def test_a_link_may_say_what_else_must_not() -> None:
    rules = [rule("full", unless=(Phrase.parse("policy"),))]
    assert name_of(rules, Diagnostic.read("550 full (see https://a.test/policy?a=1)")) == "r"
    assert name_of(rules, Diagnostic.read("550 full, https://a.test/ policy")) == ""
    assert name_of([rule("a test policy")], Diagnostic.read("550 https://a.test/policy")) == "r"


def test_a_literal_is_found_as_it_stands() -> None:
    rules = [Rule("r", FULL, literals=("550 : full",))]
    assert name_of(rules, Diagnostic.read("550 : FULL")) == "r"
    assert name_of(rules, Diagnostic.read("550 full")) == ""


def test_a_weak_rule_is_not_asked_about_prose() -> None:
    rules = [rule("policy", is_weak=True)]
    assert name_of(rules, Diagnostic.read("against our policy")) == "r"
    assert name_of(rules, Diagnostic.read("against our policy"), is_prose=True) == ""


def test_permanence_comes_from_the_codes_or_else_from_the_class() -> None:
    classifier = Classifier([rule("late", kind=BounceClass.EXPIRED), rule("full")])
    assert not classifier.judge(Diagnostic.read("450 full")).is_permanent
    assert classifier.judge(Diagnostic.read("full")).is_permanent
    assert not classifier.judge(Diagnostic.read("late")).is_permanent
    assert not classifier.judge(Diagnostic.read("554 4.4.7 late")).is_permanent


def test_a_rule_may_overrule_codes_and_class() -> None:
    kind = BounceClass.BAD_DOMAIN
    assert Classifier([rule("x", kind=kind)]).judge(Diagnostic.read("550 x")).is_hard
    soft = rule("x", kind=kind, is_hard=False)
    assert not Classifier([soft]).judge(Diagnostic.read("550 x")).is_hard
    final = rule("x", kind=kind, is_permanent=True)
    assert Classifier([final]).judge(Diagnostic.read("450 x")).is_hard


def test_only_a_temporary_reply_says_how_long_to_wait() -> None:
    classifier = Classifier([])
    assert classifier.judge(Diagnostic.read("451 wait 5 minutes")).retry_after is not None
    assert classifier.judge(Diagnostic.read("551 wait 5 minutes")).retry_after is None


def test_classify_is_what_the_engine_calls() -> None:
    classifier = Classifier([rule("full")])
    assert classifier.classify(Reply(550, "5.1.1", "full"), Command.RCPT) is FULL
    assert classifier.classify(Reply(550, "", ""), Command.RCPT) is BounceClass.BAD_MAILBOX
    assert classifier.classify(Reply(550, "5.1.2", ""), None) is BounceClass.BAD_DOMAIN


@given(st.text(max_size=500), st.text(max_size=9))
def test_every_diagnostic_has_a_verdict(text: str, host: str) -> None:
    verdict = Classifier([rule("full"), rule("a * b")]).judge(Diagnostic.read(text, host=host))
    assert isinstance(verdict.bounce_class, BounceClass)


def test_long_texts_take_no_time() -> None:
    classifier = Classifier([rule("a * b * c * d"), rule("quota*")])
    started = time.process_time()
    for unit in ("a b c ", "quot ", "4.4.4.", "450%", "rcpt ", "in 5 "):
        classifier.judge(Diagnostic.read(unit * 200_000))
    assert time.process_time() - started < 2
