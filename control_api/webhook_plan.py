"""What to make of webhook posts: when to try again, when to pause, when to disable.

Pure: outcomes and the time come in, values go out. The order of posts is webhook_window.py, posting
and storing webhook_lane.py. The schedule and the rules for disabling are those of Standard Webhooks
1.0, "Deliverability and reliability".
"""

from __future__ import annotations

from datetime import datetime, timedelta

from control_api.http_client import Answered, Posted
from mta.core.frozen import frozen
from storage.webhooks import Health

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
LONGEST_WISH = timedelta(days=1)
"""Of a Retry-After; the pause of the whole endpoint that it leads to is LONGEST_PAUSE at most."""
DISABLE_AFTER = timedelta(days=5)
"""An endpoint is disabled when nothing but failures came of it for so long."""
FORGIVEN_AFTER = timedelta(days=2)
"""Failures that are further apart do not belong together: nobody has tried in between."""

_GONE = 410


def next_try(attempts: int, outcome: Posted, now: datetime, draw: float) -> datetime | None:
    """Return when to repeat a post that has failed so; None when it is given up.

    Args:
        attempts: failed posts of the event, this one included, at least 1.
        outcome: of this one; its Retry-After makes the wait longer, never shorter.
        now: aware, UTC.
        draw: uniform in [0, 1), for the jitter.
    """
    if attempts > len(RETRY_AFTER):
        return None
    wait = RETRY_AFTER[attempts - 1] * (1 + JITTER * draw)
    return now + max(wait, wished_wait(outcome))


def wished_wait(outcome: Posted) -> timedelta:
    """Return for how long the endpoint asks to be left alone, zero when it does not."""
    wish = outcome.retry_after if isinstance(outcome, Answered) else None
    return min(wish or timedelta(), LONGEST_WISH)


def is_gone(outcome: Posted) -> bool:
    """Tell whether the endpoint wants no more posts at all (410 Gone)."""
    return isinstance(outcome, Answered) and outcome.status == _GONE


@frozen
class Streak:
    """The failures since the last success.

    Attributes:
        since: the first of them (aware, UTC); None: the last post was a success.
        last: the last of them (aware, UTC).
    """

    since: datetime | None = None
    last: datetime | None = None

    def after(self, now: datetime, *, is_success: bool) -> Streak:
        """Return the streak after a post that ended now."""
        if is_success:
            return Streak()
        is_new = self.since is None or self.last is None or now - self.last > FORGIVEN_AFTER
        return Streak(now if is_new else self.since, now)

    @property
    def is_too_long(self) -> bool:
        """Whether the endpoint is to be disabled."""
        return bool(self.since and self.last and self.last - self.since >= DISABLE_AFTER)

    def health(self, paused_until: datetime | None) -> Health:
        """Return it as it is stored, with the end of the last pause."""
        return Health(self.since, self.last, paused_until)


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

    def note(
        self, now: datetime, *, is_success: bool, wished_wait: timedelta = timedelta()
    ) -> None:
        """Take note of one post that ended now; a wished wait pauses the endpoint at once."""
        if is_success:
            self.until, self._failures, self._pause = None, 0, FIRST_PAUSE
            return
        self._failures += 1
        if self.is_probing and not self.is_open(now):
            self.until = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if wished_wait:
            wished = now + min(wished_wait, LONGEST_PAUSE)
            self.until = wished if self.until is None else max(self.until, wished)
