"""The process that others are children of: it starts them, watches them, and ends them in order.

It opens no database, has no threads and no event loop, so that forking is safe at any time. A child
that dies is started again, sooner the longer it had lived; one that dies before the server was ever
ready ends it, because it would again. When the supervisor itself dies, its children notice and
end at once, and until then they keep the lock of the data directory, which they have inherited.

One that ends with ALL_ANEW has all others ended too, and none is started until all have: only then
has everybody let go of a file of which nobody knows what is in it.

SIGHUP renews the children, one at a time: each ends in order, and its successor is ready before the
next one ends. A successor that dies before that takes the new orders back, for all of them.

Not here: what the children do (process.py). Follows sd_notify(3) through systemd.py.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from mta import systemd
from mta.core.frozen import frozen
from mta.logs import log_error, log_event
from mta.roles import Part

READY, BEAT = b"r", b"."
"""What a child says: it does its work now; its event loop still turns."""
FIRST_PAUSE, MAX_PAUSE = 0.1, 30.0
"""Seconds before a child is started again; doubling while it keeps dying."""
LIVED_WELL = 60.0
"""Seconds of life after which the next pause is a first one."""
GRACE = 20.0
"""Seconds past their own patience that children get to end in before they are killed."""
ALL_ANEW = 74
"""Exit code of a child that has lost what all of them share (EX_IOERR of sysexits(3))."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
logger = logging.getLogger(__name__)


@frozen
class Orders:
    """What children are told when they are started.

    Attributes:
        work: does a part in a child, given the child's end of its link; returns its exit code.
        patience: seconds that children take to end at most, by themselves.
    """

    work: Callable[[Part, socket.socket], int]
    patience: float


@dataclass(slots=True, eq=False)
class _Child:
    """One part and the process that does it at the moment.

    Attributes:
        pid: 0 while there is none.
        link: our end of the socket to it.
        started_at, beat_at, due_at: monotonic seconds; due_at: when to start it.
        ends_at: when it is killed if it has not ended, monotonic seconds; None: it is to stay.
    """

    part: Part
    pid: int = 0
    link: socket.socket | None = None
    is_ready: bool = False
    was_ready: bool = False
    started_at: float = 0.0
    beat_at: float = 0.0
    due_at: float = 0.0
    ends_at: float | None = None
    pause: float = FIRST_PAUSE


