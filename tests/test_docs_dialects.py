"""docs/dialects.md is what the tables of the dialects say."""

from __future__ import annotations

from pathlib import Path

from control_api.app import DIALECTS
from tools.dialects import page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "dialects.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run: make dialects"


def test_every_operation_says_what_it_does() -> None:
    for dialect in DIALECTS:
        for one in dialect.operations:
            assert one.summary[:1].isupper(), one
            assert "|" not in one.summary + one.note + one.path, one
            assert not one.note or one.note.endswith("."), one
