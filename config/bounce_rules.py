"""The bounce rules: TOML text read into the Classifier of mta/core/bounce_rules.py.

The rules that come with Mailwright are bounce_rules.toml beside this file. An operator's own file
has the same form; its rules go before ours, and a rule with the id of one of ours takes its place.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar, cast

from config.loader import SettingsError, parse_toml
from mta.core.bounce import BounceClass
from mta.core.bounce_rules import Classifier, Provider, Rule
from mta.core.outcome import Command
from mta.core.phrases import Family, Phrase

SHIPPED = Path(__file__).with_name("bounce_rules.toml")

MAX_PHRASES = 10_000
"""That one rule may come to when its word lists are filled in."""

_T = TypeVar("_T")
_WORDS = re.compile(r"\{([a-z]+)\}")
_ID = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_STATUS = re.compile(r"[x245]\.\d{1,3}\.\d{1,3}")


@functools.cache
def shipped() -> Classifier:
    """Return the classifier of the rules that come with Mailwright, compiled once."""
    return load(None)


def load(own: Path | None) -> Classifier:
    """Return the classifier of our rules and of an operator's file (None for none).

    Raises:
        SettingsError: a file is not as it must be; names file, rule and key.
        OSError: a file cannot be read.
    """
    ours = parse(SHIPPED.read_text("utf-8"), SHIPPED.name)
    if own is None:
        return ours
    theirs = parse(own.read_text("utf-8"), str(own))
    return Classifier(
        _without_replaced(theirs.rules, ours.rules),
        _without_replaced(theirs.providers, ours.providers),
    )


def parse(text: str, source: str) -> Classifier:
    """Return the classifier of one file's text; `source` names it in errors.

    Raises:
        SettingsError: as load.
    """
    tables = parse_toml(text, source)
    _refuse_unknown(tables, {"rule", "provider", "words"}, source)
    words = _words(tables.get("words", {}), source)
    providers = [_provider(_Table(table, source)) for table in _tables(tables, "provider", source)]
    rules = [_rule(_Table(table, source, words)) for table in _tables(tables, "rule", source)]
    _refuse_twins(rules, source)
    return Classifier(rules, providers)


_R = TypeVar("_R", Rule, Provider)


def _without_replaced(theirs: Iterable[_R], ours: Iterable[_R]) -> list[_R]:
    first = list(theirs)
    taken = {item.id for item in first}
    return first + [item for item in ours if item.id not in taken]


def _refuse_twins(rules: Iterable[Rule], source: str) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise SettingsError(f"{source}: rule {rule.id}: there are two rules of this id")
        seen.add(rule.id)


def _tables(tables: Mapping[str, object], name: str, source: str) -> list[dict[str, object]]:
    found = tables.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise SettingsError(f"{source}: {name}: must be tables, each written [[{name}]]")
    return cast("list[dict[str, object]]", found)


def _words(table: object, source: str) -> Mapping[str, tuple[str, ...]]:
    """Return the word lists of a file, by the names that phrases write in braces."""
    if not isinstance(table, dict):
        raise SettingsError(f"{source}: words: must be a table, written [words]")
    for name, words in table.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise SettingsError(f"{source}: words: {name}: must be a list of texts")
    return {name: tuple(words) for name, words in table.items()}


def _refuse_unknown(table: Mapping[str, object], known: set[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}: {key}: unknown; known are {', '.join(sorted(known))}")


class _Table:
    """One table, whose values are taken out one by one and checked."""

    def __init__(
        self,
        values: dict[str, object],
        source: str,
        words: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._values = values
        self._words = words or {}
        self._where = f"{source}: {values.get('id', 'a rule without id')}"
        self.id = self.text("id", _one_id)

    def text(self, key: str, read: Callable[[str], _T], default: _T | None = None) -> _T:
        value = self._values.pop(key, None)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.error(key, "must be text")
        return self._read(key, read, value)

    def texts(self, key: str, read: Callable[[str], _T]) -> tuple[_T, ...]:
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(key, 'must be a list of texts, such as ["..."]')
        return tuple(self._read(key, read, item) for item in value)

    def match(self) -> tuple[tuple[Phrase, ...], tuple[Family, ...]]:
        """Return what is to be found: phrases, and those with lists of words as families."""
        texts = self._peek("match")
        families = [text for text in texts if _WORDS.search(text) and "*" not in text]
        self._values["match"] = [text for text in texts if text not in families]
        return self.phrases("match"), tuple(
            self._read("match", lambda text: Family.parse(text, self._words), text)
            for text in families
        )

    def _peek(self, key: str) -> tuple[str, ...]:
        found = self.texts(key, str)
        self._values[key] = list(found)
        return found

    def phrases(self, key: str) -> tuple[Phrase, ...]:
        """Return the phrases of a list, one for each choice of the words in braces."""
        texts = [text for item in self.texts(key, str) for text in self._filled(key, item)]
        if len(texts) > MAX_PHRASES:
            raise self.error(key, f"makes more than {MAX_PHRASES} phrases of its word lists")
        return tuple(self._read(key, Phrase.parse, text) for text in texts)

    def _filled(self, key: str, text: str) -> list[str]:
        texts = [text]
        for name in _WORDS.findall(text):
            if name not in self._words:
                raise self.error(key, f"{{{name}}} is not in [words]")
            texts = [
                one.replace(f"{{{name}}}", word, 1) for one in texts for word in self._words[name]
            ][: MAX_PHRASES + 1]
        return texts

    def codes(self, key: str) -> frozenset[int]:
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(
            isinstance(item, int) and 400 <= item <= 599 for item in value
        ):
            raise self.error(key, "must be a list of reply codes from 400 to 599")
        return frozenset(cast("list[int]", value))

    def flag(self, key: str) -> bool | None:
        value = self._values.pop(key, None)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def finish(self) -> None:
        for key in self._values:
            raise self.error(key, "unknown key")

    def error(self, key: str, problem: str) -> SettingsError:
        return SettingsError(f"{self._where}: {key}: {problem}")

    def _read(self, key: str, read: Callable[[str], _T], value: str) -> _T:
        try:
            return read(value)
        except ValueError as error:
            raise self.error(key, str(error)) from None


def _provider(table: _Table) -> Provider:
    provider = Provider(
        table.id,
        hosts=table.texts("hosts", str.lower),
        marks=table.texts("marks", Phrase.parse),
    )
    table.finish()
    return provider


def _rule(table: _Table) -> Rule:
    phrases, families = table.match()
    rule = Rule(
        id=table.id,
        bounce_class=table.text("class", BounceClass),
        phrases=phrases,
        families=families,
        literals=table.texts("literal", str.lower),
        unless=table.phrases("unless"),
        statuses=frozenset(table.texts("status", _one_status)),
        codes=table.codes("code"),
        commands=frozenset(table.texts("command", Command)),
        provider=table.text("provider", _one_id, ""),
        is_permanent=table.flag("permanent"),
        is_hard=table.flag("hard"),
        is_weak=table.flag("weak") or False,
    )
    table.finish()
    if not (rule.phrases or rule.families or rule.literals or rule.statuses or rule.codes):
        raise table.error("match", "a rule needs phrases, a status or a code")
    return rule


def _one_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id: lower case words joined by - or .")
    return text


def _one_status(text: str) -> str:
    if not _STATUS.fullmatch(text):
        raise ValueError(f"{text!r} is no enhanced status such as 5.1.1 or x.1.1")
    return text
