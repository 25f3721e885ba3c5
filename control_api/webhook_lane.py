"""One webhook endpoint's way through the journal: read what is due, post, write down the outcome.

Several posts are under way at a time, those of one email one after the other. What fails is kept in
webhook_retries and tried again over three days; an event that hangs or fails holds up its own email
and nothing else. An endpoint at which everything fails is paused, and one post after each pause
finds out whether it is back; after five days of that it is disabled. So a dead endpoint costs few
rows however much happens meanwhile.

Not here: the decisions (webhook_plan.py), the order (webhook_window.py), tasks and waking
(webhook_sender.py), bytes on the wire (webhook_message.py, http_client.py).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import field
from datetime import datetime, timedelta
from typing import assert_never

from control_api.http_client import Answered, HttpClient, Posted, Unanswered
from control_api.webhook_formats import Formats
from control_api.webhook_message import format_named
from control_api.webhook_plan import Breaker, Streak, is_gone, next_try, wished_wait
from control_api.webhook_window import Post, Window
from mta.core.frozen import frozen
from storage import faults, webhook_outbox, webhooks
from storage.database import Database
from storage.errors import StorageError
from storage.webhook_attempts import Result, WebhookAttempt
from storage.webhook_outbox import Place, Report
from storage.webhooks import WebhookRecord

WINDOW = 200
"""Posts in memory; as many may be repeated after a crash."""
BATCH = 100
"""Posts that are written down together."""
PATIENCE = 0.25
"""Seconds until less than a batch is written down, while there is more to post."""
LAZY_CURSOR = 1000
"""Events of no interest to the endpoint that its stored cursor may be behind."""
OUR_FAULT = "not posted, for an error of ours; the log of the server has it"
"""What attempts say of a post that something went wrong with that nobody expected."""

logger = logging.getLogger(__name__)


@frozen
class Tools:
    """What all lanes share.

    Attributes:
        now: the current time (aware, UTC).
        rng: for the jitter of retries.
        concurrency: posts under way to one endpoint at a time.
        max_backlog: events of the journal that an endpoint may be behind.
        kick: called when a lane has added an event to the journal.
        formats: how endpoints can get events, besides the native format.
    """

    database: Database
    client: HttpClient
    now: Callable[[], datetime]
    rng: random.Random
    concurrency: int
    max_backlog: int = 1_000_000
    kick: Callable[[], None] = lambda: None
    formats: Formats = field(default_factory=dict)


class Lane:
    """Posts to one endpoint. Used by one task at a time.

    Attributes:
        record: the endpoint as it was when the lane last heard of it.
        is_over: whether the endpoint has been disabled, so that nothing is left to do.
    """

    def __init__(self, record: WebhookRecord, tools: Tools) -> None:
        self.record = record
        self.is_over = False
        self._tools = tools
        self._breaker = Breaker()
        self._streak = Streak(record.health.failing_since, record.health.failed_at)
        self._is_gone = False
        self._window: Window | None = None
        self._stored_cursor = record.cursor
        self._attempts: list[WebhookAttempt] = []
        self._dropped = 0
        self._runners = 0
        self._may_have_news = True
        self._stirred = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    def update(self, record: WebhookRecord) -> None:
        """Take in that the endpoint was changed: its URL, kinds, secrets, or retries.

        Another URL is another endpoint: it is not paused for what the old one did.
        """
        if record.url != self.record.url:
            self._breaker = Breaker()
        self.record = record
        self.wake()

    def wake(self) -> None:
        """Say that the journal has grown; step() that is under way looks too."""
        self._may_have_news = True
        self._stirred.set()

    async def step(self) -> datetime | None:
        """Post everything that is due; return when to be called next (aware, UTC).

        None means that only new events bring work.

        Raises:
            StorageError: call again; what was posted last is posted once more then.
        """
        if self.is_over:
            return None
        problem: StorageError | None = None
        due_at: datetime | None = None
        async with asyncio.TaskGroup() as group:
            try:
                due_at = await self._drive(group)
            except StorageError as error:
                problem, self._window = error, None  # what is under way ends, and is forgotten
            finally:
                self._silence()
        if problem is not None:
            self.forget()
            raise problem
        return due_at

    def forget(self) -> None:
        """Let go of what is not written down; the next step begins at what is."""
        self._window, self._attempts, self._dropped = None, [], 0

    async def _drive(self, group: asyncio.TaskGroup) -> datetime | None:
        """Keep posts under way, and memory and storage in step, until nothing is due."""
        window = self._window or await self._open_window()
        self._may_have_news = True
        while True:
            self._stirred.clear()
            await self._write_down(window)
            if self.is_over:
                return None
            pause = self._breaker.until if self._breaker.is_open(self._tools.now()) else None
            due_at = None if pause else await self._read(window)
            self._start(group, window)
            is_idle = not (self._runners or self._attempts or window.has_changes)
            if is_idle and pause:
                return pause
            if is_idle and not (window.is_ready or self._may_have_news):
                return due_at
            if self._runners:
                await self._stirred.wait()

    async def _open_window(self) -> Window:
        webhook_id = self.record.id
        found = await self._tools.database.read(lambda db: webhooks.get(db, webhook_id))
        cursor = self._stored_cursor = self.record.cursor if found is None else found.cursor
        self._window = Window(webhook_id, cursor)
        return self._window

    async def _read(self, window: Window) -> datetime | None:
        """Fill the window; return when there is more to do, once all that is in it is done."""
        limit = 1 if self._breaker.is_probing else WINDOW
        if window.size > limit // 2:
            return None
        self._may_have_news = False
        place = Place(window.position, window.rows(), limit, self._tools.max_backlog)
        record, now = self.record, self._tools.now()
        found = await self._tools.database.read_durable(
            lambda db: webhook_outbox.read(db, record, place, now)
        )
        window.add(found)
        self._dropped += found.dropped
        self._may_have_news |= found.has_more
        return found.next_due

    def _start(self, group: asyncio.TaskGroup, window: Window) -> None:
        while window.is_ready and self._may_run(window, self._runners + 1):
            self._runners += 1
            group.create_task(self._run(window, window.take()))

    def _may_run(self, window: Window, runners: int) -> bool:
        """Tell whether so many posts may be under way."""
        is_current = window is self._window and not self.is_over
        most = 1 if self._breaker.is_probing else self._tools.concurrency
        return is_current and runners <= most and not self._breaker.is_open(self._tools.now())

    async def _run(self, window: Window, post: Post | None) -> None:
        """Make one post after the other until none may be made."""
        try:
            while post is not None:
                self._settle(window, post, *await self._post(post))
                post = window.take() if self._may_run(window, self._runners) else None
        finally:
            self._runners -= 1
            if not self._runners:
                self._stirred.set()

    async def _post(self, post: Post) -> tuple[Posted, datetime, timedelta]:
        """Make one post; return its outcome, when it began and how long it took."""
        at, started = self._tools.now(), time.monotonic()
        try:
            form = format_named(self._tools.formats, self.record.format)
            body = form.body_of(post.event)
            headers = form.headers_of(post.event.id, at, body, self.record.secrets(at))
            outcome = await self._tools.client.post(self.record.url, body, headers)
        except Exception:
            logger.exception("webhook %s: we failed at %s", self.record.id, post.event.id)
            outcome = Unanswered(OUR_FAULT)
        return outcome, at, timedelta(seconds=time.monotonic() - started)

    def _settle(
        self, window: Window, post: Post, outcome: Posted, at: datetime, latency: timedelta
    ) -> None:
        """Decide what follows from a post, and take note of it."""
        now = self._tools.now()
        self._note(now, outcome)
        due_at = None
        if not outcome.is_success:
            logger.info(
                "webhook %s: %s not taken: %s", self.record.id, post.event.id, _short(outcome)
            )
            due_at = next_try(post.attempts + 1, outcome, now, self._tools.rng.random())
        if due_at is not None:
            result = Result.FAILED
            window.fail(post, due_at)
        else:
            result = Result.DELIVERED if outcome.is_success else Result.GIVEN_UP
            window.settle(post)
        if result is Result.GIVEN_UP:
            logger.warning("webhook %s: gave up on %s", self.record.id, post.event.id)
        self._attempts.append(_attempt(post, outcome, at, latency, result))
        self._stir(window)

    def _note(self, now: datetime, outcome: Posted) -> None:
        """Bring breaker and streak up to date."""
        was_open, was_probing = self._breaker.is_open(now), self._breaker.is_probing
        self._streak = self._streak.after(now, is_success=outcome.is_success)
        self._breaker.note(now, is_success=outcome.is_success, wished_wait=wished_wait(outcome))
        self._is_gone |= is_gone(outcome)
        if self._breaker.is_open(now) and not was_open:
            level = logging.INFO if was_probing else logging.WARNING
            logger.log(level, "webhook %s: paused until %s", self.record.id, self._breaker.until)

    def _stir(self, window: Window) -> None:
        """Wake _drive at once when there is much to write or room to fill, or else soon."""
        is_low = self._may_have_news and window.size <= WINDOW // 2
        if is_low or self._is_gone or len(self._attempts) >= BATCH:
            self._stirred.set()
        elif self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(PATIENCE, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._stirred.set()

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _write_down(self, window: Window) -> None:
        """Store what has come of posts; a cursor that only skips events can wait."""
        is_behind = window.cursor - self._stored_cursor >= LAZY_CURSOR
        if not (self._attempts or window.has_changes or self._dropped or is_behind):
            return
        now = self._tools.now()
        progress = window.progress(now)
        report = Report(
            cursor=progress.cursor,
            over=progress.over,
            kept=progress.kept,
            attempts=self._attempts,
            dropped=self._dropped,
            health=self._streak.health(self._breaker.until),
            disabled_for="gone" if self._is_gone else "failing" if self._streak.is_too_long else "",
            at=now,
        )
        self._attempts, self._dropped = [], 0
        record = self.record
        faults.reach("before_webhook_write")
        excess = await self._tools.database.write(
            lambda db: webhook_outbox.write(db, record, report)
        )
        faults.reach("after_webhook_write")
        self._stored_cursor = progress.cursor
        self._tell(report, excess)

    def _tell(self, report: Report, excess: int) -> None:
        """Say what else was written down than posts."""
        if report.dropped or excess:
            count = report.dropped + excess
            logger.warning("webhook %s: %d events dropped, too many wait", self.record.id, count)
        if report.disabled_for:
            self.is_over = True
            logger.warning("webhook %s: disabled, it is %s", self.record.id, report.disabled_for)
            self._tools.kick()


def _short(outcome: Posted) -> str:
    return f"answered {outcome.status}" if isinstance(outcome, Answered) else outcome.error


def _attempt(
    post: Post, outcome: Posted, at: datetime, latency: timedelta, result: Result
) -> WebhookAttempt:
    match outcome:
        case Answered(status, text, _):
            return WebhookAttempt(post.event.seq, at, latency, status, "", text, result)
        case Unanswered(error):
            return WebhookAttempt(post.event.seq, at, latency, None, error, "", result)
        case _:
            assert_never(outcome)
