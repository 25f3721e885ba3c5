"""Counts the steps of a backtracking matcher on one pattern, so that growth shows without a clock.

The pattern is parsed by Python's own parser and run by a machine that tries alternatives in the
order in which `re` does. `re` leaves out some of these steps, never a whole power of the length.
Groups are not captured: a pattern with back references is refused.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_STEPS = 300_000
"""More than these are exponential, or as bad."""

Test = Callable[[str], bool]


class UnsupportedPatternError(ValueError):
    """The machine does not know this construct."""


class TooManySteps(Exception):  # noqa: N818 - a finding, not a fault
    """MAX_STEPS were not enough."""


@dataclass(frozen=True)
class Char:
    """Go on if the next character passes."""

    passes: Test


@dataclass(frozen=True)
class Look:
    """Go on if a part matches here (or does not), consuming nothing."""

    start: int
    is_wanted: bool
    back: int = 0


@dataclass(frozen=True)
class Once:
    """Go on after the first way in which a part matches: atomic and possessive."""

    start: int


@dataclass(frozen=True)
class Place:
    """Go on if a boundary is here."""

    holds: Callable[[str, int], bool]


@dataclass(frozen=True)
class Split:
    """Try these in turn; `later` are all but the first, the last of them first."""

    targets: tuple[int, ...]

    @cached_property
    def later(self) -> tuple[int, ...]:
        return self.targets[:0:-1]


@dataclass(frozen=True)
class End:
    """A part, or the whole, has matched."""


class Machine:
    """One pattern as a program."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        source = pattern.pattern
        tree = parser.parse(source, pattern.flags)
        self._code: list[Any] = []
        self.tests: list[Test] = []
        self._flags = pattern.flags
        self._tests_of: dict[Any, Test] = {}
        self._loops: list[int] = []
        self.start = self._part(tree)
        self.steps = 0

    def alphabet(self) -> list[str]:
        """Return one character for each way in which characters can differ for this pattern."""
        characters = [chr(code) for code in [*range(256), 0x212A, 0x2028, 0x4E2D]]
        found: dict[tuple[bool, ...], str] = {}
        for character in sorted(characters, key=lambda c: not c.isalnum()):
            found.setdefault(tuple(test(character) for test in self.tests), character)
        return list(found.values())

    def examples(self) -> set[str]:
        """Return short texts that lead to the places from which a loop goes round."""
        seen = {self.start: ""}
        queue = [self.start]
        for at in queue:
            text = seen[at]
            if len(text) > 40 or len(seen) > 4000:
                continue
            for nexts, added in self._moves(at):
                if nexts not in seen:
                    seen[nexts] = text + added
                    queue.append(nexts)
        return {seen[at] for at in self._loops if at in seen}

    def find_all(self, text: str, *, is_search: bool) -> int:
        """Return the steps of finding every match from left to right, or of one match at 0."""
        self.steps = 0
        at = 0
        while at <= len(text):
            end = self._run(self.start, text, at)
            if not is_search:
                break
            at = max(end, at + 1) if end is not None else at + 1
        return self.steps

    def _run(self, start: int, text: str, at: int) -> int | None:
        stack = [(start, at)]
        while stack:
            here, position = stack.pop()
            while True:
                self.steps += 1
                if self.steps > MAX_STEPS:
                    raise TooManySteps
                code = self._code[here]
                here += 1
                if isinstance(code, Split):
                    stack += [(target, position) for target in code.later]
                    here = code.targets[0]
                elif isinstance(code, Char):
                    if position >= len(text) or not code.passes(text[position]):
                        break
                    position += 1
                elif isinstance(code, End):
                    return position
                else:
                    after = self._special(code, text, position)
                    if after is None:
                        break
                    position = after
        return None

    def _special(self, code: Any, text: str, position: int) -> int | None:
        if isinstance(code, Place):
            return position if code.holds(text, position) else None
        if isinstance(code, Once):
            return self._run(code.start, text, position)
        assert isinstance(code, Look)
        begin = position - code.back
        matched = begin >= 0 and self._run(code.start, text, begin) is not None
        return position if matched == code.is_wanted else None

    def _moves(self, at: int) -> Iterator[tuple[int, str]]:
        code = self._code[at]
        if isinstance(code, Char):
            character = next((c for c in self._candidates() if code.passes(c)), None)
            if character is not None:
                yield at + 1, character
        elif isinstance(code, Split):
            yield from ((target, "") for target in code.targets)
        elif isinstance(code, Once):
            yield code.start, ""
            inside = self._shortest(code.start)
            if inside is not None:
                yield at + 1, inside
        elif not isinstance(code, End):
            yield at + 1, ""

    def _shortest(self, start: int) -> str | None:
        seen = {start: ""}
        queue = [start]
        for at in queue:
            if isinstance(self._code[at], End):
                return seen[at]
            for nexts, added in self._moves(at):
                if nexts not in seen:
                    seen[nexts] = seen[at] + added
                    queue.append(nexts)
        return None

    def _candidates(self) -> list[str]:
        if not hasattr(self, "_known"):
            self._known = self.alphabet()
        return self._known

    # Compiling. A part ends in End and is compiled apart, so that it can be run on its own.

    def _part(self, tree: Any) -> int:
        hole = self._emit(None)
        body = len(self._code)
        self._sequence(tree)
        self._emit(End())
        self._code[hole] = Split((len(self._code),))
        return body

    def _inline(self, start: int) -> None:
        self._emit(Split((start,)))

    def _emit(self, code: Any) -> int:
        self._code.append(code)
        return len(self._code) - 1

    def _sequence(self, tree: Any) -> None:
        for node in tree:
            self._node(*node)

    def _node(self, kind: Any, value: Any) -> None:
        name = str(kind)
        compile_ = getattr(self, f"_on_{name.lower()}", None)
        if compile_ is None:
            raise UnsupportedPatternError(name)
        compile_(value)

    def _char(self, key: Any, test: Test) -> None:
        if key not in self._tests_of:
            self._tests_of[key] = cache(test)
            self.tests.append(self._tests_of[key])
        self._emit(Char(self._tests_of[key]))

    def _on_literal(self, code: int) -> None:
        self._char(("literal", code), self._in([(constants.LITERAL, code)]))

    def _on_not_literal(self, code: int) -> None:
        inside = self._in([(constants.LITERAL, code)])
        self._char(("not", code), lambda character: not inside(character))

    def _on_any(self, _: None) -> None:
        is_all = self._flags & re.DOTALL
        self._char("any", lambda character: bool(is_all) or character != "\n")

    def _on_in(self, items: Any) -> None:
        self._char(("in", repr(items)), self._in(items))

    def _in(self, items: Any) -> Test:
        folds = self._flags & re.IGNORECASE

        def passes(character: str) -> bool:
            forms = {character, character.lower(), character.upper()} if folds else {character}
            return any(_is_in(items, ord(form)) for form in forms if len(form) == 1)

        return passes

    def _on_branch(self, value: Any) -> None:
        _, branches = value
        split = self._emit(None)
        targets, exits = [], []
        for branch in branches:
            targets.append(len(self._code))
            self._sequence(branch)
            exits.append(self._emit(None))
        self._code[split] = Split(tuple(targets))
        for out in exits:
            self._code[out] = Split((len(self._code),))

    def _on_subpattern(self, value: Any) -> None:
        _, add, remove, tree = value
        before = self._flags
        self._flags = (before | add) & ~remove
        self._sequence(tree)
        self._flags = before

    def _on_max_repeat(self, value: Any) -> None:
        self._repeat(value, is_greedy=True)

    def _on_min_repeat(self, value: Any) -> None:
        self._repeat(value, is_greedy=False)

    def _repeat(self, value: Any, *, is_greedy: bool) -> None:
        least, most, tree = value
        if tree.getwidth()[0] == 0 and most is constants.MAXREPEAT:
            raise UnsupportedPatternError("an endless loop around what may be empty")
        for _ in range(least):
            self._sequence(tree)
        if most - least > 8:
            self._loops.append(len(self._code))
        if most is constants.MAXREPEAT:
            split = self._emit(None)
            self._sequence(tree)
            self._emit(Split((split,)))
            self._set_split(split, is_greedy=is_greedy)
            return
        splits = []
        for _ in range(most - least):
            splits.append(self._emit(None))
            self._sequence(tree)
        for split in splits:
            self._set_split(split, is_greedy=is_greedy)

    def _set_split(self, at: int, *, is_greedy: bool) -> None:
        targets = (at + 1, len(self._code))
        self._code[at] = Split(targets if is_greedy else targets[::-1])

    def _on_atomic_group(self, tree: Any) -> None:
        hole = self._emit(None)
        start = len(self._code)
        self._sequence(tree)
        self._emit(End())
        self._code[hole] = Split((len(self._code),))
        self._emit(Once(start))

    def _on_possessive_repeat(self, value: Any) -> None:
        hole = self._emit(None)
        start = len(self._code)
        self._repeat(value, is_greedy=True)
        self._emit(End())
        self._code[hole] = Split((len(self._code),))
        self._emit(Once(start))

    def _on_assert(self, value: Any) -> None:
        self._look(value, is_wanted=True)

    def _on_assert_not(self, value: Any) -> None:
        self._look(value, is_wanted=False)

    def _look(self, value: Any, *, is_wanted: bool) -> None:
        direction, tree = value
        hole = self._emit(None)
        start = len(self._code)
        self._sequence(tree)
        self._emit(End())
        self._code[hole] = Split((len(self._code),))
        self._emit(Look(start, is_wanted, tree.getwidth()[0] if direction < 0 else 0))

    def _on_at(self, where: Any) -> None:
        is_multiline = bool(self._flags & re.MULTILINE)
        self._emit(Place(_place(str(where), is_multiline=is_multiline)))


