"""Writes the table of docs/reliability.md from the rows: python -m tests.faults.document

What is between the two marks in the document is replaced; test_document.py compares.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.rows import ROOT, Row, rows

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- written by tests/faults/document.py -->"
END = "<!-- end -->"

GROUPS = {
    "A": "Crashes and durability",
    "B": "Storage",
    "C": "Time",
    "D": "DNS",
    "E": "Receivers",
    "F": "TLS to receivers",
    "G": "SMTP clients",
    "H": "Injection and parsing",
    "I": "Keys and secrets",
    "J": "HTTP clients",
    "K": "Webhooks",
    "L": "Suppression and unsubscribing",
    "M": "Bounces and complaints",
    "N": "DKIM",
    "O": "Operation",
}
RUNS = {"F": "`make test`", "S": "`make faults`"}


def table() -> str:
    """Return the table, a section for each group."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    for letter, title in GROUPS.items():
        found = [row for row in rows() if row.id.startswith(letter)]
        if found:
            yield f"### {title}\n"
            yield "| id | fault or attack | what holds | shown by |"
            yield "|---|---|---|---|"
            yield from map(_line, found)
            yield ""
    shown = sum(bool(row.tests) for row in rows())
    yield f"{shown} of {len(rows())} rows are shown by tests; the others say why not."


def _line(row: Row) -> str:
    if row.pending:
        return f"| {row.id} | {row.fault} | pending | {row.pending} |"
    holds = f"{row.holds}. Differs: {row.differs}" if row.differs else row.holds
    first, more = row.tests[0], len(row.tests) - 1
    path, _, name = first.partition("::")
    others = f" and {more} more" if more else ""
    return f"| {row.id} | {row.fault} | {holds} | [{name}](../{path}){others} |"


def written(text: str) -> str:
    """Return the document with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
