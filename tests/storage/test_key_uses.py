from __future__ import annotations

from datetime import datetime

from mta.core.access import UNRESTRICTED
from storage import tenants
from storage.database import Database
from storage.errors import StorageUnavailable
from storage.key_uses import KeyUses
from tests.storage.builders import LATER, NOW


class Counting:
    """A database that counts writes, or has none."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.writes = 0
        self.is_broken = False

    async def write(self, work: object) -> object:
        self.writes += 1
        if self.is_broken:
            raise StorageUnavailable("away")
        return await self.database.write(work)  # type: ignore[arg-type]


def create(database: Database, key_id: str) -> None:
    database.write_now(
        lambda db: tenants.create_key(
            db,
            tenant_id=1,
            name="x",
            key_id=key_id,
            key_hash=key_id.encode(),
            last4="x9Zq",
            now=NOW,
            access=UNRESTRICTED,
        )
    )


def used_at(database: Database) -> list[datetime | None]:
    return [key.used_at for key in database.read_now(tenants.list_keys)]


async def test_many_uses_of_many_keys_are_one_write(database: Database) -> None:
    create(database, "key_1")
    create(database, "key_2")
    counting = Counting(database)
    times = iter([NOW, NOW, LATER])
    uses = KeyUses(counting, lambda: next(times))  # type: ignore[arg-type]
    for key_id in ("key_1", "key_2", "key_1"):
        uses.note(key_id)
    assert used_at(database) == [None, None]
    await uses.flush()
    await uses.flush()
    assert counting.writes == 1
    assert used_at(database) == [LATER, NOW]


async def test_what_could_not_be_written_is_written_later(database: Database) -> None:
    create(database, "key_1")
    counting = Counting(database)
    uses = KeyUses(counting, lambda: NOW)  # type: ignore[arg-type]
    uses.note("key_1")
    counting.is_broken = True
    await uses.flush()
    counting.is_broken = False
    await uses.flush()
    assert used_at(database) == [NOW]
