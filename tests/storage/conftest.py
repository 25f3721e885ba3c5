from __future__ import annotations

from collections.abc import Iterator

import pytest

from storage.database import Connection, Database


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    """A connection inside a transaction that is never committed, for tests of plain functions."""
    connection = database._committer.connection
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.execute("ROLLBACK")
