"""Room on the disk, asked for seldom and counted in between."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from storage.database import Database
from storage.errors import StorageFull
from storage.room import FRESH, RESERVE, DiskRoom

MEBIBYTE = 2**20


def test_more_than_there_is_is_refused_and_the_next_small_one_is_not(tmp_path: Path) -> None:
    room = DiskRoom(tmp_path)
    with pytest.raises(StorageFull, match=f"less than {RESERVE >> 20} MiB"):
        room.require(2**60)
    room.require(1000)


def test_what_is_accepted_between_two_looks_counts(tmp_path: Path) -> None:
    now = 0.0
    room = DiskRoom(tmp_path, clock=lambda: now)
    room.require(0)
    half = room._left // 2 + 1
    room.require(half)
    with pytest.raises(StorageFull):
        room.require(half)
    now = FRESH
    room.require(half)


def test_what_goes_into_the_file_is_in_its_log_first(tmp_path: Path) -> None:
    with closing(Database.open(tmp_path)) as database:
        database.spool.room.reserve = shutil.disk_usage(tmp_path).free - 64 * MEBIBYTE
        with pytest.raises(StorageFull):
            database.require_room(40 * MEBIBYTE)
        database.require_room(20 * MEBIBYTE)
