"""Messages that come together are committed together, and fail apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from mta.acceptor import MAX_BATCH, Acceptor
from storage.database import Connection, Database
from storage.errors import StorageError
from storage.submissions import AcceptedEmail, Wish
from tests.storage.builders import ANY_SENDER, NOW, submission

T = TypeVar("T")


class Counting:
    """A database that counts what it is handed, and can be made to wait."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.handed = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, work: Callable[[Connection], T]) -> T:
        self.handed += 1
        await self.gate.wait()
        return await self._database.write(work)


def acceptor(database: Any) -> Acceptor:
    return Acceptor(database, now=lambda: NOW)


def wish(**changes: Any) -> Wish:
    return Wish(submission(**changes), ANY_SENDER)


def stored(database: Database) -> int:
    return int(
        database.read_now(lambda c: c.execute("SELECT count(*) FROM messages").fetchone())[0]
    )


async def test_what_comes_in_one_turn_goes_together(database: Database) -> None:
    counting = Counting(database)
    wishes = [wish() for _ in range(5)]
    own = acceptor(counting)
    found = await asyncio.gather(*map(own.accept, wishes))
    assert [one.public_id for one in found if isinstance(one, AcceptedEmail)] == [
        one.submission.public_id for one in wishes
    ]
    assert counting.handed == 1


async def test_while_a_batch_is_on_its_way_the_next_one_gathers(database: Database) -> None:
    counting = Counting(database)
    counting.gate.clear()
    own = acceptor(counting)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(own.accept(wish()))
            for _ in range(3):
                await asyncio.sleep(0)
        assert counting.handed == 1
        counting.gate.set()
    assert counting.handed == 2
    assert stored(database) == 4


async def test_more_than_a_batch_holds_goes_in_several(database: Database) -> None:
    counting = Counting(database)
    own = acceptor(counting)
    await asyncio.gather(*(own.accept(wish()) for _ in range(2 * MAX_BATCH + 1)))
    assert counting.handed == 3
    assert stored(database) == 2 * MAX_BATCH + 1


async def test_what_is_wrong_with_one_message_fails_no_other(database: Database) -> None:
    twin = wish()
    await acceptor(database).accept(twin)
    other = wish()
    twice, fine = await asyncio.gather(
        *map(acceptor(database).accept, (twin, other)), return_exceptions=True
    )
    assert isinstance(twice, StorageError)
    assert isinstance(fine, AcceptedEmail)
    assert stored(database) == 2


async def test_a_session_that_is_given_up_stops_nobody(database: Database) -> None:
    counting = Counting(database)
    counting.gate.clear()
    own = acceptor(counting)
    given_up = asyncio.create_task(own.accept(wish()))
    kept = asyncio.create_task(own.accept(wish()))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    counting.gate.set()
    assert isinstance(await kept, AcceptedEmail)
    assert stored(database) == 2


async def test_each_is_judged_by_its_own_policy(database: Database) -> None:
    strict = Wish(submission(), replace(ANY_SENDER, require_verified_domain=True))
    own = acceptor(database)
    refused, accepted = await asyncio.gather(own.accept(strict), own.accept(wish()))
    assert not isinstance(refused, AcceptedEmail)
    assert isinstance(accepted, AcceptedEmail)
    assert stored(database) == 1
