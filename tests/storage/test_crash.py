"""Processes that die at the named points, and what the next start finds. (A03, A05, A06, A14)"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from storage import faults, message_lists, queue
from storage.database import Connection, Database
from storage.spool import Spool
from tests.storage import builders

ROOT = Path(__file__).resolve().parent.parent.parent


def run(what: str, directory: Path, number: int, fault: str = "") -> tuple[list[str], int]:
    """Run crash_worker and return the lines that it printed, and its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.storage.crash_worker", what, str(directory), str(number)],
        cwd=ROOT,
        env={**os.environ, "MTA_FAULTS": fault},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout.split("\n")[:-1], done.returncode


def recipients(data_dir: Path) -> list[str]:
    """Who mail waits for, after a check that all of it is whole."""
    database = Database.open(data_dir)
    database.check_integrity()
    waiting = {queue.EntryState.WAITING}
    entries = database.read_now(lambda c: queue.list_entries(c, limit=1000, states=waiting))
    emails = database.read_now(lambda c: message_lists.page(c, 1, limit=1000).emails)
    database.close()
    assert all(len(email.recipients) == 1 for email in emails)
    assert {entry.email_id for entry in entries} <= {email.public_id for email in emails}
    return [entry.recipient for entry in entries]


def users(count: int) -> list[str]:
    return [f"u{number}@example.net" for number in range(count)]


def test_a05_mail_that_was_not_committed_is_not_there(tmp_path: Path) -> None:
    acknowledged, status = run("accept", tmp_path, 5, "before_commit:3")
    assert (acknowledged, status) == (["0", "1"], faults.EXIT_STATUS)
    assert recipients(tmp_path) == users(2)


def test_a03_mail_that_was_committed_is_there_though_nobody_was_told(tmp_path: Path) -> None:
    acknowledged, status = run("accept", tmp_path, 5, "after_commit:3")
    assert (acknowledged, status) == (["0", "1"], faults.EXIT_STATUS)
    assert recipients(tmp_path) == users(3)


@pytest.mark.parametrize("point", ["before_checkpoint", "after_checkpoint"])
def test_a06_a_crash_around_a_checkpoint_loses_nothing(tmp_path: Path, point: str) -> None:
    acknowledged, status = run("accept", tmp_path, 5, point)
    assert (len(acknowledged), status) == (5, faults.EXIT_STATUS)
    assert recipients(tmp_path) == users(5)


@pytest.mark.parametrize("point", ["before_migration", "after_migration"])
def test_a14_a_crash_during_migration_leaves_one_schema_or_the_other(
    tmp_path: Path, point: str
) -> None:
    acknowledged, status = run("accept", tmp_path, 1, point)
    assert (acknowledged, status) == ([], faults.EXIT_STATUS)
    assert run("accept", tmp_path, 2) == (["0", "1"], 0)
    assert recipients(tmp_path) == users(2)


def test_claims_of_a_dead_process_are_freed(tmp_path: Path) -> None:
    run("accept", tmp_path, 3)
    database = Database.open(tmp_path)
    database.write_now(builders.claim)
    database.close()
    assert recipients(tmp_path) == []
    database = Database.open(tmp_path)
    assert database.write_now(lambda c: queue.free_claims(c, builders.NOW)) == 3
    database.close()
    assert recipients(tmp_path) == users(3)


@pytest.mark.parametrize("point", ["spool_written", "spool_synced"])
def test_an_unfinished_spool_file_is_no_file_and_can_be_cleared(tmp_path: Path, point: str) -> None:
    assert run("spool", tmp_path, 300_000, point) == ([], faults.EXIT_STATUS)
    spool, future = Spool(tmp_path / "spool"), builders.NOW + timedelta(days=36500)
    assert list(spool.names(before=future)) == []
    assert spool.remove_unfinished(before=future) == 1
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("point", ["spool_renamed", "spool_committed"])
def test_a_spool_file_without_a_message_can_be_found(tmp_path: Path, point: str) -> None:
    assert run("spool", tmp_path, 300_000, point) == ([], faults.EXIT_STATUS)
    spool, future = Spool(tmp_path / "spool"), builders.NOW + timedelta(days=36500)
    [name] = spool.names(before=future)
    assert spool.path(name).stat().st_size == 300_000


def test_b05_an_error_of_the_disk_is_never_acknowledged(tmp_path: Path) -> None:
    lines, _ = run("run_out", tmp_path, 60)
    acknowledged = [line for line in lines if line.isdecimal()]
    refused = lines[len(acknowledged) :]
    assert acknowledged
    assert refused == ["StorageUnavailable True"] * len(refused) != []
    assert recipients(tmp_path)[: len(acknowledged)] == users(len(acknowledged))


def test_b13_a_command_and_the_server_write_at_the_same_time(tmp_path: Path) -> None:
    database = Database.open(tmp_path)
    command = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.crash_worker", "accept", str(tmp_path), "100"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "0\n"  # it is at work

    def accept(connection: Connection) -> None:
        builders.accept(connection, "server@example.org")

    for _ in range(100):
        database.write_now(accept)
    rest, _ = command.communicate(timeout=30)
    assert len(rest.split()) == 99
    database.check_integrity()
    database.close()
    assert sorted(recipients(tmp_path)) == sorted([*users(100), *["server@example.org"] * 100])
