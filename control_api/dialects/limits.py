"""Request limits of dialects: windows for each key and bucket, besides those of [api.limits].

Counted in memory: after a restart they begin anew. Clients of networks that are exempt from
[api.limits] are told where they stand, and are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from starlette.requests import Request

from control_api.dialects.base import Dialect, Operation
from control_api.errors import ApiError
from control_api.rate_limits import leave_headers, too_many
from control_api.routes import Services
from mta.core.rate_limit import Limit, Meter, is_idle, rule

_SWEEP = 1000
"""Meters that are new since idle ones were last forgotten."""


class DialectLimits:
    """The meters of all keys that spoke a dialect lately."""

    def __init__(self, services: Services, now: Callable[[], datetime]) -> None:
        self._gate = services.gate
        self._compat = services.settings.compat
        self._now = now
        self._meters: dict[tuple[str, str, str], tuple[Sequence[Limit], Meter]] = {}
        self._swept = 0

    def announce(self, request: Request, dialect: Dialect) -> None:
        """Leave headers for a response to somebody whose key is not known yet: the whole quota."""
        windows = dialect.limits(self._compat).get("", ())
        if windows:
            leave_headers(request, rule(windows, None, self._now(), cost=0))

    def count(self, request: Request, key_id: str, dialect: Dialect, operation: Operation) -> None:
        """Count one call, and leave the headers for its response.

        Raises:
            ApiError: 429; it is one too many.
        """
        limits = dialect.limits(self._compat)
        if not limits:
            return
        cost = 0 if self._gate.is_exempt(request) else 1
        for bucket in dict.fromkeys(("", operation.bucket)):
            windows = limits.get(bucket, ())
            if not windows:
                continue
            place = dialect.name, bucket, key_id
            meter = self._meters[place][1] if place in self._meters else None
            ruling = rule(windows, meter, self._now(), cost=cost)
            self._meters[place] = windows, ruling.meter
            leave_headers(request, ruling)
            if ruling.retry_after is not None:
                raise ApiError(too_many(ruling.retry_after))
        self._sweep()

    def _sweep(self) -> None:
        """Forget the meters that say nothing any more, once there are many new ones."""
        if len(self._meters) < self._swept + _SWEEP:
            return
        now = self._now()
        idle = [place for place, kept in self._meters.items() if is_idle(*kept, now)]
        for place in idle:
            del self._meters[place]
        self._swept = len(self._meters)
