"""Channels that are not mail of ours: text messages and letters, and how the sandbox carries them.

The sandbox delivers nothing. What has become of an item follows from its age and its recipient
alone, so that a test, or an app under test, sees every state without waiting for somebody.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mta.core.frozen import frozen


class Channel(enum.Enum):
    """What an item travels by."""

    SMS = "sms"
    MAIL = "mail"


@frozen
class Step:
    """A state that an item is in from then on (aware, UTC)."""

    status: str
    at: datetime


QUEUED, CANCELED = "queued", "canceled"
FAILS = "fail"
"""What the sandbox looks for in a recipient, "0000" at the end of a number: it does not arrive."""

_WALKS: Mapping[Channel, Sequence[tuple[str, timedelta]]] = {
    Channel.SMS: (
        (QUEUED, timedelta()),
        ("sent", timedelta(seconds=1)),
        ("delivered", timedelta(seconds=2)),
    ),
    Channel.MAIL: (
        (QUEUED, timedelta()),
        ("printed", timedelta(minutes=1)),
        ("in_transit", timedelta(minutes=2)),
        ("delivered", timedelta(minutes=3)),
    ),
}
_FAILURE = {Channel.SMS: "failed", Channel.MAIL: "returned"}
STATUSES: Mapping[Channel, tuple[str, ...]] = {
    channel: (*(status for status, _ in walk), _FAILURE[channel], CANCELED)
    for channel, walk in _WALKS.items()
}
"""Every status that an item of a channel can have."""


def sandbox_steps(
    channel: Channel,
    recipient: str,
    created_at: datetime,
    canceled_at: datetime | None,
    now: datetime,
) -> tuple[Step, ...]:
    """Return what has become of an item in the sandbox up to now, the first thing first.

    Args:
        channel: of the item.
        recipient: number, or name of who gets a letter.
        created_at: when it was taken (aware).
        canceled_at: when it was canceled; None: it was not.
        now: aware.
    """
    fails = FAILS in recipient.lower() or recipient.endswith("0000")
    walk = [Step(status, created_at + after) for status, after in _WALKS[channel]]
    if fails:
        walk[-1] = Step(_FAILURE[channel], walk[-1].at)
    if canceled_at is not None:
        walk = [step for step in walk if step.at <= canceled_at] + [Step(CANCELED, canceled_at)]
    return tuple(step for step in walk if step.at <= now)
