"""One webhook endpoint's way through the journal: read what is due, post, write down the outcome.

Events are posted in batches, several at a time, those of one email in order. A post that fails is
kept in webhook_retries and tried again over three days. An endpoint at which everything fails is
paused: its cursor waits, and one post after each pause finds out whether it is back, so a dead
endpoint costs few rows however much happens meanwhile.

Not here: the decisions (webhook_plan.py), tasks and waking (webhook_sender.py), bytes on the wire
(webhook_message.py, http_client.py).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from control_api.http_client import HttpClient, Posted
from control_api.webhook_message import body_of, headers_of
from control_api.webhook_plan import Batch, Breaker, Judge, Post, Result
from storage import events, webhooks
from storage.database import Connection, Database
from storage.webhooks import Retry, WebhookRecord

BATCH = 100
"""Posts between two writes; as many may be repeated after a crash."""
MAX_RETRIES = 500
"""Rows in webhook_retries of one endpoint; once there, the cursor waits for what fails."""
LAZY_CURSOR = 1000
"""Events of no interest to the endpoint that its stored cursor may be behind."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tools:
    """What all lanes share.

    Attributes:
        now: the current time (aware, UTC).
        rng: for the jitter of retries.
        concurrency: posts under way to one endpoint at a time.
    """

    database: Database
    client: HttpClient
    now: Callable[[], datetime]
    rng: random.Random
    concurrency: int


class Lane:
    """Posts to one endpoint. Used by one task at a time.

    Attributes:
        is_over: whether the endpoint has been disabled, so that nothing is left to do.
    """

    def __init__(self, record: WebhookRecord, tools: Tools) -> None:
        self.is_over = False
        self._record = record
        self._tools = tools
        self._breaker = Breaker()
        self._cursor = self._stored_cursor = record.cursor

    async def step(self) -> datetime | None:
        """Post everything that is due; return when to be called next (aware, UTC).

        None means that only new events bring work.

        Raises:
            StorageError: call again; what was posted last is posted once more then.
        """
        while not self.is_over:
            now = self._tools.now()
            if self._breaker.is_open(now):
                return self._breaker.until
            batch = await self._next_batch(now, 1 if self._breaker.is_probing else BATCH)
            outcomes = await self._post_all(batch.posts)
            await self._conclude(batch, outcomes)
            if not (batch.posts or batch.lost):
                return batch.next_due
        return None

    async def _next_batch(self, now: datetime, limit: int) -> Batch:
        return await self._tools.database.read(lambda db: self._due(db, now, limit))

    def _due(self, connection: Connection, now: datetime, limit: int) -> Batch:
        """Read what is to be posted now, at most `limit` posts."""
        kept = webhooks.retries(connection, self._record.id, limit=MAX_RETRIES)
        due = sorted((one for one in kept if one.due_at <= now), key=lambda one: one.due_at)
        due = due[: max(1, limit // 2)]  # the other half is for news
        repeats = [post for one in due if (post := _repeat(connection, one))]
        room = MAX_RETRIES - len(kept)
        fresh_limit = min(limit - len(due), max(1, room))  # what fails finds room, or is alone
        fresh = events.read(
            connection,
            after=self._cursor,
            limit=fresh_limit,
            tenant_id=self._record.tenant_id,
            kinds=self._record.kinds,
        )
        is_all = len(fresh) < fresh_limit
        found = {post.event.seq for post in repeats}
        later = [one.due_at for one in kept if one not in due]
        return Batch(
            repeats=tuple(repeats),
            fresh=tuple(Post(event) for event in fresh),
            end=events.last_seq(connection) if is_all else self._cursor,
            room=room,
            lost=tuple(one.event_seq for one in due if one.event_seq not in found),
            next_due=min(later, default=None),
        )

    async def _post_all(self, posts: Sequence[Post]) -> dict[int, Posted]:
        """Post until all are done or the endpoint is paused; return the outcomes by seq."""
        by_email: dict[int, list[Post]] = defaultdict(list)
        for post in posts:
            by_email[post.event.message_row].append(post)
        outcomes: dict[int, Posted] = {}
        turn = asyncio.Semaphore(self._tools.concurrency)
        async with asyncio.TaskGroup() as group:
            for some in by_email.values():
                group.create_task(self._post_in_order(some, turn, outcomes))
        return outcomes

    async def _post_in_order(
        self, posts: Sequence[Post], turn: asyncio.Semaphore, outcomes: dict[int, Posted]
    ) -> None:
        for post in posts:
            async with turn:
                if self._breaker.is_open(self._tools.now()):
                    return
                outcome = outcomes[post.event.seq] = await self._post(post)
                self._note(post, outcome)

    async def _post(self, post: Post) -> Posted:
        body = body_of(post.event)
        headers = headers_of(post.event.id, self._tools.now(), body, self._record.secret)
        return await self._tools.client.post(self._record.url, body, headers)

    def _note(self, post: Post, outcome: Posted) -> None:
        was_open = self._breaker.is_open(now := self._tools.now())
        self._breaker.note(now, is_success=outcome.is_success)
        if not outcome.is_success:
            _log.info("webhook %s: %s not taken: %s", self._record.id, post.event.id, outcome)
        if self._breaker.is_open(now) and not was_open:
            _log.warning("webhook %s: paused until %s", self._record.id, self._breaker.until)

    async def _conclude(self, batch: Batch, outcomes: Mapping[int, Posted]) -> None:
        """Write down what came of a batch; a cursor that only skips events can wait."""
        judge = Judge(self._record.id, outcomes, self._tools.now(), self._tools.rng.random())
        result = judge.conclude(batch, self._cursor)
        is_behind = result.cursor - self._stored_cursor >= LAZY_CURSOR
        if outcomes or result.over or is_behind:
            await self._tools.database.write(lambda db: self._store(db, result))
            self._stored_cursor = result.cursor
        self._cursor = result.cursor
        self.is_over = result.is_gone
        for seq in result.given_up:
            _log.warning("webhook %s: gave up on the event with seq %d", self._record.id, seq)
        if self.is_over:
            _log.warning("webhook %s: disabled, it answered 410 Gone", self._record.id)

    def _store(self, connection: Connection, result: Result) -> None:
        for seq in result.over:
            webhooks.forget_retry(connection, self._record.id, seq)
        for retry in result.failed:
            webhooks.record_failure(connection, retry)
        webhooks.advance(connection, self._record.id, result.cursor)
        if result.is_gone:
            webhooks.set_disabled(connection, self._record.id, self._tools.now())


def _repeat(connection: Connection, retry: Retry) -> Post | None:
    """Return the post that a retry stands for, None when retention has removed its event."""
    found = events.read(connection, after=retry.event_seq - 1, limit=1)
    is_there = bool(found) and found[0].seq == retry.event_seq
    return Post(found[0], retry.attempts) if is_there else None
