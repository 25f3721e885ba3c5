"""Clients without a good key, and those of pages that need none: too many requests have to wait.

A good key always passes: who has one may share an address with the trouble. A client is an IPv4
address or the /64 that one IPv6 site has; of too many, the oldest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from control_api.errors import ApiError, Problem
from mta.core.network import client_network
from mta.core.rate_limit import Limit, Meter, rule, whole_seconds

MAX_CLIENTS = 10_000


class Brake:
    """Requests by client, of one process."""

    def __init__(
        self,
        limits: Sequence[Limit],
        now: Callable[[], datetime],
        what: str = "requests without a good API key",
    ) -> None:
        """Take how many are let pass (empty: any number), the time, and what is too many."""
        self._limits = limits
        self._now = now
        self._what = what
        self._meters: OrderedDict[str, Meter] = OrderedDict()

    def note(self, address: str) -> None:
        """Count a request.

        Raises:
            ApiError: 429; it is one too many.
        """
        if not self._limits:
            return
        client = client_network(address)
        ruling = rule(self._limits, self._meters.get(client), self._now())
        self._meters[client] = ruling.meter
        self._meters.move_to_end(client)
        if len(self._meters) > MAX_CLIENTS:
            self._meters.popitem(last=False)
        if ruling.retry_after is not None:
            raise ApiError(_braked(self._what, ruling.retry_after))


def _braked(what: str, wait: timedelta) -> Problem:
    seconds = whole_seconds(wait)
    message = f"Too many {what} came from your address; wait {seconds} s."
    return Problem(429, "too_many_failures", message, headers={"Retry-After": str(seconds)})
