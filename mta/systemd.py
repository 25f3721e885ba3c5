"""Messages to the service manager: ready, stopping, watchdog (sd_notify(3)).

Silent where no service manager listens.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta


def notify(state: str) -> None:
    """Send one state, such as "READY=1"; nothing happens when no manager listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.send(state.encode())


def watchdog_interval() -> timedelta | None:
    """Return how often to send "WATCHDOG=1": half the unit's time, None when it asks for none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    here = str(os.getpid())
    if not microseconds.isdigit() or os.environ.get("WATCHDOG_PID", here) != here:
        return None
    return timedelta(microseconds=int(microseconds) / 2)
