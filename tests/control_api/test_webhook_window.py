"""Whose turn it is: order within an email, nothing lost, whatever fails and wherever it crashes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from control_api.webhook_window import Post, Window
from storage import event_feed, events, webhook_history, webhook_outbox, webhooks
from storage.database import Connection, Database
from storage.event_feed import Span
from storage.events import JournalEntry
from storage.webhook_outbox import FOLLOWERS, Kept, Outbox, Place, Report
from storage.webhook_retries import Retry
from storage.webhooks import Health, WebhookRecord
from tests.control_api.conftest import NOW
from tests.control_api.test_webhook_message import EVENT
from tests.storage import builders

LATER = NOW + timedelta(seconds=5)


def event(seq: int, message: int = 0) -> JournalEntry:
    return replace(EVENT, seq=seq, message_row=message, email_id=f"em_{message}" if message else "")


def outbox(
    *fresh: JournalEntry, kept: tuple[Kept, ...] = (), waiting: set[int] | None = None
) -> Outbox:
    position = max((one.seq for one in fresh), default=0)
    return Outbox(kept, fresh, waiting or set(), position)


def window(*fresh: JournalEntry, cursor: int = 10) -> Window:
    made = Window("wh_1", cursor)
    made.add(outbox(*fresh))
    return made


def take_all(made: Window) -> list[int]:
    """Take what can be under way at once."""
    return [post.event.seq for post in iter(made.take, None)]


def taken(made: Window) -> Post:
    post = made.take()
    assert post is not None
    return post


class TestFresh:
    def test_events_of_one_email_take_turns(self) -> None:
        made = window(event(11, 1), event(12, 1), event(13, 2))
        first, other = taken(made), taken(made)
        assert (first.event.seq, other.event.seq) == (11, 13)
        assert made.take() is None
        made.settle(first)
        assert taken(made).event.seq == 12

    def test_events_without_an_email_are_on_their_own(self) -> None:
        assert take_all(window(event(11), event(12), event(13))) == [11, 12, 13]

    def test_cursor_waits_for_the_slowest(self) -> None:
        made = window(event(11, 1), event(12, 2), event(13, 3))
        slow, *others = (taken(made) for _ in range(3))
        for post in others:
            made.settle(post)
        assert made.progress(NOW).cursor == 10
        made.settle(slow)
        assert made.progress(NOW).cursor == 13
        assert made.size == 0

    def test_events_of_no_interest_are_passed(self) -> None:
        made = Window("wh_1", 10)
        made.add(Outbox((), (), (), position=40))
        assert made.cursor == 40

    def test_failure_keeps_one_row_for_all_that_follows_in_its_email(self) -> None:
        made = window(event(11, 1), event(12, 2), event(13, 1), event(14, 1))
        made.fail(taken(made), LATER)
        made.settle(taken(made))
        progress = made.progress(NOW)
        assert progress.kept == (Retry("wh_1", 11, 1, LATER, 1),)
        assert progress.cursor == 14
        assert made.take() is None

    def test_failed_event_without_an_email_holds_up_nothing(self) -> None:
        made = window(event(11))
        made.fail(taken(made), LATER)
        assert made.progress(NOW).kept == (Retry("wh_1", 11, 1, LATER, None),)

    def test_news_of_an_email_that_waits_is_passed(self) -> None:
        made = Window("wh_1", 10)
        made.add(outbox(event(11, 1), event(12, 2), waiting={1}))
        assert take_all(made) == [12]
        assert made.cursor == 11

    def test_news_of_an_email_whose_failure_is_not_written_yet_is_passed(self) -> None:
        made = window(event(11, 1))
        made.fail(taken(made), LATER)
        made.add(outbox(event(12, 1)))
        assert made.take() is None
        assert made.cursor == 12


class TestKept:
    RETRY = Retry("wh_1", 5, 2, NOW, 1)

    def kept(self, *seqs: int, rest: int | None = None) -> Window:
        made = Window("wh_1", 10)
        row = Kept(self.RETRY, tuple(event(seq, 1) for seq in seqs), rest)
        made.add(outbox(kept=(row,)))
        return made

    def test_only_the_rows_event_has_been_tried(self) -> None:
        made = self.kept(5, 7)
        first = taken(made)
        made.settle(first)
        assert (first.attempts, taken(made).attempts) == (2, 0)

    def test_row_moves_to_what_is_left(self) -> None:
        made = self.kept(5, 7)
        made.settle(taken(made))
        progress = made.progress(NOW)
        assert (progress.over, progress.kept) == ((5,), (Retry("wh_1", 7, 0, NOW, 1),))
        made.settle(taken(made))
        assert made.progress(NOW) == replace(progress, over=(7,), kept=())

    def test_row_moves_to_what_was_not_read(self) -> None:
        made = self.kept(5, rest=9)
        made.settle(taken(made))
        assert made.progress(NOW).kept == (Retry("wh_1", 9, 0, NOW, 1),)
        assert made.rows() == set()

    def test_row_that_is_worked_on_is_told(self) -> None:
        made = self.kept(5, 7)
        assert made.rows() == {5}
        made.add(outbox(kept=(Kept(self.RETRY, (event(5, 1),)),)))
        assert made.size == 2

    def test_news_of_its_email_follows(self) -> None:
        made = self.kept(5)
        made.add(outbox(event(11, 1), waiting={1}))
        made.settle(taken(made))
        assert made.progress(NOW).kept == (Retry("wh_1", 11, 0, NOW, 1),)
        assert taken(made).event.seq == 11

    def test_news_that_follows_what_was_not_read_waits(self) -> None:
        made = self.kept(5, rest=9)
        made.add(outbox(event(11, 1), waiting={1}))
        made.settle(taken(made))
        assert made.take() is None

    def test_failing_again_replaces_the_row(self) -> None:
        made = self.kept(5, 7)
        made.fail(taken(made), LATER)
        progress = made.progress(NOW)
        assert (progress.over, progress.kept) == ((5,), (Retry("wh_1", 5, 3, LATER, 1),))

    def test_row_whose_failure_is_not_written_yet_is_not_taken_again(self) -> None:
        made = self.kept(5)
        made.fail(taken(made), LATER)
        made.add(outbox(kept=(Kept(self.RETRY, (event(5, 1),)),)))
        assert made.take() is None

    def test_row_whose_event_is_gone_is_dropped(self) -> None:
        made = self.kept()
        assert made.has_changes
        assert made.progress(NOW).over == (5,)
        assert not made.has_changes

    def test_replay_holds_up_nothing(self) -> None:
        made = Window("wh_1", 10)
        row = Kept(Retry("wh_1", 5, 0, NOW), (event(5, 1),))
        made.add(outbox(event(11, 1), kept=(row,)))
        assert take_all(made) == [5, 11]


class Endpoint:
    """A receiver that fails at random, served by windows that crash at random."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.random = random.Random(seed)
        self.seen: list[JournalEntry] = []
        self.now = NOW
        self.window: Window | None = None
        self.under_way: list[Post] = []
        self.share_of_failures = self.random.choice([0.0, 0.2, 0.6])

    @property
    def record(self) -> WebhookRecord:
        found = self.database.read_now(lambda db: webhooks.get(db, "wh_1"))
        assert found is not None
        return found

    def act(self) -> None:
        """Do one thing that a lane does, or crash."""
        acts = [self.take, self.take, self.end, self.end, self.store, self.crash, self.happen]
        self.random.choices(acts, [8, 8, 8, 8, 3, 1, 4])[0]()
        self.now += timedelta(seconds=1)

    def crash(self) -> None:
        self.window, self.under_way = None, []

    def happen(self) -> None:
        """Let something happen to one of a few emails."""
        row = self.random.randrange(1, 5)
        kind = self.random.choice(["deferred", "delivered"])
        values = (row, row, 1, kind, 0, "{}")
        self.database.write_now(lambda db: events.append(db, [values]))

    def take(self) -> None:
        post = self.window.take() if self.window and len(self.under_way) < 3 else None
        if post is not None:
            self.under_way.append(post)

    def end(self) -> None:
        if not self.under_way or self.window is None:
            return
        post = self.under_way.pop(self.random.randrange(len(self.under_way)))
        if self.random.random() < self.share_of_failures:
            self.window.fail(post, self.now + timedelta(seconds=self.random.randrange(1, 20)))
        else:
            self.seen.append(post.event)
            self.window.settle(post)

    def store(self) -> None:
        """Write and read as a lane does."""
        record = self.record
        self.window = current = self.window or Window("wh_1", record.cursor)
        progress = current.progress(self.now)
        report = Report(
            progress.cursor, progress.over, progress.kept, (), 0, Health(), "", self.now
        )
        self.database.write_now(lambda db: webhook_outbox.write(db, record, report))
        limit = self.random.choice([1, 2, 10])
        place = Place(current.position, current.rows(), limit, 1_000_000)
        found = self.database.read_now(lambda db: webhook_outbox.read(db, record, place, self.now))
        for act in self.random.choices([self.take, self.end], k=self.random.randrange(6)):
            act()  # posts go on while storage is read
        current.add(found)

    def finish(self) -> None:
        """Let everything succeed until nothing is left."""
        self.share_of_failures = 0.0
        for _ in range(10_000):
            self.store()
            self.now += timedelta(seconds=30)
            while self.under_way or (self.window and self.window.is_ready):
                self.take()
                self.end()
            lag = self.database.read_now(lambda db: webhook_history.lag(db, self.record))
            if not (lag.events or lag.retrying or (self.window and self.window.has_changes)):
                return
        raise AssertionError("it never ends")


