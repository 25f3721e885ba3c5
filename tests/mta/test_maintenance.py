"""Upkeep: retention, orphaned files, the write-ahead log."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mta.maintenance import Maintenance
from storage import idempotency, message_lists, messages, stats
from storage.database import Connection, Database
from storage.errors import StorageFull
from tests.storage import builders
from tests.storage.builders import NOW

DAY = timedelta(days=1)


def upkeep(database: Database, now: datetime = NOW) -> Maintenance:
    return Maintenance(database, keep_bodies=DAY, keep_events=30 * DAY, now=lambda: now)


def spooled(database: Database) -> str:
    file = database.spool.begin()
    file.write(b"Subject: x\r\n\r\nbody\r\n")
    return file.commit()


def deliver_one_from_spool(database: Database) -> str:
    """Accept a message that is in a spool file and settle it; return the file's name."""
    name = spooled(database)
    message = replace(builders.message(), data=None, file=name)

    def work(connection: Connection) -> None:
        builders.accept(connection, message=message)
        builders.settle_all(connection, builders.claim(connection))

    database.write_now(work)
    return name


async def test_bodies_go_before_events_and_messages_last(database: Database) -> None:
    name = deliver_one_from_spool(database)
    [email] = database.read_now(lambda c: message_lists.page(c, 1, limit=10).emails)

    await upkeep(database, NOW + DAY / 2).tidy()
    assert database.spool.path(name).exists()

    await upkeep(database, NOW + 2 * DAY).tidy()
    assert not database.spool.path(name).exists()
    assert database.read_now(lambda c: messages.get(c, 1, email.public_id)) is not None

    await upkeep(database, NOW + 40 * DAY).tidy()
    assert database.read_now(lambda c: messages.get(c, 1, email.public_id)) is None


async def test_more_than_a_step_is_pruned_in_one_round(database: Database) -> None:
    def work(connection: Connection) -> None:
        for _ in range(3):
            builders.accept(connection, *(f"u{number}@example.net" for number in range(300)))
        builders.settle_all(connection, builders.claim(connection, limit=900))

    database.write_now(work)
    await upkeep(database, NOW + 40 * DAY).tidy()
    count = database.read_now(lambda c: c.execute("SELECT COUNT(*) FROM events").fetchone())
    assert count == (0,)


async def test_old_answers_are_forgotten(database: Database) -> None:
    answer = idempotency.StoredAnswer(b"", 200, b"{}", NOW)
    key = {"tenant_id": 1, "scope": "POST /v1/emails", "key": "k"}
    database.write_now(lambda c: idempotency.remember(c, **key, answer=answer))
    await upkeep(database, NOW + 2 * DAY).tidy()
    assert database.read_now(lambda c: idempotency.find(c, **key)) is None


async def test_orphans_go_and_files_in_use_and_young_ones_stay(
    database: Database, tmp_path: Path
) -> None:
    orphan, in_use = spooled(database), deliver_one_from_spool(database)
    half_written = tmp_path / "data" / "spool" / f"{'0' * 32}.tmp"
    half_written.touch()
    old = (datetime.now(UTC) - DAY).timestamp()
    for path in (database.spool.path(orphan), database.spool.path(in_use), half_written):
        os.utime(path, (old, old))
    young = spooled(database)

    await upkeep(database, datetime.now(UTC)).remove_orphans()
    assert {path.name for path in (tmp_path / "data" / "spool").iterdir()} == {in_use, young}


async def test_the_log_is_emptied_once_nothing_happens_any_more(
    database: Database, tmp_path: Path
) -> None:
    log = tmp_path / "data" / "mailwright.db-wal"
    task = upkeep(database)
    deliver_one_from_spool(database)
    await task.tidy()
    assert log.stat().st_size > 0, "there was news since the last look"
    await task.tidy()
    assert log.stat().st_size == 0
    deliver_one_from_spool(database)
    await task.tidy()
    assert log.stat().st_size > 0
    await task.tidy()
    assert log.stat().st_size == 0


async def test_a_full_disk_only_puts_it_off() -> None:
    class Full:
        calls = 0

        async def read(self, _: object) -> None:
            self.calls += 1
            raise StorageFull("disk full")

    database = Full()
    task = upkeep(database)  # type: ignore[arg-type]
    await task._patiently(task.tidy)
    await task._patiently(task.tidy)
    assert database.calls == 2


async def test_what_happened_is_counted(database: Database) -> None:
    deliver_one_from_spool(database)
    await upkeep(database).tidy()
    scope = stats.Scope(1, NOW - DAY, NOW + DAY)
    [delivered] = database.read_now(lambda c: stats.totals(c, scope, ["delivered"]))
    assert delivered.count == 1
    await upkeep(database, NOW + 500 * DAY).tidy()
    assert database.read_now(lambda c: stats.totals(c, scope, ["delivered"])) == []
