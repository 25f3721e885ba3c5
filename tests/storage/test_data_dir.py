from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.data_dir import create_database, lock_data_dir
from storage.errors import DataDirLocked, StorageUnavailable

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a17_the_second_server_is_told_who_the_first_is(tmp_path: Path) -> None:
    with lock_data_dir(tmp_path / "data"):
        with pytest.raises(DataDirLocked, match=f"pid {os.getpid()}"):
            lock_data_dir(tmp_path / "data")
        assert (tmp_path / "data" / "lock").read_text() == f"{os.getpid()}\n"
    lock_data_dir(tmp_path / "data").release()


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from storage.data_dir import lock_data_dir\n"
        "lock = lock_data_dir(Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(DataDirLocked, match=f"pid {other.pid}"):
        lock_data_dir(tmp_path)
    other.kill()
    other.communicate()
    lock_data_dir(tmp_path).release()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="Not a directory"):
        lock_data_dir(tmp_path / "file" / "data")


def test_an_existing_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mailwright.db"
    create_database(path)
    path.chmod(0o640)
    create_database(path)
    assert path.stat().st_mode & 0o777 == 0o640
