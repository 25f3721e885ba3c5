"""When to try a deferred entry again (RFC 5321 4.5.4.1). Which outcomes defer: disposition.py."""

from __future__ import annotations

from datetime import datetime, timedelta

from mta.core.frozen import frozen


@frozen
class RetrySchedule:
    """Exponential backoff with a ceiling, jitter, and a lifetime after which the entry expires.

    Attributes:
        first: wait after the first deferral.
        factor: each further wait is this many times the one before, 1 to 1000.
        ceiling: no wait is longer than this, jitter apart.
        lifetime: counted from acceptance (or from send_at); an entry that cannot be tried again
            within it expires.
        jitter: share of the wait that may be added, 0 to 1, so that a restart does not make every
            entry of a domain due in the same second.
    """

    first: timedelta = timedelta(minutes=5)
    factor: float = 2.0
    ceiling: timedelta = timedelta(hours=4)
    lifetime: timedelta = timedelta(days=4)
    jitter: float = 0.1

    def next_attempt(
        self, *, eligible_at: datetime, attempts: int, now: datetime, draw: float
    ) -> datetime | None:
        """Return when to try again, or None when the entry must expire.

        A wait that would pass the end of the lifetime is cut to it: the last attempt is made then.

        Args:
            eligible_at: when the entry could first be tried: acceptance, or send_at (aware, UTC).
            attempts: attempts made so far, at least 1.
            now: end of the attempt that has just been deferred (aware, UTC).
            draw: uniform in [0, 1); scales the jitter.
        """
        expires_at = eligible_at + self.lifetime
        if now >= expires_at:
            return None
        exponent = min(attempts - 1, 64)  # beyond it any ceiling is long reached
        seconds = min(
            self.first.total_seconds() * self.factor**exponent, self.ceiling.total_seconds()
        )
        due = now + timedelta(seconds=seconds * (1 + self.jitter * draw))
        return min(due, expires_at)
