"""Finding phrases in text, for many phrases at once and in linear time.

Texts and phrases are brought into one form first: lower case, no accents, and every run of other
than letters and digits one space. So "User_Unknown" and "user unknown." both hold the phrase
"user unknown". In a phrase a `*` stands for any text: alone between words for a gap, at a word's
end for any ending, at its start for any beginning. A `~` between words is a short gap: at most
NEAR words.

No regular expression of a phrase is ever built, so there is nothing that could backtrack.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mta.core.frozen import frozen
from mta.core.word_tree import NEAR, Step, WordTree

MAX_FORM = 8000
"""Characters of a text that count, and of its form: taking accents off can make that longer."""

MAX_SHORT = 3
"""Short gaps that a phrase may have: each multiplies the ways to read a text."""

_BEGIN = 3
"""Letters of a word's beginning that a phrase is filed under where it has no whole word."""

_ANY = ""
"""What phrases are filed under that any text has to be compared with."""
_FOREIGN = " "
"""And those that any text has to be compared with that is not all ASCII."""

_NEAR_CHARACTERS = 100
"""That the words of a short gap may come to, so that counting them stays cheap."""

_WORD = re.compile(r"[^\W_]+")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)")
_LIST = re.compile(r"\{([a-z]+)\}")
_WHOLE_WORD = re.compile(r"(?<= )[^ ]+(?= )")
_BORDERS = str.maketrans(dict.fromkeys("<>,;:()[]\"'`", " "))


def normal_form(text: str) -> str:
    """Return the words of a text, lower case, a space before, between and behind them.

    An IPv4 address is the word `ipv4`.
    """
    folded = _folded(text[:MAX_FORM])
    if folded.count(".") > 2:
        folded = _IPV4.sub(" ipv4 ", folded)
    return f" {' '.join(_WORD.findall(folded))[:MAX_FORM].rstrip()} "


def without_addresses(text: str) -> str:
    """Return the text without the words that hold an "@".

    An address says nothing about what happened to it, and "User <a@b.example> unknown" is the
    phrase "user unknown".
    """
    if "@" not in text:
        return text
    words = text.translate(_BORDERS).split()
    return " ".join(word for word in words if "@" not in word)


def _folded(text: str) -> str:
    text = text.lower()
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@frozen
class Phrase:
    """One phrase, ready to be looked for.

    Attributes:
        pieces: to be found one after the other; spaces at their ends are word borders.
        words: the whole words that every text with the phrase has; may be empty.
        short: the numbers of the pieces that a short gap stands before.
    """

    pieces: tuple[str, ...]
    words: tuple[str, ...]
    short: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Phrase:
        """Read a phrase.

        Raises:
            ValueError: it has no letter or digit.
        """
        pieces: list[str] = []
        short: set[int] = set()
        for part in _folded(text).split("~"):
            tokens = (_token(token) for token in part.split())
            joined = f" {' '.join(token for token in tokens if token)} "
            found = [piece for piece in joined.split("*") if piece.strip()]
            if found and pieces:
                short.add(len(pieces))
            pieces += found
        if not pieces:
            raise ValueError(f"{text!r} has no word to look for")
        if len(short) > MAX_SHORT:
            raise ValueError(f"{text!r} has more than {MAX_SHORT} short gaps")
        words = (word for piece in pieces for word in _WHOLE_WORD.findall(piece))
        return cls(tuple(pieces), tuple(words), frozenset(short))

    @property
    def steps(self) -> tuple[Step, ...]:
        """Its whole words as steps of a tree; of use only where it is_of_words."""
        return tuple(
            Step((tuple(piece.split()),), after_gap=number in self.short)
            for number, piece in enumerate(self.pieces)
        )

    @property
    def is_of_words(self) -> bool:
        """Whether it is nothing but whole words, with short gaps at most."""
        spelled = " ".join(self.pieces).split()
        return len(self.short) == len(self.pieces) - 1 and spelled == list(self.words)

    def is_in(self, form: str) -> bool:
        """Return whether a normal form holds the phrase; linear in its length."""
        if self.short:
            return self._is_near_in(form)
        position = 0
        for piece in self.pieces:
            found = form.find(piece, position)
            if found < 0:
                return False
            # Two pieces around a gap share the space between two words that stand together.
            position = found + len(piece) - piece.endswith(" ")
        return True

    def _is_near_in(self, form: str) -> bool:
        ends = [0]
        for number, piece in enumerate(self.pieces):
            starts = _occurrences(piece, form, ends[0])
            if number in self.short:
                starts = _near(form, ends, starts)
            if not starts:
                return False
            ends = [start + len(piece) - piece.endswith(" ") for start in starts]
        return True


