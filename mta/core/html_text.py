"""The plain text of an HTML body, for readers and filters that want one; and styles moved inline.

Not here: templates (template.py), composing the mail (mime.py).
"""

from __future__ import annotations

import css_inline
from inscriptis import get_text
from inscriptis.model.config import ParserConfig
from inscriptis.model.css import CssParse
from inscriptis.model.html_element import HtmlElement
from lxml.etree import ParserError

from mta.core.html_crowding import has_crowded_styles, has_crowded_tags
from mta.core.html_nesting import nesting_of

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
"""Fetches nothing: a style sheet elsewhere would be a request that strangers have us make. Rules
such as @media, which no element can have, stay for the mail programs that know them."""

MAX_DEPTH = 1_000
"""Elements in one another. At some ten thousand css_inline is out of stack and ends the process."""
MAX_REPEATS = 100_000
"""Elements that its parser may begin again because they were not closed."""
MAX_TEXT = 1_048_576
"""Characters of a text; lists in lists are indented, which multiplies."""


def text_of(html: str) -> str:
    """Return what a reader would see of it; "" when that is nothing.

    Raises:
        ValueError: it is longer than any mail, or tags have more attributes than any has.
    """
    _require_attributes(html)
    try:
        found: str = get_text(html, _config())
    except ParserError:  # nothing but comments
        return ""
    if len(found) > MAX_TEXT:
        raise ValueError("its plain text is too long")
    return "\n".join(line.rstrip() for line in found.strip().splitlines())


def _config() -> ParserConfig:
    config = ParserConfig()
    config.attribute_handler.attribute_mapping = {"style": _apply_style}
    return config


def _apply_style(style: str, element: HtmlElement) -> None:
    """Heed what hides text or breaks lines; margins of any width would be that many spaces."""
    for directive in style.lower().split(";"):
        name, _, value = (part.strip() for part in directive.partition(":"))
        if name == "display":
            CssParse.attr_display(value, element)
        elif name == "white-space":
            CssParse.attr_white_space(value, element)


def _require_attributes(html: str) -> None:
    if has_crowded_tags(html):
        raise ValueError("a tag has too many attributes")


def with_inline_styles(html: str) -> str:
    """Return the HTML with its style elements applied to the elements that they are about.

    Raises:
        ValueError: it holds styles that cannot be applied, or too many for its elements, or
            attributes in a tag, or elements that are not closed or are in one another, in such
            numbers that no mail has.
    """
    _require_attributes(html)
    if has_crowded_styles(html):
        raise ValueError("its styles have too many properties for so many elements")
    nesting = nesting_of(html)
    if nesting.depth > MAX_DEPTH or nesting.repeats > MAX_REPEATS:
        raise ValueError("too many elements are in one another, or not closed")
    try:
        return _INLINER.inline(html)
    except css_inline.InlineError as error:
        raise ValueError(str(error)) from error
