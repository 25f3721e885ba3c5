"""The catalogue of faults and attacks: which tests show what becomes of each.

The rows are rows_*.toml beside this file, one table an id:

    speed    "F" runs with `make test`, "S" with `make faults`
    fault    what goes wrong or is attacked
    holds    what comes of it
    tests    node ids, "path::function" without parameters, beside the tests that carry the id at
             the front of their name (test_a05_..., test_m01_m02_...), which need no entry
    differs  where that is not quite what the row asks for: in what, and why (optional)
    pending  why nothing shows it yet; such a row has no tests

test_rows.py keeps the table honest.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True, slots=True)
class Row:
    """One row; see the module."""

    id: str
    speed: str
    fault: str
    holds: str = ""
    tests: tuple[str, ...] = ()
    differs: str = ""
    pending: str = ""


@cache
def rows() -> tuple[Row, ...]:
    """Return every row with all its tests, by id."""
    named = _named_tests()
    found = []
    for path in sorted(HERE.glob("rows_*.toml")):
        for name, values in tomllib.loads(path.read_text(encoding="utf-8")).items():
            row = Row(name, **{**values, "tests": tuple(values.get("tests", ()))})
            more = [node for node in named.get(name, ()) if node not in row.tests]
            found.append(replace(row, tests=(*row.tests, *more)))
    return tuple(sorted(found, key=lambda row: row.id))


@cache
def functions(path: str) -> tuple[str, ...]:
    """Return the names of the test functions in a file, given from the root of the project."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return tuple(re.findall(r"^ *(?:async )?def (test_\w+)\(", text, re.MULTILINE))


def _named_tests() -> dict[str, list[str]]:
    """Return node ids by the row ids at the front of their names."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        relative = str(path.relative_to(ROOT))
        for function in functions(relative):
            prefix = re.match(r"test_((?:[a-o][0-9]{2}_)*)", function)
            for name in prefix[1].upper().split("_")[:-1] if prefix else ():
                found.setdefault(name, []).append(f"{relative}::{function}")
    return found
