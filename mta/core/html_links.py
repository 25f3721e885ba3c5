"""Where the links of an HTML document are: a tokenizer that finds them and changes nothing.

It follows the tokenizer of the HTML standard (13.2.5) as far as links go: comments, conditional
comments among them, raw text elements and attribute values hold no tags, names are compared without
case, a value is read with its character references. Linear for any input: whatever a
pattern takes, it never has to give back. Not here: what becomes of the links (tracking.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape

from mta.core.frozen import frozen

_ATTRIBUTE = (
    r"[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+)?)?"  # name = value
)
_TOKEN = re.compile(
    rf"<!--|<(?P<name>[A-Za-z][^\s/>]*+)(?P<attributes>(?:[\s/]++|{_ATTRIBUTE})*)(?:>|\Z)"
    r"|</(?P<end>[A-Za-z][^\s/>]*+)[^>]*+(?:>|\Z)"
)
"""A comment's beginning or a tag. One without its ">" reaches to the end: looked for again behind
each "<" in it, a text of such tags would take the square of its length."""
_NAMED = re.compile(
    r"(?P<name>[^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<bare>[^\s>\"'][^\s>]*+))?)?"
)
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
"""Elements whose content is text up to their own end tag."""
_LINKS = frozenset({"a", "area"})


@frozen
class Link:
    """One address to click at.

    Attributes:
        start, end: where its value stands in the document, quotes excluded.
        url: the value with its character references resolved, white space around it removed.
        is_quoted: whether quotes stand around it.
        is_marked_off: whether its author wants it left alone: data-track="off".
    """

    start: int
    end: int
    url: str
    is_quoted: bool
    is_marked_off: bool


@frozen
class Found:
    """What a document holds.

    Attributes:
        links: in their order.
        body_end: where the last </body> begins; the end of the document when there is none.
    """

    links: tuple[Link, ...]
    body_end: int


def find_links(html: str) -> Found:
    """Return the links of a document, or of a part of one."""
    links: list[Link] = []
    body_end = len(html)
    for token, _ in markup(html):
        name = (token["name"] or "").lower()
        if name in _LINKS:
            link = _link(html, token.start("attributes"), token.end("attributes"))
            if link:
                links.append(link)
        elif (token["end"] or "").lower() == "body":
            body_end = token.start()
    return Found(tuple(links), body_end)


def has_plain(html: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Tell whether these parts of a document, in their order, stand between tags, as plain text.

    None of them is in a tag, a comment or a raw text element, nor looks like the beginning of one.
    """
    wanted = iter(spans)
    span = next(wanted, None)
    for token, end in markup(html):
        while span is not None and span[1] <= token.start():
            span = next(wanted, None)
        if span is not None and span[0] < end:
            return False
    return True


def markup(html: str) -> Iterator[tuple[re.Match[str], int]]:
    """Yield tags and comments, each with where it ends; a raw text element with all its text."""
    at = 0
    while token := _TOKEN.search(html, at):
        at = token.end()
        if token[0] != "<!--" and token[0][-1] != ">":
            break  # the document ends within a tag, which is no tag then (HTML 13.2.5)
        name = (token["name"] or "").lower()
        if token[0] == "<!--":
            at = _after_comment(html, token.start())
        elif name in _RAW:
            at = _end_of_raw(html, name, at)
        yield token, at


def _after_comment(html: str, start: int) -> int:
    if html.startswith((">", "->"), start + 4):  # "<!-->" and "<!--->" end at once
        return html.index(">", start + 4) + 1
    end = html.find("-->", start + 4)
    return len(html) if end < 0 else end + 3


def _end_of_raw(html: str, name: str, at: int) -> int:
    end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, at)
    return len(html) if end is None else end.start()


def _link(html: str, start: int, end: int) -> Link | None:
    found: Link | None = None
    is_off = False
    for attribute in _NAMED.finditer(html, start, end):
        group = next((name for name in ("double", "single", "bare") if attribute[name]), None)
        if group is None:
            continue
        name, value = attribute["name"].lower(), attribute[group]
        if name == "href" and found is None:  # of attributes given twice the first counts
            url = unescape(value).strip(" \t\r\n\f")
            found = Link(*attribute.span(group), url, group != "bare", is_marked_off=False)
        elif name == "data-track":
            is_off = value.lower() in {"off", "false", "no"}
    if found is None or not is_off:
        return found
    return Link(found.start, found.end, found.url, found.is_quoted, is_marked_off=True)
