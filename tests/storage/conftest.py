from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Connection, Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """A connection inside a transaction that is never committed, for tests of plain functions."""
    connection = database._committer.connection
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.execute("ROLLBACK")
