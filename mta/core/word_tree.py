"""A tree of phrases made of whole words, which a text is walked through from each of its words.

Any number of phrases costs a text hardly more than one. Gaps are short and few, so the time is
linear in the length of the text. Not here: phrases with parts of words (phrases.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mta.core.frozen import frozen

NEAR = 3
"""Words that a short gap may hold."""

Words = tuple[str, ...]


@frozen
class Step:
    """What a phrase goes on with.

    Attributes:
        choices: one of them has to stand there, each one word or several.
        after_gap: up to NEAR other words may stand before.
    """

    choices: tuple[Words, ...]
    after_gap: bool = False


@dataclass(slots=True)
class _Node:
    """A place in the tree: what may follow, by word or by a list's number, and whose ends here."""

    owners: list[int] = field(default_factory=list)
    words: dict[str, _Node] = field(default_factory=dict)
    lists: dict[int, _Node] = field(default_factory=dict)
    gap: _Node | None = None

    def after(self, words: Words) -> _Node:
        node = self
        for word in words:
            node = node.words.setdefault(word, _Node())
        return node


class WordTree:
    """The tree."""

    def __init__(self) -> None:
        """Begin with no phrase."""
        self._root = _Node()
        self._lists: dict[tuple[Words, ...], int] = {}
        self._choices = _Node()

    def plant(self, owner: int, steps: Sequence[Step]) -> None:
        """Add a phrase; `owner` is what a text with it is found to hold."""
        node = self._root
        for step in steps:
            if step.after_gap:
                node.gap = node.gap or _Node()
                node = node.gap
            if len(step.choices) == 1:
                node = node.after(step.choices[0])
            else:
                node = node.lists.setdefault(self._list(step.choices), _Node())
        node.owners.append(owner)

    def _list(self, choices: tuple[Words, ...]) -> int:
        """Return the number of a list of choices; all stand in one tree, owned by the numbers."""
        if choices not in self._lists:
            self._lists[choices] = len(self._lists)
            for words in choices:
                self._choices.after(words).owners.append(self._lists[choices])
        return self._lists[choices]

    def owners(self, words: Sequence[str]) -> set[int]:
        """Return the owners of all phrases that the words hold."""
        found: set[int] = set()
        root, end = self._root, len(words)
        chosen = self._all_chosen(words) if self._lists else ()
        ways = [
            (root, at)
            for at, word in enumerate(words)
            if word in root.words or (chosen and chosen[at])
        ]
        while ways:
            node, place = ways.pop()
            if node.owners:
                found.update(node.owners)
            if place == end:
                continue
            if (following := node.words.get(words[place])) is not None:
                ways.append((following, place + 1))
            if node.lists:
                for number, behind in chosen[place]:
                    if (following := node.lists.get(number)) is not None:
                        ways.append((following, behind))
            if node.gap is not None:
                ways += self._behind_gap(node.gap, words, place, chosen)
        return found

    @staticmethod
    def _behind_gap(
        gap: _Node, words: Sequence[str], place: int, chosen: Sequence[Sequence[tuple[int, int]]]
    ) -> Iterator[tuple[_Node, int]]:
        """Yield the places in the tree that are reached with up to NEAR words left out."""
        for at in range(place, min(place + NEAR + 1, len(words))):
            if (following := gap.words.get(words[at])) is not None:
                yield following, at + 1
            if gap.lists:
                for number, behind in chosen[at]:
                    if (following := gap.lists.get(number)) is not None:
                        yield following, behind

    def _all_chosen(self, words: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]:
        firsts = self._choices.words
        return [
            self._chosen(words, place) if word in firsts else () for place, word in enumerate(words)
        ]

    def _chosen(self, words: Sequence[str], place: int) -> Sequence[tuple[int, int]]:
        """Return the lists of which a choice stands at a place, each with the place behind it."""
        node: _Node | None = self._choices.words[words[place]]
        found: list[tuple[int, int]] = []
        while node is not None:
            place += 1
            found += [(number, place) for number in node.owners]
            node = node.words.get(words[place]) if place < len(words) else None
        return found
