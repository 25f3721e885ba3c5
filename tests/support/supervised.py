"""A supervisor of two parts that do nothing, for tests: `python -m tests.support.supervised`.

A child prints "PART VERSION" and does its work until SIGTERM; SIGHUP gives the next version. Part
"b" of version 2 dies before it is ready, and any "b" while there is the file that is named. SIGUSR1
has a child end with ALL_ANEW. Part "a" takes LINGER seconds (of the environment) to end. The last
line is "looked N": how often the supervisor looked for news meanwhile.
"""

from __future__ import annotations

import itertools
import os
import selectors
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

from mta.logs import logging_to_stderr
from mta.roles import Part
from mta.supervisor import ALL_ANEW, READY, Orders, Supervisor


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def work(version: int, part: Part, link: socket.socket) -> int:
    is_spoilt = any(Path(path).exists() for path in sys.argv[1:])
    if part.name == "b" and (version == 2 or is_spoilt):
        return 1
    ends = {signal.SIGTERM, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    say(part.name, version)
    link.send(READY)
    if signal.sigwait(ends) == signal.SIGUSR1:
        return ALL_ANEW
    if part.name == "a":
        time.sleep(float(os.environ.get("LINGER", "0")))
    return 0


class CountingSelector(selectors.DefaultSelector):
    looks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.looks += 1
        return super().select(timeout)

    def count_anew(self) -> None:
        self.looks = 0


def main() -> int:
    versions = itertools.count(1)

    def orders() -> Orders:
        return Orders(partial(work, next(versions)), patience=5.0)

    selector = CountingSelector()
    with logging_to_stderr(style="plain", level="info"):
        code = Supervisor(
            [Part("a"), Part("b")],
            orders(),
            on_ready=lambda pids: say("ready", *sorted(pids)),
            on_stopping=selector.count_anew,
            renew=orders,
            _selector=selector,
        ).run()
    say("looked", selector.looks)
    return code


if __name__ == "__main__":
    sys.exit(main())
