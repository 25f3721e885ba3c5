"""Run by test_delivery_crash.py as a process that is to die while it delivers.

Accepts mail unless there is some, delivers all of it to a server that prints whom it took mail for,
and ends when nothing waits any more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from mta.core.outcome import Outcome
from mta.core.shaping import Limits
from mta.core.transaction import Transaction
from mta.delivery import Tools
from mta.dispatcher import Dispatcher
from mta.engine import Engine
from mta.engine_store import EngineStore
from mta.scheduler import Scheduler
from mta.settling import Settler, SettlingRules
from mta.timetable import Timetable
from mta.transactions import TransactionBuilder
from storage import faults
from storage.database import Database
from tests.storage import builders
from tests.support.delivery_rig import OK, RETRY, FakeConnector, FakeRouter, FakeSession


def now() -> datetime:
    return datetime.now(UTC)


async def take(_: FakeSession, transaction: Transaction) -> Sequence[Outcome]:
    for recipient in transaction.recipients:
        sys.stdout.write(recipient.address + "\n")
    sys.stdout.flush()
    return [OK] * len(transaction.recipients)


def engine(database: Database) -> Engine:
    connector: Any = FakeConnector()
    connector.site("example.net").answer = take
    router: Any = FakeRouter()
    store, timetable, random = EngineStore(database, "test"), Timetable(), Random(1)
    tools = Tools(
        connector,
        TransactionBuilder(store, database.spool, None),
        Settler(store, timetable, SettlingRules(RETRY), random),
        now,
    )
    dispatcher = Dispatcher(tools, timetable, Limits(max_connections_per_site=2), random)
    return Engine(Scheduler(store, router, dispatcher, tools, timetable), dispatcher)


async def main(data_dir: Path, count: int) -> None:
    database = Database.open(data_dir)
    pending = "SELECT COUNT(*) FROM entries WHERE state < 10"
    if database.read_now(lambda c: c.execute("SELECT COUNT(*) FROM entries").fetchone()) == (0,):
        for number in range(count):
            recipient = f"u{number}@example.net"
            database.write_now(lambda c, to=recipient: builders.accept(c, to, at=now()))  # type: ignore[misc]
    delivery = engine(database)
    task = asyncio.create_task(delivery.run())
    while await database.read(lambda c: c.execute(pending).fetchone()) != (0,):
        assert not task.done()
        await asyncio.sleep(0.01)
    await delivery.stop(1.0)
    await task
    database.close()


if __name__ == "__main__":
    faults.check_environment()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
