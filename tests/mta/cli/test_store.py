"""Root steps down to the owner of the data directory, so that nothing there becomes root's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mta.cli.store import has_database
from tests.mta.cli.conftest import CommandLine, open_to_everybody
from tests.support.users import NOBODY, kept_out_of


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down")
def test_i09_files_made_by_root_belong_to_the_service(mta: CommandLine) -> None:
    open_to_everybody(mta.directory)
    mta.data.mkdir(mode=0o700)
    os.chown(mta.data, NOBODY, NOBODY)
    command = [sys.executable, "-m", "mta.cli.main", "--config", str(mta.config)]
    subprocess.run([*command, "key", "create", "--name", "x"], check=True, capture_output=True)
    subprocess.run([*command, "domain", "add", "a.test"], check=True, capture_output=True)
    made = list(mta.data.rglob("*"))
    assert {path.stat().st_uid for path in made} == {NOBODY}
    assert {path.stat().st_mode & 0o077 for path in made} == {0}


def test_i09_what_is_made_is_private(mta: CommandLine) -> None:
    assert mta("key", "create", "--name", "x").exit_code == 0
    assert mta.data.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in _everything(mta.data))


def _everything(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if not path.is_symlink()]


def test_storage_that_is_closed_to_us_is_not_taken_for_none(mta: CommandLine) -> None:
    assert not has_database(mta.data)
    mta.accept("a@one.test")
    assert has_database(mta.data)
    with kept_out_of(mta.data), pytest.raises(PermissionError):
        has_database(mta.data)
