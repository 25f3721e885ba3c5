"""Settings for all tests, and what many of them need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from storage.database import Database
from tests.support.databases import new_database

# Tests start hundreds of processes, and each would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Machines that run tests are shared and noisy: no property is about time, so none may fail on it.
settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile("thorough", deadline=None, max_examples=3000)
settings.load_profile("default")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A new database in the folder data of tmp_path."""
    opened = new_database(tmp_path / "data")
    yield opened
    opened.close()
