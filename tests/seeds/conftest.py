"""What tests of the documents' rows share: the application, and the marker that names rows."""

from __future__ import annotations

import pytest

from tests.control_api.conftest import api
from tests.seeds.rows import ROWS

__all__ = ["api"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse rows that no document has: a test that proves nothing."""
    for item in items:
        for marker in item.iter_markers("row"):
            unknown = set(marker.args) - set(ROWS)
            if unknown or not marker.args:
                raise pytest.UsageError(f"{item.nodeid} names no row of a document: {unknown}")