def _is_in(items: Any, code: int) -> bool:
    is_negated = bool(items) and items[0][0] is constants.NEGATE
    for kind, value in items:
        if (
            (kind is constants.LITERAL and value == code)
            or (kind is constants.RANGE and value[0] <= code <= value[1])
            or (kind is constants.CATEGORY and _is_of(str(value), chr(code)))
        ):
            return not is_negated
    return is_negated


def _is_of(category: str, character: str) -> bool:
    name = category.removeprefix("CATEGORY_")
    is_of = {
        "DIGIT": character.isdigit(),
        "SPACE": character.isspace(),
        "WORD": character.isalnum() or character == "_",
    }[name.removeprefix("NOT_")]
    return is_of != name.startswith("NOT_")


def _place(name: str, *, is_multiline: bool) -> Callable[[str, int], bool]:
    def is_word(text: str, at: int) -> bool:
        return 0 <= at < len(text) and (text[at].isalnum() or text[at] == "_")

    def at_end(text: str, at: int) -> bool:
        return at == len(text) or text[at:] == "\n" or (is_multiline and text[at] == "\n")

    holds: dict[str, Callable[[str, int], bool]] = {
        "AT_BEGINNING": lambda text, at: at == 0 or (is_multiline and text[at - 1] == "\n"),
        "AT_BEGINNING_STRING": lambda text, at: at == 0,
        "AT_END": at_end,
        "AT_END_STRING": lambda text, at: at == len(text),
        "AT_BOUNDARY": lambda text, at: is_word(text, at - 1) != is_word(text, at),
        "AT_NON_BOUNDARY": lambda text, at: is_word(text, at - 1) == is_word(text, at),
    }
    return holds[name]


