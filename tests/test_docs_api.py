"""docs/api.md against the table of routes: every operation is in it, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from control_api.app import ALIASES, ROUTES

TEXT = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
NATIVE = [route for route in ROUTES if route.path.startswith("/v1/")]


def test_every_native_operation_is_in_it() -> None:
    for route in NATIVE:
        assert re.search(rf"{re.escape(route.path)}[`?]", TEXT), f"{route.method} {route.path}"


def test_calls_are_named_as_they_are() -> None:
    known = {(route.method, route.path) for route in ROUTES}
    for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`?]+)[`?]", TEXT):
        assert (method, path) in known, f"{method} {path}"


def test_scopes_in_tables_are_those_of_the_routes() -> None:
    scopes = {(route.method, route.path): route.scope for route in ROUTES}
    rows = re.findall(r"^\| `(\w+) (/\S+?)`[^|]*\| `?([\w:]+)`? \|", TEXT, re.MULTILINE)
    assert len(rows) > 100
    for method, path, scope in rows:
        wanted = {"any": "any", "none": ""}.get(scope, scope)
        assert scopes[method, path] == wanted, f"{method} {path}"


def test_other_names_are_in_it() -> None:
    assert all(f"`{name}`" in TEXT for names in ALIASES.values() for name in names)
