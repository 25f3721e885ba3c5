"""Templates: what they make, what they ask for, and what they are refused."""

from __future__ import annotations

import pytest

from mta.core.html_text import text_of, with_inline_styles
from mta.core.template import MissingVariablesError, Rendered, Source, TemplateError, Templates

HOSTILE = "<script>&\"'"


def render(
    html: str | None, text: str | None = None, subject: str = "s", **values: object
) -> Rendered:
    return Templates().compiled(Source(subject, html, text)).render(values)


def test_values_are_escaped_in_html_only() -> None:
    made = render("<p>{{ a }}</p>", "{{ a }}", "{{ a }}", a=HOSTILE)
    assert made.html == "<p>&lt;script&gt;&amp;&#34;&#39;</p>"
    assert made.text == made.subject == HOSTILE


def test_a_subject_stays_one_line() -> None:
    assert render("x", subject="a{{ b }}", b="\r\nBcc: ant@example.net").subject == (
        "a Bcc: ant@example.net"
    )


def test_the_text_is_derived_when_absent() -> None:
    assert render("<h1>Hi {{ n }}</h1><p>a &amp; b</p>", n="Ant").text.split() == [
        *("Hi", "Ant", "a", "&", "b")
    ]
    assert text_of("") == text_of("<!-- -->") == ""


def test_all_missing_variables_are_named() -> None:
    with pytest.raises(MissingVariablesError) as raised:
        render("{{ a }}{{ b.c | upcase }}{% for i in d %}{% endfor %}{{ a }}", p={"q": 1})
    assert raised.value.names == ("a", "b.c", "d")


def test_what_is_missing_inside_is_named_by_its_path() -> None:
    with pytest.raises(MissingVariablesError) as raised:
        render("{{ p.q }}{{ p.city }}{{ p.r[0].name }}{{ p['a b'] }}", p={"q": 1, "r": []})
    assert raised.value.names == ("p.city", "p.r[0].name", "p.a b")


def test_a_filter_that_there_is_not_is_told_when_it_is_written() -> None:
    source = Source("", "a\n{% if x %}{{ x | upcase | no_such }}{% endif %}")
    with pytest.raises(TemplateError, match=r"^html: line 2: unknown filter 'no_such'$"):
        Templates().compiled(source)


def test_a_long_path_is_named_by_its_beginning() -> None:
    with pytest.raises(MissingVariablesError) as raised:
        render("{{ a" + ".bcdefghij" * 9_000 + " }}")
    [name] = raised.value.names
    assert name.startswith("a.bcdefghij.b")
    assert len(name) == 100


def test_rules_that_no_element_can_have_stay() -> None:
    html = "<style>p { color: red } @media print { p { color: blue } }</style><p>{{ a }}</p>"
    made = Templates().compiled(Source("", html, inline_css=True)).render({"a": "x"})
    assert made.html is not None
    assert '<p style="color: red;">x</p>' in made.html
    assert "@media print { p { color: blue } }" in made.html
    assert made.text == "x"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("{{ a | default: 'you' }}", "you"),
        ("{% if a %}yes{% else %}no{% endif %}", "no"),
        ("{% if a == 'x' %}yes{% endif %}no", "no"),
        ("{% assign b = 'x' %}{{ b }}", "x"),
    ],
)
def test_a_fallback_or_a_condition_does_without(html: str, expected: str) -> None:
    assert render(html).html == expected


BOMBS = {
    "loop": "{% for i in (1..1000000000) %}x{% endfor %}",
    "nested loops": "{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}",
    "loop backwards": "{% for i in (1..100000000000000) reversed limit: 1 %}x{% endfor %}",
    "loop far away": "{% for i in (1..100000000000000) offset: 99999999999999 %}x{% endfor %}",
    "looking through a range": "{% if (1..100000000000000) contains 'x' %}x{% endif %}",
    "capturing": "{% for i in (1..1900) %}{% capture a %}{{ s }}{% endcapture %}{% endfor %}",
    "blank": "{% for i in (1..1900) %}{% if s == blank %}{% endif %}{% endfor %}",
    "looking through text": (
        "{% for i in (1..1900) %}{% if s contains 'x' %}{% endif %}{% endfor %}"
    ),
    "list of a range": "{{ (1..1000000000) | join: ',' }}",
    "doubling": "{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40 + "{{ a }}",
    "replacing": "{{ 'x' " + "| replace: 'x', 'xxxxxxxxxxxxxxxxxxxxxxxx'" * 9 + " }}",
    "joining": "{{ 'a,b,c' | split: ',' | join: s }}",
    "exponent": "{{ '1e999999999' | plus: 1 }}",
    "multiplying": "{{ 9 " + "| times: 999999999" * 50 + " }}",
    "date width": "{{ '2026-01-01' | date: '%999999999d' }}",
    "date far away": "{{ '99999999999999999' | date: '%Y' }}",
    "loops one after another": "{% for i in (1..1999) %}{% endfor %}" * 400,
    "much in a loop": "{% for i in (1..1999) %}"
    + "{% assign a = i | plus: 1 %}" * 900
    + "{% endfor %}",
    "include": "{% include 'x' %}",
    "render": "{% render 'x' %}",
    "unescaped": "{{ 'x' | safe }}",
    "output": "{% for i in (1..1900) %}{{ s }}{% endfor %}",
    "filters": "{% for i in (1..1900) %}{% assign b = s | upcase %}{% endfor %}",
    "not Liquid": "{% if %}",
    "unclosed": "{% for i in a %}",
    "deep": "{% if 1 %}" * 400 + "{% endif %}" * 400,
    "many places": "{{ s }}" * 1001,
    "large": "x" * 262_145,
    "division": "{{ 1 | divided_by: 0 }}",
}


@pytest.mark.parametrize("html", BOMBS.values(), ids=BOMBS)
def test_too_much_is_refused(html: str) -> None:
    with pytest.raises(TemplateError):
        render(html, s="y" * 40_000)


def test_styles_beyond_bounds_are_refused() -> None:
    html = "<style>" + "div p{color:red}" * 8000 + "</style>" + "<div><p>x</p>" * 8000
    with pytest.raises(TemplateError, match="more styles"):
        Templates().compiled(Source("s", html, inline_css=True)).render({})


def test_a_long_loop_over_a_row_is_fine() -> None:
    assert render("{% for i in (1..1900) %}<i>{{ i | plus: 1 }}{{ i }}</i>{% endfor %}").html


def test_neither_html_nor_text() -> None:
    with pytest.raises(TemplateError, match="give html or text"):
        render(None)


def test_styles_move_into_elements_and_nothing_is_fetched() -> None:
    source = (
        '<link rel="stylesheet" href="http://127.0.0.1:9/x"><style>p{color:red}</style><p>x</p>'
    )
    assert 'style="color: red' in with_inline_styles(source)


def test_a_template_is_read_once_and_the_cache_is_bounded() -> None:
    templates = Templates(capacity=2)
    first = templates.compiled(Source("a", "x"))
    templates.compiled(Source("b", "x"))
    assert templates.compiled(Source("a", "x")) is first
    templates.compiled(Source("c", "x"))
    templates.compiled(Source("d", "x"))
    assert templates.compiled(Source("a", "x")) is not first
