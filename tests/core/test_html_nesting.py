"""How deep HTML is: never less than a parser makes of it."""

from __future__ import annotations

import re

import css_inline
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mta.core.html_nesting import nesting_of
from mta.core.html_text import text_of, with_inline_styles

MANY = 40_000
INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)
VOID = {"br", "img", "hr", "meta", "input", "col", "wbr", "link"}


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * MANY,
        "<b>" * MANY,
        "<table><tr><td>" * MANY,
        "<li><dd>" * MANY,
        "<div><!-- </div> -->" * MANY,
        "<div title='</div>'>" * MANY,
        "<div><style></div></style>" * MANY,
        "<div><table><td></div></table>" * MANY,
        "<div></b x='></div>'>" * MANY,
        "<div><![if '</div>']>" * MANY,
        "<!-- --!><div>-->" * MANY,
        "<div><script><!--<script></script></div></script></script>" * MANY,
        '<p a=\xa0"><div>">' * MANY,
        "".join(f"<p><font id={number}></p>" for number in range(12_000)),
        "".join(f"<p><font id={number}><td></font></p>" for number in range(12_000)),
    ],
    ids=lambda html: html[:24],
)
def test_what_would_end_the_process_is_refused(html: str) -> None:
    with pytest.raises(ValueError, match="in one another"):
        with_inline_styles(html)


@pytest.mark.parametrize(
    "html",
    [
        '<div style="margin-top:99999em">a</div>' * 5_000 + "b",
        '<div style="padding-left:99999em">a</div>' * 5_000 + "b",
        f'<div style="margin-top:{"9" * 400}em">a</div>b',
        f'<div style="{"style:" * 5_000}">a</div>b',
    ],
    ids=lambda html: html[:24],
)
def test_styles_do_not_make_a_text_long(html: str) -> None:
    text = text_of(html)
    assert text.endswith("b")
    assert len(text) < 20_000


def test_what_is_hidden_is_not_in_the_text() -> None:
    assert text_of('<p style="color:red; DISPLAY : none">a</p><p>b</p>') == "b"


def test_a_text_that_grows_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        text_of("<ol>" * 200 + "<li>a" * 20_000)


CELL = "<td><p>a<p><b>b</b><ul><li>c<li>d</ul><br><img src=x><a href=y>z</a></td>"
MAIL = (
    "<!doctype html><html><head><title>t</title><style>p{color:red}</style></head><body>"
    "<!--[if mso]><table><tr><td><![endif]-->"
    + f"<table><tr>{CELL}<td>unclosed<tr>{CELL}</tr></table>" * 500
    + "</body></html>"
)


def test_mail_as_people_write_it_is_taken() -> None:
    found = nesting_of(MAIL)
    assert found.depth < 50
    assert found.repeats < 20_000
    assert "color: red" in with_inline_styles(MAIL)


def depth_of(html: str) -> int:
    """Return the depth of what a parser has written: every element closed, but for empty ones."""
    depth = deepest = 0
    for end, name in re.findall(r"<(/?)([a-z0-9]+)[^>]*>", html):
        if name not in VOID:
            depth += -1 if end else 1
            deepest = max(deepest, depth)
    return deepest


NAMES = [
    *("div", "p", "b", "font", "i", "a", "li", "ul", "dd", "dt", "table", "tr", "td", "th", "span"),
    *("tbody", "form", "center", "h1", "br", "caption", "colgroup", "option", "button", "nobr"),
]
PIECES = st.sampled_from(
    [f"<{name}>" for name in NAMES]
    + [f"</{name}>" for name in NAMES]
    + ["x", "<font id=1>", "<font id=2>", "<!-- </div> -->", "<p title='</p>'>", "</b x='>'>"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12), st.integers(1, 40))
@example(["<div>", "<table>", "<td>", "</div>", "</table>"], 40)
@example(["<p>", "<font id=1>", "</p>"], 40)
@example(["<li>", "<dd>", "</tr>", "<tr>"], 40)
@example(["<option>", "<li>", "<dd>", "</option>"], 40)
@example(["<h1>", "<h1>", "</h1>", "<li>", "<dd>", "</h1>"], 40)
@example(["<li>", "<div>", "<li>", "<dd>", "</div>"], 40)
@example(["<form>", "<form>", "</form>", "<li>", "<dd>", "</form>"], 40)
def test_no_document_is_deeper_than_is_said(pieces: list[str], times: int) -> None:
    html = "".join(pieces) * times
    found = nesting_of(html)
    actual = depth_of(INLINER.inline(html))
    # <html> and <body>; <tbody>, <tr> and the like that a parser adds; what it begins again.
    assert actual <= 4 * found.depth + 10, (html[:300], actual, found)
    count = len(re.findall(r"<[a-z]", INLINER.inline(html)))
    assert count <= 4 * (found.repeats + html.count("<")) + 10