@frozen
class Family:
    """A phrase with lists of words in it: one for each choice from every list.

    Attributes:
        steps: what follows what.
    """

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str, lists: Mapping[str, Sequence[str]]) -> Family:
        """Read a phrase in which `{name}` stands for any of a list.

        Raises:
            ValueError: it has a `*` or more than MAX_SHORT gaps, or names an unknown list.
        """
        if "*" in text:
            raise ValueError(f"{text!r}: no * beside a list of words")
        steps: list[Step] = []
        after_gap = False
        for number, part in enumerate(_LIST.split(text)):
            if number % 2:
                steps.append(Step(_choices(part, lists), after_gap))
                after_gap = False
                continue
            for after, words in enumerate(part.split("~")):
                after_gap = after_gap or after > 0
                if spelled := normal_form(words).split():
                    steps.append(Step((tuple(spelled),), after_gap))
                    after_gap = False
        if sum(step.after_gap for step in steps) > MAX_SHORT:
            raise ValueError(f"{text!r} has more than {MAX_SHORT} short gaps")
        return cls(tuple(steps))


def _choices(name: str, lists: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    if name not in lists:
        raise ValueError(f"{{{name}}} is not in [words]")
    return tuple(tuple(normal_form(words).split()) for words in lists[name])


def _occurrences(piece: str, form: str, position: int) -> list[int]:
    """Return where a piece begins, from a position on, in order."""
    found = []
    while (position := form.find(piece, position)) >= 0:
        found.append(position)
        position += len(piece) - 1 or 1
    return found


def _near(form: str, ends: list[int], starts: list[int]) -> list[int]:
    """Return those starts that an end goes before with at most NEAR words between."""
    kept = []
    number = 0
    for start in starts:
        while number + 1 < len(ends) and ends[number + 1] <= start:
            number += 1
        end = ends[number]
        if end <= start <= end + _NEAR_CHARACTERS and form.count(" ", end, start) <= NEAR:
            kept.append(start)
    return kept


def _token(token: str) -> str:
    """Return one blank-separated token of a phrase in normal form, its stars where they were."""
    return "*".join(" ".join(_WORD.findall(part)) for part in token.split("*"))


class PhraseIndex:
    """Many phrases and families, each with the number of whom it belongs to.

    Those of whole words stand in a tree. Those with a `*` are filed under their rarest word, or
    how their first word begins, so that a text is compared with few of them; all texts are with
    those that have neither.
    """

    def __init__(
        self, phrases: Iterable[tuple[int, Phrase]], families: Iterable[tuple[int, Family]] = ()
    ) -> None:
        """Index them."""
        self._tree = WordTree()
        filed = []
        for owner, phrase in phrases:
            if phrase.is_of_words:
                self._tree.plant(owner, phrase.steps)
            else:
                filed.append((owner, phrase))
        for owner, family in families:
            self._tree.plant(owner, family.steps)
        uses = Counter(word for _, phrase in filed for word in set(phrase.words))
        self._filed: dict[str, list[tuple[int, Phrase]]] = defaultdict(list)
        self._begun: dict[str, list[tuple[int, Phrase]]] = defaultdict(list)
        for owner, phrase in filed:
            begin = phrase.pieces[0][: 1 + _BEGIN]
            if phrase.words:
                key = min(phrase.words, key=lambda word: (uses[word], -len(word)))
                self._filed[key].append((owner, phrase))
            elif begin.rfind(" ") == 0 and len(begin) == 1 + _BEGIN:
                self._begun[begin[1:]].append((owner, phrase))
            else:
                is_ascii = "".join(phrase.pieces).isascii()
                self._filed[_ANY if is_ascii else _FOREIGN].append((owner, phrase))

    def owners(self, form: str) -> set[int]:
        """Return the numbers of all whose phrases the normal form holds."""
        words = form.split()
        found = self._tree.owners(words)
        keys = {_ANY, *words} if form.isascii() else {_ANY, _FOREIGN, *words}
        near = [self._filed[key] for key in keys if key in self._filed]
        if self._begun:
            begins = {word[:_BEGIN] for word in words}
            near += [self._begun[begin] for begin in begins if begin in self._begun]
        for phrases in near:
            for owner, phrase in phrases:
                if phrase.pieces[0] in form and phrase.is_in(form):
                    found.add(owner)
        return found
