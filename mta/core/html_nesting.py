"""How deep the elements of an HTML document may be in one another, and how often what is not closed
is begun again: an upper bound of both, before a parser of others gets the document.

A parser goes one call deeper for each element, and ends the process where there is no more stack;
and every block begins all <b>, <font> and their like again that were not closed before it, which a
text of a few kilobytes can turn into gigabytes (HTML 13.2.4.3). Elements count as closed here only
where the standard leaves no doubt; what is doubtful stays open. Not here: what is parsed
(html_text.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mta.core.html_links import markup

_VOID = frozenset(
    "area base basefont bgsound br col embed hr img input link meta param source wbr".split()  # noqa: SIM905 - a wall of quotes says less
)
_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905
_BLOCKS = frozenset(
    "p li dd dt div ul ol dl h1 h2 h3 h4 h5 h6 td th tr center blockquote pre form".split()  # noqa: SIM905
)
"""What ends a paragraph that is open."""
_ENDS = {
    "li": {"li"},
    "dd": {"dd", "dt"},
    "dt": {"dd", "dt"},
    "td": {"td", "th"},
    "th": {"td", "th"},
    "tr": {"td", "th", "tr"},
    "option": {"option"},
}
"""Elements that the next of their kind ends, directly behind them."""
_TABLE = frozenset("table tbody thead tfoot tr td th".split())  # noqa: SIM905
_PARTS = {
    "ul": {"p", "li"},
    "ol": {"p", "li"},
    "dl": {"p", "dd", "dt"},
    **{name: {"p", "colgroup"} | _TABLE - {"table"} for name in _TABLE},
}
"""What ends with an element around it. A paragraph ends with any; a part of a list or a table only
with its own, because an end tag of another kind may be one that a parser passes over."""
_DOUBTFUL = re.compile(
    r"--!>|<(?:script|xmp|iframe|no\w|plaintext|template|svg|math|select|frameset)"
    r"|<(?:!(?!--)|\?|/[^a-z])[^<>]*+<",
    re.IGNORECASE | re.ASCII,
)
"""Where parsers do not agree on what is a tag: nothing counts as closed then."""
_ODD_SPACE = re.compile(r"[\x0b\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""What Python takes for white space and HTML does not; in a tag, that is another doubt."""
_PLAIN_END = re.compile(r"</[A-Za-z0-9:-]+[ \t\r\n]*>")
_START = re.compile(r"<([A-Za-z][^\s/>]*)")


@dataclass(slots=True)
class Nesting:
    """What was found.

    Attributes:
        depth: elements in one another, at most; those that parsers add are not counted.
        repeats: elements that may be begun again because they were not closed, over all tags.
    """

    depth: int = 0
    repeats: int = 0
    _open: list[str] = field(default_factory=list)
    _unclosed: int = 0

    def begin(self, name: str) -> None:
        """Take a start tag."""
        self.repeats += self._unclosed
        if name in _VOID:
            return
        if name in _BLOCKS and self._open[-1:] == ["p"]:
            self._open.pop()
        while self._open and self._open[-1] in _ENDS.get(name, ()):
            self._open.pop()
        self._open.append(name)
        self._unclosed += name in _FORMATTING
        self.depth = max(self.depth, len(self._open))

    def end(self, name: str) -> None:
        """Take an end tag."""
        at = len(self._open)
        if name not in _FORMATTING:
            parts = _PARTS.get(name, {"p"})
            while at and self._open[at - 1] != name and self._open[at - 1] in parts:
                at -= 1
        if at and self._open[at - 1] == name:
            del self._open[at - 1 :]
            self._unclosed -= name in _FORMATTING


def nesting_of(html: str) -> Nesting:
    """Return an upper bound of how deep a document is."""
    if _DOUBTFUL.search(html):
        return _all_open(html)
    found = Nesting()
    for token, _ in markup(html):
        if token["name"]:
            if _ODD_SPACE.search(token[0]):
                return _all_open(html)
            found.begin(token["name"].lower())
        elif token["end"]:
            if not _PLAIN_END.fullmatch(token[0]):
                return _all_open(html)
            found.end(token["end"].lower())
    return found


def _all_open(html: str) -> Nesting:
    names = [name.lower() for name in _START.findall(html)]
    unclosed = sum(name in _FORMATTING for name in names)
    return Nesting(len(names), unclosed * len(names))
