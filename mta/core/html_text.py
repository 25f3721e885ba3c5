"""The plain text of an HTML body, for readers and filters that want one; and styles moved inline.

Not here: templates (template.py), composing the mail (mime.py).
"""

from __future__ import annotations

import css_inline
from inscriptis import get_text
from lxml.etree import ParserError

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_at_rules=True)
"""Fetches nothing: a style sheet elsewhere would be a request that strangers have us make. Rules
such as @media, which no element can have, stay for the mail programs that know them."""


def text_of(html: str) -> str:
    """Return what a reader would see of it; "" when that is nothing."""
    try:
        found: str = get_text(html)
    except ParserError:  # nothing but comments
        return ""
    return "\n".join(line.rstrip() for line in found.strip().splitlines())


def with_inline_styles(html: str) -> str:
    """Return the HTML with its style elements applied to the elements that they are about.

    Raises:
        ValueError: it holds styles that cannot be applied.
    """
    try:
        return _INLINER.inline(html)
    except css_inline.InlineError as error:
        raise ValueError(str(error)) from error
