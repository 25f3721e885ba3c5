"""What to make of webhook posts: when to try again, when to pause, how far the cursor moves.

Pure: outcomes and the time come in, values go out. Posting and storing: webhook_lane.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from control_api.http_client import Answered, Posted, Unanswered
from storage.events import JournalEntry
from storage.webhooks import Retry

RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Waits after the first failed post, the second, ...; when the post after the last fails too, it is
given up."""
JITTER = 0.1
"""Share of a wait that may be added, so that what failed together is not repeated together."""
FAILURES_TO_PAUSE = 5
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=15)

_GONE = 410


class Breaker:
    """Consecutive failures of an endpoint, and the pauses that they lead to: 10 s, then doubling.

    Attributes:
        until: end of the last pause (aware, UTC); None when the last post was a success.
    """

    def __init__(self) -> None:
        self.until: datetime | None = None
        self._failures = 0
        self._pause = FIRST_PAUSE

    @property
    def is_probing(self) -> bool:
        """Whether the next post is there to find out if the endpoint is back."""
        return self._failures >= FAILURES_TO_PAUSE

    def is_open(self, now: datetime) -> bool:
        """Whether nothing is to be posted now."""
        return self.until is not None and now < self.until

    def note(self, now: datetime, *, is_success: bool) -> None:
        """Take note of one post that ended now."""
        if is_success:
            self.until, self._failures, self._pause = None, 0, FIRST_PAUSE
            return
        self._failures += 1
        if self.is_probing and not self.is_open(now):
            self.until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class Post:
    """An event to be posted; attempts is how often that has failed before."""

    event: JournalEntry
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be posted to an endpoint at one time.

    Attributes:
        repeats: posts that failed before.
        fresh: events after the cursor, in order.
        end: where the cursor is when all of fresh is done.
        room: how many more retries may be kept.
        lost: seqs of retries whose event is no longer in the journal.
        next_due: when the next of the other retries is due (aware, UTC); None: there is none.
    """

    repeats: tuple[Post, ...]
    fresh: tuple[Post, ...]
    end: int
    room: int
    lost: tuple[int, ...] = ()
    next_due: datetime | None = None

    @property
    def posts(self) -> tuple[Post, ...]:
        """All posts, repeats first."""
        return self.repeats + self.fresh


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be written down about a batch.

    Attributes:
        cursor: seq up to which all events are posted or among the retries.
        failed: posts to try again.
        over: seqs of retries to drop: posted, given up, or without their event.
        given_up: seqs of those that were never posted with success.
        is_gone: the endpoint answered 410 Gone: it wants no more posts.
    """

    cursor: int
    failed: tuple[Retry, ...]
    over: tuple[int, ...]
    given_up: tuple[int, ...]
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides what follows from the posts of one batch.

    Attributes:
        webhook_id: the endpoint, "wh_...".
        outcomes: what came of each post, by seq; a post without an outcome was not made.
        now: aware, UTC.
        draw: uniform in [0, 1), for the jitter of the retries.
    """

    webhook_id: str
    outcomes: Mapping[int, Posted]
    now: datetime
    draw: float

    def conclude(self, batch: Batch, cursor: int) -> Result:
        """Return what to write down about a batch that began with the cursor there."""
        made = [post.event.seq for post in batch.repeats if post.event.seq in self.outcomes]
        again = self._retries(batch.repeats)
        over = set(made).difference(retry.event_seq for retry in again)
        cursor, failed = self._advance(batch, cursor)
        return Result(
            cursor=cursor,
            failed=(*again, *failed),
            over=(*batch.lost, *sorted(over)),
            given_up=tuple(seq for seq in sorted(over) if not self.outcomes[seq].is_success),
            is_gone=any(self._is_gone(outcome) for outcome in self.outcomes.values()),
        )

    def _advance(self, batch: Batch, cursor: int) -> tuple[int, list[Retry]]:
        """Return how far the cursor moves and the retries of the events that it passes.

        It stops before an event that was not posted, or that failed and finds no room.
        """
        failed: list[Retry] = []
        for post in batch.fresh:
            if post.event.seq not in self.outcomes:
                return cursor, failed
            retries = self._retries([post])
            if len(failed) + len(retries) > batch.room:
                return cursor, failed
            failed += retries
            cursor = post.event.seq
        return max(cursor, batch.end), failed

    def _retries(self, posts: Iterable[Post]) -> list[Retry]:
        """Return the retries that failed posts deserve: none for the last of them."""
        retries = []
        for post in posts:
            outcome = self.outcomes.get(post.event.seq)
            if outcome is None or outcome.is_success or post.attempts >= len(RETRY_AFTER):
                continue
            wait = RETRY_AFTER[post.attempts] * (1 + JITTER * self.draw)
            seq, attempts = post.event.seq, post.attempts + 1
            retry = Retry(self.webhook_id, seq, attempts, self.now + wait, *_last(outcome))
            retries.append(retry)
        return retries

    @staticmethod
    def _is_gone(outcome: Posted) -> bool:
        return isinstance(outcome, Answered) and outcome.status == _GONE


def _last(outcome: Posted) -> tuple[int | None, str]:
    """Return status and error as a retry keeps them."""
    match outcome:
        case Answered(status, _):
            return status, ""
        case Unanswered(error):
            return None, error
        case _:
            assert_never(outcome)
