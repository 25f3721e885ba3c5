from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import StorageFull, StorageUnavailable
from storage.spool import Spool

FUTURE = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def put(spool: Spool, data: bytes = b"hello") -> str:
    file = spool.begin()
    file.write(data)
    return file.commit()


def test_what_was_written_is_read(spool: Spool) -> None:
    file = spool.begin()
    for part in (b"Subject: x\r\n", b"", b"\r\n" * 200_000):
        file.write(part)
    name = file.commit()
    with spool.open(name) as stored:
        assert stored.read() == b"Subject: x\r\n" + b"\r\n" * 200_000
    assert stat.S_IMODE(spool.path(name).stat().st_mode) == 0o600


def test_nothing_is_there_before_commit(spool: Spool) -> None:
    file = spool.begin()
    file.write(b"half")
    assert list(spool.names(before=FUTURE)) == []
    file.abort()
    file.abort()
    assert spool.remove_unfinished(before=FUTURE) == 0


def test_removing(spool: Spool) -> None:
    name = put(spool)
    assert list(spool.names(before=FUTURE)) == [name]
    spool.remove(name)
    spool.remove(name)
    assert list(spool.names(before=FUTURE)) == []
    with pytest.raises(StorageUnavailable, match="No such file"):
        spool.open(name)


def test_young_files_are_left_alone(spool: Spool) -> None:
    name = put(spool)
    unfinished = spool.begin()
    past = datetime.now(UTC) - timedelta(hours=1)
    assert list(spool.names(before=past)) == []
    assert spool.remove_unfinished(before=past) == 0
    assert spool.remove_unfinished(before=FUTURE) == 1
    assert list(spool.names(before=FUTURE)) == [name]
    unfinished.abort()


def test_files_may_go_while_they_are_looked_through(spool: Spool) -> None:
    files = [put(spool) for _ in range(5)]
    names = spool.names(before=FUTURE)
    first = next(names)
    for name in files:
        spool.remove(name)
    assert first in files
    assert list(names) == []


def test_a_directory_that_cannot_be_read_is_told(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool").rmdir()
    with pytest.raises(StorageUnavailable, match="No such file"):
        list(spool.names(before=FUTURE))
    with pytest.raises(StorageUnavailable, match="No such file"):
        spool.remove_unfinished(before=FUTURE)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../mailwright.db", "a" * 31, "A" * 32, "a" * 32 + "\n", "a" * 32 + "/x"],
)
def test_only_our_own_names_are_opened_and_removed(spool: Spool, name: str) -> None:
    for use in (spool.open, spool.remove, spool.path):
        with pytest.raises(ValueError, match="not the name of a spool file"):
            use(name)


def test_foreign_files_are_not_ours(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "spool" / "README").touch()
    assert list(spool.names(before=FUTURE)) == []
    assert spool.remove_unfinished(before=FUTURE) == 0


def test_a_disk_that_takes_no_more_is_told(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from storage.errors import StorageError\n"
        "from storage.spool import Spool\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "file = Spool(Path(sys.argv[1])).begin()\n"
        "try:\n    file.write(b'x' * 100_000)\n"
        "except StorageError as error:\n    file.abort(); print(error)\n"
    )
    assert resource.RLIMIT_FSIZE is not None
    root = Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "spool: File too large\n"
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a11_the_order_in_which_a_file_becomes_durable(spool: Spool, tmp_path: Path) -> None:
    seen: list[str] = []

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if is_watching and event in {"os.rename", "open"}:
            seen.append(f"{event} {Path(str(arguments[0])).suffix or 'directory'}")

    is_watching = False
    sys.addaudithook(audit)
    file = spool.begin()
    file.write(b"x")
    is_watching = True
    file.commit()
    is_watching = False
    assert seen == ["os.rename .tmp", "open directory"]


def test_b02_a_large_body_leaves_the_reserve_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.room.reserve = 2**60
    file = spool.begin()
    with pytest.raises(StorageFull, match="would be free"):
        file.write(b"x")
    file.abort()
