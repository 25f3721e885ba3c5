"""The engine's calls on a real database, and what they do in trouble."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Delivered, Disposition, Why
from mta.core.outcome import Accepted, Attempt, Command, Outcome, Peer, Refused
from mta.core.reply import Reply
from mta.engine_store import EngineStore, Marks
from storage import directives, engine_state, events, queue
from storage.database import Connection, Database
from storage.entries import EntryState
from storage.errors import StorageCorrupt, StorageError, StorageFull, StorageUnavailable
from storage.settlement import Settlement
from tests.storage import builders
from tests.storage.builders import LATER, NOW
from tests.support import virtual_time

BOUNCED = Bounced(BounceClass.BAD_MAILBOX)


async def test_start_frees_claims_and_knows_everything_so_far(database: Database) -> None:
    def work(connection: Connection) -> None:
        builders.accept(connection, "ant@a.test", "bee@b.test")
        builders.claim(connection, "a.test")

    database.write_now(work)
    store = EngineStore(database, "test")
    news = await store.begin(NOW)
    assert {each.domain for each in news.due} == {"a.test", "b.test"}
    assert (await store.news(news.marks)).due == []


async def test_start_leaves_what_other_processes_have_claimed(database: Database) -> None:
    def work(connection: Connection) -> None:
        builders.accept(connection, "ant@a.test")
        builders.claim(connection, "a.test")  # as "test"

    database.write_now(work)
    assert (await EngineStore(database, "another").begin(NOW)).due == []


async def test_news_are_new_entries_and_directives(database: Database) -> None:
    store = EngineStore(database, "test")
    database.write_now(lambda c: builders.accept(c, "ant@a.test"))
    start = await store.begin(NOW)

    def work(connection: Connection) -> None:
        builders.accept(connection, "bee@b.test", at=LATER)
        directives.record(connection, directives.DUE_CHANGED, "a.test")
        directives.record(connection, directives.DUE_CHANGED, "empty.test")
        directives.record(connection, directives.KEYS_CHANGED, "sender.test")

    database.write_now(work)
    news = await store.news(start.marks)
    assert {(each.domain, each.due_at) for each in news.due} == {("a.test", NOW), ("b.test", LATER)}
    assert (await store.news(news.marks)).due == []


async def test_entries_are_claimed_settled_and_given_back(database: Database) -> None:
    store = EngineStore(database, "test")
    database.write_now(lambda c: builders.accept(c, "ant@a.test", "bee@a.test"))
    claim = await store.claim([queue.ClaimRequest("a.test", 10)], NOW)
    ant, bee = claim.messages[0].entries
    await store.settle([builders.settlement(ant)])
    await store.give_back([bee.id], LATER, Why.SITE_BUSY)
    entries = {
        entry.recipient: (entry.state, entry.why)
        for entry in database.read_now(lambda c: queue.list_entries(c, limit=10))
    }
    assert entries["bee@a.test"] == ("waiting", "site_busy")
    assert (await store.claim([queue.ClaimRequest("a.test", 10)], NOW)).next_due == {
        "a.test": LATER
    }


async def test_suspensions_can_be_seen(database: Database) -> None:
    store = EngineStore(database, "test")
    await store.suspend("mx.a.test", LATER, Why.REPLY, "421 busy")
    [suspension] = database.read_now(engine_state.suspensions)
    assert (suspension.site, suspension.until, suspension.detail) == (
        "mx.a.test",
        LATER,
        "421 busy",
    )
    await store.lift("mx.a.test")
    assert database.read_now(engine_state.suspensions) == []


async def test_the_key_book_has_a_version(database: Database) -> None:
    book = await EngineStore(database, "test").key_book()
    assert (book.keys, book.version) == ({}, 0)


@pytest.mark.parametrize(
    ("outcome", "disposition", "state"),
    [
        (Accepted(Reply(250, "", "\ud800")), Delivered(), EntryState.DELIVERED),
        (Refused(Reply(550, "", "\ud800"), Command.RCPT), BOUNCED, EntryState.HELD),
    ],
)
async def test_what_cannot_be_written_down_is_so_without_words_and_spoils_nothing_else(
    database: Database,
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome,
    disposition: Disposition,
    state: EntryState,
) -> None:
    store = EngineStore(database, "test")
    database.write_now(lambda c: builders.accept(c, "ant@a.test", "bee@a.test", "cid@a.test"))
    claim = await store.claim([queue.ClaimRequest("a.test", 9)], NOW)
    ant, bee, cid = (entry for message in claim.messages for entry in message.entries)
    good = Attempt(Accepted(Reply(250, "", "ok")), Peer("mx.test"), NOW, NOW)
    bad = Attempt(outcome, Peer("mx.test"), NOW, NOW)
    await store.settle(
        [
            Settlement(ant.id, 1, Delivered(), good),
            Settlement(bee.id, 1, disposition, bad),
            Settlement(cid.id, 1, Delivered(), good),
        ]
    )
    assert "UnicodeEncodeError" in caplog.text
    rows = database.read_now(
        lambda c: c.execute("SELECT state, host FROM entries ORDER BY id").fetchall()
    )
    delivered = (EntryState.DELIVERED, "mx.test")
    assert rows == [delivered, (state, ""), delivered]
    told = database.read_now(lambda c: [one.kind for one in events.read(c, after=0, limit=9)])
    assert len(told) == 3 + 3  # each of them once, when queued and when tried


class FailingDatabase:
    """Fails as often as told, then says yes."""

    def __init__(self, *errors: StorageError, is_failed: bool = False) -> None:
        self.errors = list(errors)
        self.is_failed = is_failed
        self.calls = 0

    async def write(self, _: object) -> Any:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)

    read = note = write


def test_a_result_is_never_forgotten_because_storage_has_trouble() -> None:
    trouble = [StorageFull("disk full"), StorageUnavailable("locked")] * 5
    database = FailingDatabase(*trouble)

    async def story() -> timedelta:
        await EngineStore(database, "test").settle([])  # type: ignore[arg-type]
        return virtual_time.now() - virtual_time.EPOCH

    waited = virtual_time.run(story())
    assert database.calls == 11
    assert timedelta(minutes=2) < waited < timedelta(minutes=3)


@pytest.mark.parametrize(
    ("error", "is_failed"),
    [
        (StorageCorrupt("damaged"), False),
        (StorageError("no such column"), False),
        (StorageUnavailable("failed sync"), True),
    ],
)
def test_what_only_a_restart_can_mend_is_raised(error: StorageError, *, is_failed: bool) -> None:
    store = EngineStore(FailingDatabase(error, is_failed=is_failed), "test")  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        virtual_time.run(store.news(Marks(0, 0)))
