"""Finding phrases in text, for many phrases at once and in linear time.

Texts and phrases are brought into one form first: lower case, no accents, and every run of other
than letters and digits one space. So "User_Unknown" and "user unknown." both hold the phrase
"user unknown". In a phrase a `*` stands for any text: alone between words for a gap, at a word's
end for any ending, at its start for any beginning.

No regular expression of a phrase is ever built, so there is nothing that could backtrack.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

MAX_FORM = 8000
"""Characters of a text that count, and of its form: taking accents off can make that longer."""

_WORD = re.compile(r"[^\W_]+")
_WHOLE_WORD = re.compile(r"(?<= )[^ ]+(?= )")
_BORDERS = str.maketrans(dict.fromkeys("<>,;:()[]\"'`", " "))


def normal_form(text: str) -> str:
    """Return the words of a text, lower case, a space before, between and behind them."""
    return f" {' '.join(_WORD.findall(_folded(text[:MAX_FORM])))[:MAX_FORM].rstrip()} "


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


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase, ready to be looked for.

    Attributes:
        pieces: to be found one after the other; spaces at their ends are word borders.
        words: the whole words that every text with the phrase has; may be empty.
    """

    pieces: tuple[str, ...]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Phrase:
        """Read a phrase.

        Raises:
            ValueError: it has no letter or digit.
        """
        tokens = (_token(token) for token in _folded(text).split())
        joined = f" {' '.join(token for token in tokens if token)} "
        pieces = tuple(piece for piece in joined.split("*") if piece.strip())
        if not pieces:
            raise ValueError(f"{text!r} has no word to look for")
        words = (word for piece in pieces for word in _WHOLE_WORD.findall(piece))
        return cls(pieces, tuple(words))

    def is_in(self, form: str) -> bool:
        """Return whether a normal form holds the phrase; linear in its length."""
        position = 0
        for piece in self.pieces:
            found = form.find(piece, position)
            if found < 0:
                return False
            # Two pieces around a gap share the space between two words that stand together.
            position = found + len(piece) - piece.endswith(" ")
        return True


def _token(token: str) -> str:
    """Return one blank-separated token of a phrase in normal form, its stars where they were."""
    return "*".join(" ".join(_WORD.findall(part)) for part in token.split("*"))


class PhraseIndex:
    """Many phrases, each with the number of whom it belongs to.

    A phrase is filed under its rarest word, so that a text is compared with few of them; those
    without a whole word are compared with every text.
    """

    def __init__(self, phrases: Iterable[tuple[int, Phrase]]) -> None:
        """Index the phrases."""
        filed = list(phrases)
        uses = Counter(word for _, phrase in filed for word in set(phrase.words))
        self._filed: dict[str, list[tuple[int, Phrase]]] = defaultdict(list)
        for owner, phrase in filed:
            key = min(phrase.words, key=lambda word: (uses[word], -len(word)), default="")
            self._filed[key].append((owner, phrase))

    def owners(self, form: str) -> set[int]:
        """Return the numbers of all whose phrases the normal form holds."""
        words = {"", *form.split()}
        return {
            owner
            for word in self._filed.keys() & words
            for owner, phrase in self._filed[word]
            if phrase.pieces[0] in form and phrase.is_in(form)
        }