@dataclass(frozen=True)
class Growth:
    """The text whose steps grow faster than its length."""

    prefix: str
    pump: str
    suffix: str
    steps: tuple[int, ...]


SIZES = (80, 160, 240)
"""Octets of the texts: with more than the 64 that many bounded loops have."""


def superlinear(pattern: re.Pattern[Any], *, is_search: bool) -> Growth | None:
    """Return a text on which the pattern is worse than linear; None when none was found.

    Tried are all repetitions of one and two kinds of characters, behind the shortest texts that
    lead into the pattern's loops, and before an end that does not match.
    """
    machine = Machine(pattern)
    alphabet = machine.alphabet()
    examples = sorted(machine.examples(), key=len)
    pairs = map("".join, itertools.islice(itertools.permutations(alphabet[:9], 2), 72))
    pumps = dict.fromkeys([*alphabet[:24], *(e[-6:] for e in examples if e), *pairs])
    for prefix, pump, suffix in itertools.product(["", *examples[:4]], pumps, ("", "\0")):
        steps = _steps(machine, prefix, pump, suffix, is_search=is_search)
        if steps is not None:
            return Growth(prefix, pump, suffix, steps)
    return None


def _steps(
    machine: Machine, prefix: str, pump: str, suffix: str, *, is_search: bool
) -> tuple[int, ...] | None:
    """Return the steps at three sizes when they grow faster than the size."""
    found: list[int] = []
    for size in SIZES:
        text = prefix + pump * (size // len(pump)) + suffix
        try:
            found.append(machine.find_all(text, is_search=is_search))
        except TooManySteps:
            return (MAX_STEPS,)
        if found[-1] < 14 * len(text):  # no power of it: a quarter of its square would be more
            return None
    bend = found[2] - 2 * found[1] + found[0]  # twice the first for a square, nothing for a line
    return tuple(found) if bend > found[0] / 2 else None
