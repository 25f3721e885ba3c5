"""The part of the journal that an endpoint's lane has in memory: whose turn it is, how far it got.

Pure: events and outcomes come in, posts to make and rows to write come out. Events of one email
are a chain: each is posted after the one before it. When one fails, a row is kept that stands for
it and all that follow it in its email: the cursor can pass them, and the other emails go on.

After a crash this holds: an event is posted, or behind the stored cursor, or its email has a row
with an event that is not later. Hence each is posted at least once, and in its email's order.

Not here: when to repeat (webhook_plan.py), posting and storing (webhook_lane.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from mta.core.frozen import frozen
from storage.events import JournalEntry
from storage.webhook_outbox import Kept, Outbox
from storage.webhook_retries import Retry


@frozen
class Post:
    """An event to be posted.

    Attributes:
        attempts: how often that has failed before.
        message_row: whose later events wait for it; None: none do.
    """

    event: JournalEntry
    attempts: int = 0
    message_row: int | None = None


@frozen
class Progress:
    """What is to be written down.

    Attributes:
        cursor: seq up to which all events are posted or stand behind a row.
        over: seqs of rows to drop.
        kept: rows to write, after those were dropped.
    """

    cursor: int
    over: tuple[int, ...]
    kept: tuple[Retry, ...]


@dataclass(slots=True)
class _Chain:
    """Events of one email, or a single event, in order.

    Attributes:
        posts: what is left to post; the first may be under way.
        row: seq of the row that stands for them; None: there is none, they are fresh.
        rest: as Kept.rest.
        has_moved: whether the row is behind what was posted.
    """

    posts: deque[Post]
    row: int | None = None
    rest: int | None = None
    has_moved: bool = False


_Key = tuple[str, int]


@dataclass(slots=True)
class _Changes:
    """Rows to be written next."""

    over: set[int] = field(default_factory=set)
    failed: dict[_Key, Retry] = field(default_factory=dict)


class Window:
    """Reads and writes must not overlap: call progress(), store it, then add() what is read."""

    def __init__(self, webhook_id: str, cursor: int) -> None:
        """Begin behind the stored cursor."""
        self.position = cursor
        self._webhook_id = webhook_id
        self._chains: dict[_Key, _Chain] = {}
        self._ready: deque[_Key] = deque()
        self._open: dict[int, None] = {}  # fresh events that no row stands for, in order
        self._changes = _Changes()

    @property
    def size(self) -> int:
        """How many posts it holds, those under way included."""
        return sum(len(chain.posts) for chain in self._chains.values())

    @property
    def is_ready(self) -> bool:
        """Whether a post can be taken."""
        return bool(self._ready)

    @property
    def has_changes(self) -> bool:
        """Whether rows are to be written."""
        has_moved = any(chain.has_moved and chain.row for chain in self._chains.values())
        return has_moved or bool(self._changes.over or self._changes.failed)

    @property
    def cursor(self) -> int:
        """Seq up to which all events are posted or stand behind a row."""
        return next(iter(self._open), self.position + 1) - 1

    def rows(self) -> set[int]:
        """Return the seqs of the rows that are being worked on, which need not be read again."""
        return {chain.row for chain in self._chains.values() if chain.row is not None}

    def add(self, news: Outbox) -> None:
        """Take in what was read."""
        for kept in news.kept:
            self._add_kept(kept)
        for event in news.fresh:
            self._add_fresh(event, is_waiting=event.message_row in news.waiting)
        self.position = max(self.position, news.position)

    def _add_kept(self, kept: Kept) -> None:
        retry = kept.retry
        key = _key(retry.message_row, retry.event_seq)
        if key in self._chains or key in self._changes.failed:
            return  # the row is about to be written anew
        posts = deque(
            Post(event, retry.attempts if event.seq == retry.event_seq else 0, retry.message_row)
            for event in kept.events
        )
        has_lost_event = not posts or posts[0].event.seq != retry.event_seq
        self._chains[key] = _Chain(posts, retry.event_seq, kept.rest, has_moved=has_lost_event)
        if posts:
            self._ready.append(key)

    def _add_fresh(self, event: JournalEntry, *, is_waiting: bool) -> None:
        post = Post(event, 0, event.message_row or None)
        key = _key(post.message_row, event.seq)
        chain = self._chains.get(key)
        if chain is None:
            if is_waiting or key in self._changes.failed:
                return  # a row stands for it
            chain = self._chains[key] = _Chain(deque())
        if chain.row is None:
            self._open[event.seq] = None
        elif chain.rest is not None:
            return  # it follows events that are not here
        if not chain.posts:
            self._ready.append(key)
        chain.posts.append(post)

    def take(self) -> Post | None:
        """Return the next post to make, None when there is none; settle() what became of it."""
        if not self._ready:
            return None
        return self._chains[self._ready.popleft()].posts[0]

    def settle(self, post: Post) -> None:
        """Note that a post was a success, or is given up."""
        key = _key(post.message_row, post.event.seq)
        chain = self._chains[key]
        chain.posts.popleft()
        chain.has_moved = True
        self._open.pop(post.event.seq, None)
        if chain.posts:
            self._ready.append(key)
        elif chain.row is None:
            del self._chains[key]

    def fail(self, post: Post, due_at: datetime) -> None:
        """Note that a post failed and is to be repeated then (aware)."""
        key = _key(post.message_row, post.event.seq)
        chain = self._chains.pop(key)
        for one in chain.posts:
            self._open.pop(one.event.seq, None)
        if chain.row is not None:
            self._changes.over.add(chain.row)
        self._changes.failed[key] = Retry(
            self._webhook_id, post.event.seq, post.attempts + 1, due_at, post.message_row
        )

    def progress(self, now: datetime) -> Progress:
        """Return what to write down since the last time; emptied chains go."""
        over, kept = self._changes.over, list(self._changes.failed.values())
        for key, chain in list(self._chains.items()):
            if chain.row is None or not chain.has_moved:
                continue
            over.add(chain.row)
            chain.row = chain.posts[0].event.seq if chain.posts else chain.rest
            chain.has_moved = False
            if chain.row is not None:  # then it is an email's: single events end with their post
                kept.append(Retry(self._webhook_id, chain.row, 0, now, message_row=key[1]))
            if not chain.posts:
                del self._chains[key]
        self._changes = _Changes()
        return Progress(self.cursor, tuple(sorted(over)), tuple(kept))


_EMAIL, _SINGLE = "email", "single"


def _key(message_row: int | None, seq: int) -> _Key:
    return (_SINGLE, seq) if message_row is None else (_EMAIL, message_row)
