"""The rows of the five documents: what each promises, one test or more for each.

A test names the rows that it proves with @pytest.mark.row("M-01"). A row holds when all tests that
name it pass, at least one; `make conformance` counts them (conformance.py).
"""

from __future__ import annotations

from collections.abc import Mapping

DOCUMENTS: Mapping[str, tuple[str, int]] = {
    "F": ("FlushIt", 25),
    "S": ("sk_live", 18),
    "M": ("MailsFlux", 29),
    "D": ("Sendflare", 8),
    "E": ("EmailFlow", 50),
}
"""Letter -> name of the service, and how many rows its document has."""

ROWS: tuple[str, ...] = tuple(
    f"{letter}-{number:02}"
    for letter, (_, count) in DOCUMENTS.items()
    for number in range(1, count + 1)
)
"""Every row id."""
