"""`make conformance`: run the tests of the rows, and say how many rows of each document hold.

A row holds when every test that names it passes, at least one; skipped is not passed.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import pytest

from tests.seeds.rows import DOCUMENTS, ROWS


class Rows:
    """A pytest plugin that notes what became of each row.

    Attributes:
        outcomes: row -> whether each of its tests passed.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, bool]] = defaultdict(dict)
        self._rows: dict[str, list[str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            names = [name for marker in item.iter_markers("row") for name in marker.args]
            self._rows[item.nodeid] = names

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for row in self._rows.get(report.nodeid, ()):
            passed = self.outcomes[row].get(report.nodeid, True)
            self.outcomes[row][report.nodeid] = passed and report.outcome == "passed"

    def holds(self, row: str) -> bool:
        """Tell whether a row is proved."""
        outcomes = self.outcomes.get(row, {})
        return bool(outcomes) and all(outcomes.values())


def told(rows: Rows) -> list[str]:
    """Return the lines that say which rows hold."""
    lines, total = [], 0
    for letter, (name, count) in DOCUMENTS.items():
        own = [row for row in ROWS if row.startswith(f"{letter}-")]
        missing = [row for row in own if not rows.holds(row)]
        total += count - len(missing)
        gaps = f"   not: {', '.join(missing)}" if missing else ""
        lines.append(f"{name:<10} {count - len(missing):>3} of {count:>3}{gaps}")
    return [*lines, f"{'all':<10} {total:>3} of {len(ROWS):>3}"]


def main() -> int:
    """Run and print; the exit code says whether all rows hold."""
    rows = Rows()
    status = pytest.main(["-q", "-p", "no:xdist", "--no-header", "tests/seeds"], plugins=[rows])
    print(*told(rows), sep="\n")  # noqa: T201 - what this program is for
    return int(status) or (0 if all(map(rows.holds, ROWS)) else 1)


if __name__ == "__main__":
    sys.exit(main())
