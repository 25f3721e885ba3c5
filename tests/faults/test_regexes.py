"""Every regular expression of ours takes time in proportion to its text. (L05, M03)

Patterns are taken from the modules themselves, so that none can be forgotten; steps are counted, so
that a slow machine changes nothing. What grows faster has to stand below with the bound that its
text has before it gets there.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest

from mta.core.diagnostic import _STATUS
from mta.core.mime_reader import _LINE_REST
from tests.support.regex_steps import superlinear

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("mta", "control_api", "storage", "config")
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall"} | {
    "finditer"
}
ANCHORED = {"match", "fullmatch"}

LOCAL = {
    "control_api.body_guard._pattern": r"/v1/audiences/[^/]+/imports",
    "control_api.dialects.doors._pattern": r"/api/v1/lists/(?P<uid>[^/]+)/subscribers",
    "mta.core.diagnostic.words": rf"(?<=\s)5[- ](?:{_STATUS.pattern}(?: |$))?",
    "mta.core.html_links._end_of_raw": r"</script(?=[\s/>])",
    "mta.core.mime_reader._split": rb"--x" + _LINE_REST,
    "mta.core.spf_record._transformed": r"[.+]",
    "mta.core.tracking.cut": r"(abc[0-9]{4})",
    "mta.core.tracking.fill": rb"abc(\d{4})",
}
"""Functions that put a pattern together -> one that comes of it."""

BOUNDED = {
    "mta.cli.demo_stage._ENDPOINTS": "reads one line of our own",
    "mta.core.esmtp._ORCPT": "at most 500 characters, and matched as a whole",
    "mta.core.header_writer._PIECE": "its text ends in something else than a space",
    "mta.core.mime_parts._PARAMETER": "its text is a media type of bounded length",
}
"""Patterns that may be slower -> why no long text gets to them."""


@dataclass(frozen=True)
class Use:
    """A pattern, and whether it is searched for at every place of a text."""

    where: str
    pattern: re.Pattern[Any]
    is_search: bool


def modules() -> Iterator[tuple[ModuleType, ast.Module, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if path.name == "__main__.py":
                continue
            text = path.read_text(encoding="utf-8")
            if "import re\n" in text:
                yield importlib.import_module(name.removesuffix(".__init__")), ast.parse(text), text


def held(value: object, depth: int = 0) -> Iterator[re.Pattern[Any]]:
    """Give the patterns in a value and in the containers in it."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict) and depth < 3:
        for pair in value.items():
            yield from held(pair, depth + 1)
    elif isinstance(value, tuple | list | frozenset | set) and depth < 3:
        for each in value:
            yield from held(each, depth + 1)


def named_uses(module: ModuleType, text: str) -> Iterator[Use]:
    for name, value in vars(module).items():
        if not re.search(rf"^{name}\b.*=", text, re.MULTILINE):
            continue
        mentions = len(re.findall(rf"\b{name}\b", text)) - 1
        calls = re.findall(rf"\b{name}\.(\w+)", text)
        uses = {*calls} - {"pattern"}
        is_anchored = bool(uses) and uses <= ANCHORED and len(calls) == mentions
        for pattern in held(value):
            yield Use(f"{module.__name__}.{name}", pattern, not is_anchored)


def inline_uses(module: ModuleType, tree: ast.Module) -> Iterator[Use]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and is_of_re(call.func):
                yield inline_use(module, function.name, call)


def is_of_re(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
        and function.attr in FUNCTIONS
    )


def inline_use(module: ModuleType, function: str, call: ast.Call) -> Use:
    assert isinstance(call.func, ast.Attribute)
    where = f"{module.__name__}.{function}"
    source = LOCAL.get(where) or ast.literal_eval(call.args[0])
    return Use(where, re.compile(source), call.func.attr not in ANCHORED)


USES = [
    use
    for module, tree, text in modules()
    for use in [*named_uses(module, text), *inline_uses(module, tree)]
]


def test_no_pattern_is_forgotten() -> None:
    """As many are looked at as there are calls of re in the four packages."""
    calls = sum(
        isinstance(node, ast.Call) and is_of_re(node.func)
        for _, tree, _ in modules()
        for node in ast.walk(tree)
    )
    assert len(USES) >= calls > 100


@pytest.mark.parametrize("use", USES, ids=lambda use: use.where)
def test_l05_m03_a_pattern_takes_linear_time(use: Use) -> None:
    growth = superlinear(use.pattern, is_search=use.is_search)
    if use.where in BOUNDED:
        assert growth, "it is linear after all: take it out of BOUNDED"
    else:
        assert growth is None, f"{use.pattern.pattern!r}: {growth}"


OF_ONE_CHARACTER = {constants.LITERAL, constants.NOT_LITERAL, constants.IN, constants.ANY}


def operations(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Give all operations of a parsed pattern, those inside others too."""
    for operation, value in tree:
        yield operation, value
        yield from inside(value)


def inside(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, parser.SubPattern):
        yield from operations(value)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from inside(each)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.where)
def test_no_group_is_possessive(use: Use) -> None:
    """One character may be, but Python 3.11.2, which Debian 12 has, takes what it found of a group
    that then failed: "a." for "a(?:[.]b)*+".
    """
    tree = parser.parse(use.pattern.pattern, use.pattern.flags)
    for operation, value in operations(tree):
        assert operation is not constants.ATOMIC_GROUP
        if operation is constants.POSSESSIVE_REPEAT:
            [(repeated, _)] = value[2]
            assert repeated in OF_ONE_CHARACTER