@contextmanager
def endpoint(directory: Path, seed: int) -> Iterator[Endpoint]:
    database = Database.open(directory)

    def fill(db: Connection) -> None:
        for number in range(4):
            builders.accept(db, f"u{number}@example.net")
        webhooks.create(
            db,
            tenant_id=1,
            webhook_id="wh_1",
            url="https://app.example/",
            kinds=None,
            secret="s",
            description="",
            now=NOW,
        )

    database.write_now(fill)
    yield Endpoint(database, seed)
    database.close()


@pytest.mark.parametrize("seed", range(25))
def test_k06_everything_arrives_in_its_emails_order(tmp_path: Path, seed: int) -> None:
    with endpoint(tmp_path, seed) as one:
        for _ in range(300):
            one.act()
        one.finish()
        journal = one.database.read_now(lambda db: event_feed.read(db, Span(1, after=4), limit=999))
    first_seen = list(dict.fromkeys(event.seq for event in one.seen))
    assert sorted(first_seen) == [event.seq for event in journal]
    messages = {event.seq: event.message_row for event in journal}
    for row in set(messages.values()):
        of_email = [seq for seq in first_seen if messages[seq] == row]
        assert of_email == sorted(of_email)


def test_long_emails_are_read_in_parts(tmp_path: Path) -> None:
    with endpoint(tmp_path, 0) as one:
        rows = [(1, 1, 1, "deferred", 0, "{}")] * (3 * FOLLOWERS)
        one.database.write_now(lambda db: events.append(db, rows))
        one.share_of_failures = 1.0
        one.store()
        one.take()
        one.end()
        for _ in range(3 * FOLLOWERS):
            one.store()  # all that follow are passed
        assert one.record.cursor == 4 + 3 * FOLLOWERS
        one.finish()
        assert [event.seq for event in one.seen] == list(range(5, 5 + 3 * FOLLOWERS))
