"""Messages to the service manager: ready, reloading, stopping, watchdog (sd_notify(3)).

Silent where no service manager listens, and where it does not: its trouble is not the mail's.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from datetime import timedelta

BEAT_INTERVAL = timedelta(milliseconds=500)
"""Longest time between two beats of a child."""

PATIENCE = 0.1
"""Seconds that a manager gets to read what it was told before, the queue being short."""


def notify(state: str) -> None:
    """Send one state, such as "READY=1"; it is lost when no manager listens, or none reads."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        suppress(OSError),
    ):
        sender.settimeout(PATIENCE)
        sender.connect(address)
        sender.send(state.encode())


def notify_reloading() -> None:
    """Say that settings are being read again; "READY=1" says that this is over."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> timedelta | None:
    """Return how often to send "WATCHDOG=1": half the unit's time, None when it asks for none."""
    here = str(os.getpid())
    if os.environ.get("WATCHDOG_PID", here) != here:
        return None
    return _part_of_watchdog_time(2)


def beat_interval() -> timedelta | None:
    """Return how often a child tells its supervisor that it lives, None when nobody asks.

    Twice as often as the supervisor looks, so that children whose beats fall apart all count.
    """
    interval = _part_of_watchdog_time(8)
    return None if interval is None else min(interval, BEAT_INTERVAL)


def _part_of_watchdog_time(parts: int) -> timedelta | None:
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return timedelta(microseconds=int(microseconds) / parts) if microseconds.isdigit() else None
