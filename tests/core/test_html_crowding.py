"""What would take parsers the square of a document's size is refused, and no mail that there is."""

from __future__ import annotations

import lxml.html
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.etree import ParserError

from mta.core.html_crowding import attribute_work, has_crowded_styles, has_crowded_tags
from mta.core.html_text import text_of, with_inline_styles

MANY = 5_000
PEOPLE = "<p>x</p>" * 3_000
NEWSLETTER = (
    "<style>@media (max-width: 600px) { .a { width: 100% !important } } /* it's \\201C */ "
    + "".join(f".c{n}:hover {{ color: #00{n:04}; padding: {n}px }}" for n in range(300))
    + "</style>"
    + '<table style="width: 100%; border: 0"><tr><td class="c1 c2" align="left">Hello</td></tr>'
    * 1_000
)


def numbered(pattern: str, count: int = MANY) -> str:
    return "".join(pattern.replace("#", str(number)) for number in range(count))


@pytest.mark.parametrize(
    "html",
    [
        "<p " + numbered("a#=x ") + ">",
        "<p " + numbered("a# ") + ">",
        "<p/" + numbered("a#/") + ">",
        "<p " + numbered('a#=""') + ">",
        "<p " + numbered("a#='>' ") + ">",
        "<p " + numbered("a#=x "),
        "<iframe><p " + numbered("a#='>' ") + ">",
        "<!-- --!><p " + numbered("a# ") + ">",
        "<svg><p " + numbered("a# ") + ">",
    ],
    ids=lambda html: html[:24],
)
def test_tags_with_attributes_without_end_are_refused(html: str) -> None:
    for work in (text_of, with_inline_styles):
        with pytest.raises(ValueError, match="too many attributes"):
            work(html)


@pytest.mark.parametrize(
    "declarations",
    [
        numbered("--a#:1;"),
        numbered("a#:{};"),
        numbered("a#/*;*/:1;"),
        numbered('x:"/*";a#/*;*/:1;'),
        numbered("x:url(/*);a#/*;*/:1;"),
        numbered("x:\\75rl(/*);a#/*;*/:1;"),
        numbered("x:u\\72 l(/*);a#/*;*/:1;"),
        numbered("x:url(\\)/*);a#/*;*/:1;"),
        numbered('x\\":1;a#/*;*/:1;'),
        numbered("x:'/*\n;a#/*;*/:1;"),
        f"a:{'x' * 50_000}",
        f'a:"{";" * 50_000}"',
        f"a:({';' * 50_000})",
        "} p {".join(f"a{number}:1" for number in range(MANY)),
    ],
    ids=lambda declarations: declarations[:24],
)
def test_styles_that_would_make_megabytes_of_a_little_are_refused(declarations: str) -> None:
    with pytest.raises(ValueError, match="too many properties"):
        with_inline_styles(f"<style>p {{{declarations}}}</style>{PEOPLE}")


def test_a_large_newsletter_is_fine() -> None:
    assert not has_crowded_tags(NEWSLETTER)
    assert not has_crowded_styles(NEWSLETTER)


PIECES = ["<p", "<a ", ">", "a=b ", " c ", "='x'", '"', "'", "/", "<!--", "-->", "</p>", "x", "<"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_tag_has_more_attributes_than_were_counted(html: str) -> None:
    try:
        root = lxml.html.fromstring(html)
    except ParserError:
        return
    most = max(len(element.attrib) for element in root.iter(lxml.etree.Element))
    assert attribute_work(html) >= most**2
