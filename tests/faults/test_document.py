"""docs/reliability.md says what the rows say, and links to tests that exist."""

from __future__ import annotations

import re

from tests.faults import document
from tests.faults.rows import ROOT, functions


def test_the_document_has_the_table_of_the_rows() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    assert text.count(document.BEGIN) == text.count(document.END) == 1
    assert document.written(text) == text, "run: python -m tests.faults.document"


def test_every_link_leads_to_its_test() -> None:
    text = document.DOCUMENT.read_text(encoding="utf-8")
    links = re.findall(r"\[(\w+)\]\(\.\./(tests/[\w/]+\.py)\)", text)
    assert len(links) > 100
    for name, path in links:
        assert (ROOT / path).exists(), path
        assert not name.startswith("test_") or name in functions(path), name
