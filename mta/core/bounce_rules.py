"""Rules that read what servers say: diagnostic -> verdict.

The evidence counts in this order: rules of the provider, rules for all, the enhanced status, the
reply code, the SMTP command. Rules are values; where they come from is config/bounce_rules.py. The
enhanced status comes late on purpose: 5.1.1, 5.2.1, 5.4.1 and 5.7.1 are widely misused, and texts
are written for people who complain. Follows RFC 5321 4.2 and RFC 3463.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mta.core.bounce import (
    HARD,
    PASSING,
    BounceClass,
    Verdict,
    class_of_code,
    class_of_status,
    status_of,
)
from mta.core.diagnostic import Diagnostic
from mta.core.frozen import frozen
from mta.core.outcome import Command
from mta.core.phrases import Family, Phrase, PhraseIndex, normal_form, without_addresses
from mta.core.reply import Reply


@frozen
class Provider:
    """Who runs a receiving service, and how its answers are told.

    Attributes:
        id: the name that rules use.
        hosts: domain suffixes of its servers, lower case, such as "google.com".
        marks: phrases that only its answers have.
    """

    id: str
    hosts: tuple[str, ...] = ()
    marks: tuple[Phrase, ...] = ()

    def has_host(self, host: str) -> bool:
        """Return whether a host name is in one of its domains."""
        return any(host == suffix or host.endswith("." + suffix) for suffix in self.hosts)


@frozen
class Rule:
    """One rule: a diagnostic that fits every condition is of the class.

    Attributes:
        id: what the verdict names.
        bounce_class: the class.
        phrases: one of them has to occur; empty for a rule that looks at codes only.
        families: or one of these.
        literals: or one of these, lower case, exactly as it stands in the text.
        unless: none of them may occur.
        statuses: enhanced statuses, "x" for any class digit; empty for any status or none.
        codes: reply codes; empty for any.
        commands: what was refused; empty for any.
        provider: a Provider's id; "" for all.
        is_permanent: overrides what the codes say; None to believe them.
        is_hard: overrides what the class says; None to believe it.
        is_weak: its phrases are too common to mean anything in running text; in a server's own
            answer they do.
    """

    id: str
    bounce_class: BounceClass
    phrases: tuple[Phrase, ...] = ()
    families: tuple[Family, ...] = ()
    literals: tuple[str, ...] = ()
    unless: tuple[Phrase, ...] = ()
    statuses: frozenset[str] = frozenset()
    codes: frozenset[int] = frozenset()
    commands: frozenset[Command] = frozenset()
    provider: str = ""
    is_permanent: bool | None = None
    is_hard: bool | None = None
    is_weak: bool = False

    def allows(self, diagnostic: Diagnostic, form: str, providers: set[str]) -> bool:
        """Return whether all conditions but the phrases hold; `form` is the text without links."""
        return (
            (not self.provider or self.provider in providers)
            and (not self.codes or diagnostic.code in self.codes)
            and (not self.commands or diagnostic.command in self.commands)
            and (not self.statuses or not self.statuses.isdisjoint(_spellings(diagnostic.status)))
            and not any(phrase.is_in(form) for phrase in self.unless)
        )


_LINK = re.compile(r"\bhttps?://[^\s<>]+", re.IGNORECASE)


def _spellings(status: str) -> tuple[str, str]:
    return status, f"x{status[1:]}"


class Classifier:
    """All rules, ready for use. Immutable; one serves every task and thread."""

    def __init__(self, rules: Sequence[Rule] = (), providers: Sequence[Provider] = ()) -> None:
        """Take the rules in their order of precedence; a provider's own come before all others."""
        self.rules = tuple(sorted(rules, key=lambda rule: not rule.provider))
        self.providers = tuple(providers)
        self._index = PhraseIndex(
            ((number, phrase) for number, rule in enumerate(self.rules) for phrase in rule.phrases),
            ((number, one) for number, rule in enumerate(self.rules) for one in rule.families),
        )
        self._literals = [(n, text) for n, rule in enumerate(self.rules) for text in rule.literals]
        self._bare = frozenset(
            n
            for n, rule in enumerate(self.rules)
            if not (rule.phrases or rule.families or rule.literals)
        )
        self._marks = PhraseIndex(
            (number, mark) for number, one in enumerate(self.providers) for mark in one.marks
        )

    def classify(self, reply: Reply, command: Command | None) -> BounceClass:
        """Return the class of a refusal; `command` is None when no server spoke."""
        return self.judge(Diagnostic.of_reply(reply, command)).bounce_class

    def judge(self, diagnostic: Diagnostic, *, is_prose: bool = False) -> Verdict:
        """Return what a diagnostic means; `is_prose` when its text is written for people."""
        rule = self._match(diagnostic, is_prose=is_prose)
        if rule is not None:
            return _verdict(diagnostic, rule.bounce_class, rule.id, rule)
        if by_status := class_of_status(diagnostic.status):
            return _verdict(diagnostic, by_status, f"status:{diagnostic.status}")
        by_code = class_of_code(
            diagnostic.code, diagnostic.command, has_text=bool(diagnostic.text.strip())
        )
        known = by_code is not BounceClass.UNKNOWN
        return _verdict(diagnostic, by_code, f"code:{diagnostic.code}" if known else "")

    def _match(self, diagnostic: Diagnostic, *, is_prose: bool) -> Rule | None:
        """Return the first rule that fits."""
        text = diagnostic.words
        bare = without_addresses(text)
        form = normal_form(bare)
        lower = diagnostic.text.lower()
        said = {n for n, literal in self._literals if literal in lower}
        numbers = sorted(self._index.owners(form) | self._bare | said)
        if not numbers:
            return None
        providers: set[str] = set()
        if self.rules[numbers[0]].provider:  # theirs come first: else nobody asks who it is
            whole = form if bare is text else normal_form(text)
            providers = self._providers(whole, diagnostic.host)
        # A link to /policy/errors says nothing against an unknown user.
        plain = normal_form(_LINK.sub(" ", bare)) if "//" in bare else form
        for number in numbers:
            rule = self.rules[number]
            if not (is_prose and rule.is_weak) and rule.allows(diagnostic, plain, providers):
                return rule
        return None

    def _providers(self, form: str, host: str) -> set[str]:
        found = {self.providers[number].id for number in self._marks.owners(form)}
        if host:
            found.update(provider.id for provider in self.providers if provider.has_host(host))
        return found


def _verdict(
    diagnostic: Diagnostic, bounce_class: BounceClass, name: str, rule: Rule | None = None
) -> Verdict:
    permanent = rule.is_permanent if rule else None
    if permanent is None:
        permanent = diagnostic.is_permanent
    if permanent is None:
        permanent = bounce_class not in PASSING
    may_suppress = bounce_class in HARD if rule is None or rule.is_hard is None else rule.is_hard
    return Verdict(
        bounce_class,
        permanent,
        may_suppress,
        name,
        diagnostic.status or status_of(bounce_class, is_permanent=permanent),
        None if permanent else diagnostic.retry_after,
    )
