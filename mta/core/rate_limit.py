"""Request rates: how much of several windows a client has used, and whether it may go on.

Each limit is a bucket that holds `quota` requests and drains evenly over its window (the leaky
bucket as a meter, ITU-T I.371). A request counts in all buckets of a client or, when one is full,
in none. The state is one number for each limit and one time, so it is small to keep, and a clock
that jumps does no harm: forward it empties the buckets early, back it stops them for a moment.

Not here: whose requests (control_api/rate_limits.py), mail (quota.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from mta.core.frozen import frozen

_LIMIT = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,4})?([smhd])", re.ASCII)
_ROUNDING = 1e-6
"""Of a request: what draining in fractions may be off by."""
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@frozen
class Limit:
    """So many requests in a window.

    Attributes:
        quota: requests, at least 1.
        window: the time in which a full bucket empties.
        name: as it was written, such as "5000/m"; policies are known by it.
    """

    quota: int
    window: timedelta
    name: str


@frozen
class Meter:
    """What a client has used.

    Attributes:
        at: when that was so (aware, UTC).
        used: requests in the bucket of each limit, in the order of the limits.
    """

    at: datetime
    used: tuple[float, ...]


@frozen
class Standing:
    """Where a client stands with one limit.

    Attributes:
        remaining: requests that it may send at once.
        reset: until the bucket is empty and the whole quota is there again.
    """

    limit: Limit
    remaining: int
    reset: timedelta


@frozen
class Ruling:
    """What becomes of one request.

    Attributes:
        meter: the client's from now on.
        standings: one for each limit.
        retry_after: None: the request may pass; else how long to wait for the next.
    """

    meter: Meter
    standings: tuple[Standing, ...]
    retry_after: timedelta | None

    @property
    def tightest(self) -> Standing:
        """The standing with the least remaining."""
        return min(self.standings, key=lambda standing: standing.remaining)


def parse_limit(text: str) -> Limit:
    """Return the limit of text such as "100/s", "5000/m", "20/10s" or "100000/d".

    Raises:
        ValueError: another form.
    """
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError('expected a rate such as "100/s", "5000/m" or "20/10s"')
    quota, count, unit = match.groups()
    return Limit(int(quota), int(count or 1) * _UNITS[unit], text)


def rule(limits: Sequence[Limit], meter: Meter | None, now: datetime, *, cost: int = 1) -> Ruling:
    """Count a request.

    Args:
        limits: at least one.
        meter: the client's, of the same limits; None: it has not been seen lately.
        now: aware, UTC; earlier than meter.at when the clock was set back.
        cost: requests that it counts for; 0 only looks.
    """
    used = _drained(limits, meter, now)
    waits = [
        _time(limit, level + cost - limit.quota) for limit, level in zip(limits, used, strict=True)
    ]
    wait = max(waits) if cost else timedelta(0)
    if wait <= timedelta(0):
        used = tuple(level + cost for level in used)
    standings = tuple(
        Standing(limit, max(0, int(limit.quota - level + _ROUNDING)), _time(limit, level))
        for limit, level in zip(limits, used, strict=True)
    )
    return Ruling(Meter(now, used), standings, wait if wait > timedelta(0) else None)


def is_idle(limits: Sequence[Limit], meter: Meter, now: datetime) -> bool:
    """Tell whether a meter says no more than none at all would."""
    return not any(_drained(limits, meter, now))


def _drained(limits: Sequence[Limit], meter: Meter | None, now: datetime) -> tuple[float, ...]:
    if meter is None:
        return (0.0,) * len(limits)
    elapsed = max(timedelta(0), now - meter.at)
    return tuple(
        max(0.0, level - limit.quota * (elapsed / limit.window))
        for limit, level in zip(limits, meter.used, strict=True)
    )


def _time(limit: Limit, requests: float) -> timedelta:
    """Return how long so many requests take to drain; nothing for none, or fewer."""
    return limit.window * (max(0.0, requests) / limit.quota)


def whole_seconds(span: timedelta) -> int:
    """Return a span in seconds, rounded up, so that who waits so long has waited long enough."""
    return math.ceil(span.total_seconds())
