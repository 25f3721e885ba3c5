"""Request rates of API keys, kept so that a restart does not forget them.

Written in batches, a write for all keys together. Not here: counting (control_api/rate_limits.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mta.core import ids
from mta.core.rate_limit import Limit, Meter
from storage.database import Connection


def load(connection: Connection, limits: Sequence[Limit]) -> dict[str, Meter]:
    """Return what was saved of each key ("key_..." id), for these limits; others are left out."""
    places = {limit.name: place for place, limit in enumerate(limits)}
    used: dict[str, list[float]] = {}
    times: dict[str, int] = {}
    for key_id, policy, amount, at in connection.execute(
        "SELECT key_id, policy, used, at FROM rate_meters"
    ):
        if policy in places:
            used.setdefault(key_id, [0.0] * len(limits))[places[policy]] = amount
            times[key_id] = max(at, times.get(key_id, at))
    return {key_id: Meter(ids.moment(times[key_id]), tuple(used[key_id])) for key_id in used}


def save(
    connection: Connection,
    limits: Sequence[Limit],
    meters: Mapping[str, Meter],
    gone: Sequence[str] = (),
) -> None:
    """Write down the meters of keys, and forget the keys that are `gone` to nothing."""
    connection.executemany(
        "DELETE FROM rate_meters WHERE key_id = ?", [(key_id,) for key_id in (*gone, *meters)]
    )
    connection.executemany(
        "INSERT INTO rate_meters (key_id, policy, used, at) VALUES (?, ?, ?, ?)",
        [
            (key_id, limit.name, used, ids.milliseconds(meter.at))
            for key_id, meter in meters.items()
            for limit, used in zip(limits, meter.used, strict=True)
            if used
        ],
    )
