"""How the kernel is asked to share the processor among the server and everything else.

Not here: how many processes there are (roles.py), and which core they run on, which is left to the
kernel.
"""

from __future__ import annotations

import os
from contextlib import suppress


def prefer_throughput() -> None:
    """Let this process, and those that it starts, work on until they wait (sched(7), SCHED_BATCH).

    The kernel then does not interrupt whoever runs because one of our threads has become ready:
    fewer switches for each message, and other programs go first. A policy that somebody has chosen
    stays; where the system forbids it, as a service manager may, nothing changes.
    """
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
