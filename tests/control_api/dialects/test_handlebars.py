"""Handlebars told in Liquid: the two say the same of the same values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api.dialects.handlebars import HandlebarsError, to_liquid
from mta.core.template import Source, TemplateError, Templates


def filled(source: str, values: dict[str, Any]) -> str:
    compiled = Templates().compiled(Source(subject="", html=to_liquid(source)))
    return str(compiled.render(values).html)


EACH = "{{#each items}}<b>{{name}}</b>{{/each}}"


@pytest.mark.parametrize(
    ("source", "values", "said"),
    [
        ("<p>{{name}}</p>", {"name": "<Ant>"}, "<p>&lt;Ant&gt;</p>"),
        ("<p>{{ user.first.name }}</p>", {"user": {"first": {"name": "A"}}}, "<p>A</p>"),
        ("<p>{{name}}</p>", {}, "<p></p>"),
        ("a{{! a note }}b{{!-- another }} --}}c", {}, "abc"),
        ("{{#if a}}x{{else}}y{{/if}}", {"a": 1}, "x"),
        ("{{#if a}}x{{else}}y{{/if}}", {"a": 0}, "y"),
        ("{{#if a}}x{{else}}y{{/if}}", {"a": ""}, "y"),
        ("{{#if a}}x{{else}}y{{/if}}", {"a": []}, "y"),
        ("{{#if a}}x{{else}}y{{/if}}", {}, "y"),
        ("{{#if a}}x{{else if b}}y{{else}}z{{/if}}", {"b": True}, "y"),
        ("{{#unless a}}x{{/unless}}", {"a": ""}, "x"),
        ("{{#unless a}}x{{/unless}}", {"a": "y"}, ""),
        (EACH, {"items": [{"name": "a"}, {"name": "b"}]}, "<b>a</b><b>b</b>"),
        (EACH, {"items": [], "name": "outside"}, ""),
        (EACH, {"items": [{}], "name": "outside"}, "<b></b>"),
        (EACH, {}, ""),
        ("{{#each a}}{{@index}}{{this}}{{/each}}", {"a": ["x", "y"]}, "0x1y"),
        ("{{#each a}}{{#if @first}}!{{/if}}{{this}}{{/each}}", {"a": ["x", "y"]}, "!xy"),
        ("{{#each a}}{{this}}{{else}}none{{top}}{{/each}}", {"a": [], "top": 1}, "none1"),
        ("{{#each a}}{{../top}}{{@root.top}}{{/each}}", {"a": [1], "top": "t"}, "tt"),
        (
            "{{#each a}}{{#each b}}{{this}}{{../n}}{{/each}}{{/each}}",
            {"a": [{"n": 1, "b": ["x", "y"]}, {"n": 2, "b": ["z"]}]},
            "x1y1z2",
        ),
        ("100 {% off", {}, "100 {% off"),
    ],
)
def test_says_what_handlebars_says(source: str, values: dict[str, Any], said: str) -> None:
    assert filled(source, values) == said


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{{raw}}}", "{{{raw}}}"),
        ("Hello {{name", "{{name: the tag is not closed"),
        ("Hello {{!-- what }} for", "the tag is not closed"),
        ("{{& raw}}", "unescaped"),
        ("{{> footer}}", "partials"),
        ('{{insert name "default=you"}}', "insert"),
        ("{{formatDate at 'YYYY'}}", "formatDate"),
        ("{{#equals a b}}x{{/equals}}", "equals"),
        ("{{#if a}}x", "#if"),
        ("{{#if a}}x{{/each}}", "/each"),
        ("x{{/if}}", "/if"),
        ("{{else}}", "else"),
        ("{{#each a}}x{{else if b}}y{{/each}}", "else if"),
        ("{{../up}}", "../"),
        ("{{this}}", "this"),
        ("{{@key}}", "@key"),
        ("{{}}", "{{}}"),
    ],
)
def test_refuses_the_rest_by_name(source: str, named: str) -> None:
    with pytest.raises(HandlebarsError) as refused:
        to_liquid(source)
    assert named in str(refused.value)


@given(st.text(alphabet="{}#/^!&>.@ab \"'=%|-~if\neach this else", max_size=60))
def test_whatever_comes_is_told_or_refused(source: str) -> None:
    try:
        liquid = to_liquid(source)
        Templates().compiled(Source(subject="", html=liquid or "x"))
    except (HandlebarsError, TemplateError):
        return
    assert "{{{" not in liquid