@dataclass(slots=True)
class Supervisor:
    """All children of one server.

    Attributes:
        parts: what they do, one each.
        orders: what they are told at first.
        on_ready: called with name -> pid whenever all children have become ready.
        on_stopping: called when the end begins.
        renew: called on SIGHUP; returns the orders from then on, None for those of before.
    """

    parts: Sequence[Part]
    orders: Orders
    on_ready: Callable[[Mapping[str, int]], None]
    on_stopping: Callable[[], None]
    renew: Callable[[], Orders | None]
    _children: list[_Child] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _wakeup: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)
    _is_announced: bool = False
    _former: Orders | None = None
    _outdated: list[_Child] = field(default_factory=list)
    _renewed: set[_Child] = field(default_factory=set)
    _is_clearing: bool = False
    _ends_at: float | None = None
    _code: int = 0

    def run(self) -> int:
        """Run until a signal asks for the end; return the exit code of the server."""
        self._listen_for_signals()
        self._children = [_Child(part) for part in self.parts]
        while not (self._ends_at and not any(child.pid for child in self._children)):
            self._start_due()
            self._renew_next()
            for key, _ in self._selector.select(self._timeout()):
                self._hear(key.fileobj, key.data)
            self._feed_watchdog()
            self._kill_late()
        log_event("stopped")
        return self._code

    def _listen_for_signals(self) -> None:
        reading, writing = self._wakeup
        for end in self._wakeup:
            end.setblocking(False)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(reading, selectors.EVENT_READ)

    # Beginning.

    def _start_due(self) -> None:
        self._is_clearing = self._is_clearing and any(child.pid for child in self._children)
        if self._ends_at is None and not self._is_clearing:
            for child in self._children:
                if not child.pid and time.monotonic() >= child.due_at:
                    self._start(child)

    def _start(self, child: _Child) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            os._exit(self._be(child, theirs))
        theirs.close()
        ours.setblocking(False)
        child.pid, child.link, child.is_ready, child.ends_at = pid, ours, False, None
        child.started_at = child.beat_at = time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _be(self, child: _Child, link: socket.socket) -> int:
        """Do a part, in the child; raises nothing."""
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it is for us
            self._selector.close()
            for other in self._children:
                if other.link is not None:
                    other.link.close()
            for end in self._wakeup:
                end.close()
            return self.orders.work(child.part, link)
        except BaseException:
            logger.exception("%s failed", child.part.name)
            return 1

    # Watching.

    def _hear(self, source: object, child: _Child | None) -> None:
        if child is None:
            for number in self._signals():
                self._act(signal.Signals(number))
        elif isinstance(source, socket.socket) and source is child.link:  # not lost since select
            try:
                said = source.recv(4096)
            except ConnectionError:
                said = b""
            if not said:  # it is ending; SIGCHLD follows
                self._selector.unregister(source)
                return
            child.beat_at = time.monotonic()
            if READY in said:
                child.is_ready = child.was_ready = True
                self._renew_next()
                if all(each.is_ready for each in self._children) and not self._is_renewing:
                    self._is_announced = True
                    self.on_ready({each.part.name: each.pid for each in self._children})

    def _signals(self) -> set[int]:
        with suppress(BlockingIOError):
            return set(self._wakeup[0].recv(4096))
        return set()

    def _act(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGCHLD:
                self._reap()
            case signal.SIGHUP if self._ends_at is None:
                self._renew_all()
            case signal.SIGTERM | signal.SIGINT if self._ends_at is None:
                self._end(0)
            case _:
                pass

    def _reap(self) -> None:
        for child in self._children:
            if child.pid:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    self._lost(child, os.waitstatus_to_exitcode(status))

    def _lost(self, child: _Child, code: int) -> None:
        pid, child.pid = child.pid, 0
        if child.link is not None:
            with suppress(KeyError):
                self._selector.unregister(child.link)
            child.link.close()
            child.link = None
        child.is_ready = False
        if self._ends_at is not None:
            self._code = self._code or max(code, 0)
            return
        if child.ends_at is not None:
            self._is_replaced(child)
            return
        log_error("process_ended", part=child.part.name, pid=pid, code=code)
        if not child.was_ready and not self._take_back(child) and not self._is_announced:
            self._end(code if code > 0 else 1)
            return
        if code == ALL_ANEW:
            self._clear()
        now = time.monotonic()
        lived_well = now - child.started_at > LIVED_WELL
        child.pause = FIRST_PAUSE if lived_well else min(2 * child.pause, MAX_PAUSE)
        child.due_at = now + child.pause

    def _clear(self) -> None:
        """End all that are left; they are started again once none is."""
        self._is_clearing = True
        for child in self._children:
            if child.pid and child.ends_at is None:
                child.is_ready = False
                child.ends_at = time.monotonic() + self.orders.patience + GRACE
                os.kill(child.pid, signal.SIGTERM)

    def _feed_watchdog(self) -> None:
        interval = systemd.watchdog_interval()
        if interval is None or not self._is_announced or self._ends_at is not None:
            return
        oldest = min(child.beat_at for child in self._children)
        if time.monotonic() - oldest < interval.total_seconds():
            systemd.notify("WATCHDOG=1")

    # Renewing.

    @property
    def _is_renewing(self) -> bool:
        return bool(self._outdated or self._former)

    def _renew_all(self) -> None:
        orders = self.renew()
        if orders is not None:
            self._former = self._former or self.orders
            self.orders = orders
            self._outdated = list(self._children)

    def _renew_next(self) -> None:
        """End the next child with old orders, as soon as all others do their work."""
        if self._ends_at is not None or not all(child.is_ready for child in self._children):
            return
        if not self._outdated:
            self._former = None
            self._renewed.clear()
            return
        child = self._outdated.pop(0)
        child.is_ready = False
        child.ends_at = time.monotonic() + (self._former or self.orders).patience + GRACE
        os.kill(child.pid, signal.SIGTERM)

    def _is_replaced(self, child: _Child) -> None:
        self._renewed.add(child)
        child.was_ready, child.ends_at = False, None
        child.due_at, child.pause = 0.0, FIRST_PAUSE

    def _take_back(self, child: _Child) -> bool:
        """Go back to the orders before the last ones, if these are new; tell whether they were."""
        if self._former is None:
            return False
        log_error("reload_failed", part=child.part.name)
        self.orders, self._former = self._former, None
        self._outdated = [*(self._renewed - {child})]
        self._renewed.clear()
        return True

    # Ending.

    def _end(self, code: int) -> None:
        systemd.notify("STOPPING=1")
        log_event("stopping")
        self.on_stopping()
        self._code = code
        self._ends_at = time.monotonic() + self.orders.patience + GRACE
        self._signal(signal.SIGTERM)

    def _kill_late(self) -> None:
        now = time.monotonic()
        for child in self._children:
            ends_at = self._ends_at if child.ends_at is None else child.ends_at
            if child.pid and ends_at is not None and now > ends_at:
                os.kill(child.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:  # not reaped yet, so the number is still its own
                os.kill(child.pid, number)

    def _timeout(self) -> float:
        now = time.monotonic()
        waits = [1.0]
        if self._ends_at is None and not self._is_clearing:
            waits += [each.due_at - now for each in self._children if not each.pid]
        if (interval := systemd.watchdog_interval()) is not None:
            waits.append(interval.total_seconds() / 2)
        return max(0.0, min(waits))
