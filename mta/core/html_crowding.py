"""What in an HTML document would take others' parsers the square of its size, or make that of it.

They compare each attribute of a tag with those before it, and each declaration that an element gets
with those that it has; and each element gets all of a style sheet that is about it, so that a sheet
of some kilobytes becomes gigabytes. What is found here is never less than a parser finds, save
perhaps where parsers do not agree on what is a tag. Linear for any input. Not here: elements in one
another (html_nesting.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mta.core.html_links import markup

MAX_ATTRIBUTES = 20_000_000
"""Squares of the attributes of tags, added up: a quarter of a second."""
MAX_MERGING = 2_000_000_000
"""Elements times the square of the properties that a style sheet names: three seconds."""
MAX_STYLES = 100_000_000
"""Elements times the characters of these properties, each with its longest value."""

_TAG = re.compile(r"<[A-Za-z](?:[^>\"']++|\"[^\"]*+\"|'[^']*+')*")
_OPAQUE = re.compile(
    r"\\.|/\*.*?(?:\*/|\Z)"
    r"|\"(?:[^\"\\\n\r\f]++|\\.)*\"?|'(?:[^'\\\n\r\f]++|\\.)*'?"
    r"|(?<![\w-])url\(\s*+(?![\"'\s])(?:[^)\\]++|\\.)*\)?",
    re.DOTALL | re.IGNORECASE,
)
"""An escape, a comment, text in quotes, or an address that is not (CSS Syntax 3, 4.3)."""
_SPELLED_OUT = re.compile(r"\\[\w\s\\-]{0,60}\(")
"""The name of a function with an escape in it: it may be url(."""
_HIDDEN_END = re.compile(r"[(\[][^()\[\]{};]*+;")
"""In brackets, what looks like the end of a declaration is none."""
_BETWEEN = re.compile("[;{}]")


def has_crowded_tags(html: str) -> bool:
    """Tell whether tags have more attributes than a mail ever has."""
    if _work([html]) <= MAX_ATTRIBUTES:  # nearly always, and seen at once
        return False
    return attribute_work(html) > MAX_ATTRIBUTES


def attribute_work(html: str) -> int:
    """Return the squares of the attributes of all tags, added up, or more.

    Words in quoted values count as well. Once as the standard reads it, and once without regard to
    comments and texts, in which other parsers see tags where the standard sees none.
    """
    tags = (token[0] for token, _ in markup(html) if token["name"])
    return max(_work(tags), _work(_TAG.findall(html)))


def _work(tags: Iterable[str]) -> int:
    return sum((tag.count("=") + tag.count("/") + len(tag.split())) ** 2 for tag in tags)


def has_crowded_styles(html: str) -> bool:
    """Tell whether style elements have too many properties for so many elements."""
    properties: dict[str, int] = {}
    for name, value in _declarations(html):
        size = len(name) + len(value)
        properties[name] = max(size, properties.get(name, 0))
    elements = html.count("<")
    is_slow = elements * len(properties) ** 2 > MAX_MERGING
    return is_slow or elements * sum(properties.values()) > MAX_STYLES


def _declarations(html: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of what may be declarations; beginnings of rules are among them.

    Where it is doubtful what ends where, all count as different.
    """
    for token, end in markup(html):
        if (token["name"] or "").lower() != "style":
            continue
        sheet = html[token.end() : end]
        plain = _OPAQUE.sub(_hidden, sheet)
        if _SPELLED_OUT.search(sheet) or _HIDDEN_END.search(plain):
            pieces = enumerate(_BETWEEN.split(sheet))
            yield from ((f"{number}{piece}", "") for number, piece in pieces)
            continue
        for piece in _BETWEEN.split(plain):
            name, colon, value = piece.partition(":")
            if colon:
                yield name.strip().lower(), value


def _hidden(found: re.Match[str]) -> str:
    """Return what stands for something opaque: nothing for a comment, else as much."""
    return "" if found[0].startswith("/*") else "x" * len(found[0])
