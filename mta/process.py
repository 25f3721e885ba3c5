"""One process of the server: builds its parts, runs them in one event loop, ends them in order.

Part of the composition root: constructors are called here, nothing is decided here. A part that
dies of an error nobody expected ends the process with its traceback in the log; it is started
again, and what it had claimed is freed then. Not here: which process has which parts (roles.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from math import inf

from config.settings import Settings
from mta import systemd
from mta.board import Board
from mta.composition import build_engine, build_submission, utc_now
from mta.crowd import Crowd
from mta.doors import Doors
from mta.engine import Engine
from mta.front import Front
from mta.jobs import Jobs
from mta.kick import ACCEPTED, CHANGED, COMING, SETTLED, TOLD, Gatherer, Kicker, kick_listener
from mta.logs import ErrorCount
from mta.roles import Part
from mta.smtp_listener import SmtpListener
from mta.smtp_submission import Callbacks
from mta.supervisor import BEAT, READY
from storage.database import Database
from storage.key_uses import KeyUses

ACCEPT_PAUSE, COMING_PAUSE, SETTLE_PAUSE = 0.01, 0.004, 0.05
"""Seconds between two kicks of other processes while much is accepted, about to be, or settled."""
FIGURES_INTERVAL = 1.0
"""Seconds for which what a process shows to others is believed."""
STORAGE_INTERVAL = 0.5
"""Seconds between two looks whether anything can be written."""

logger = logging.getLogger(__name__)


class Process:
    """What one process does, from its first task to its last.

    Attributes:
        is_told_to_end: a signal has asked for the end of the server.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        part: Part,
        parts: Sequence[Part],
        board: Board,
        crowd: Crowd,
    ) -> None:
        """Build the parts, on the running loop; nothing runs or listens yet.

        Args:
            settings: the configuration.
            database: open.
            part: what this process does.
            parts: what all processes do, this one among them.
            board: the figures of all processes.
            crowd: the connections of apps to all processes.
        """
        self._board = board
        self._database = database
        self._settings = settings
        self._part = part
        self._stopping = asyncio.Event()
        self.is_told_to_end = False
        directory = settings.server.data_dir
        self._to_front = Kicker(directory, [one.name for one in parts if one.is_front])
        deliveries = [one.name for one in parts if one.share]
        self._to_deliveries = Kicker(directory, deliveries)
        self._accepted_elsewhere = Gatherer(
            lambda: self._to_deliveries.kick(ACCEPTED), ACCEPT_PAUSE
        )
        self._said_to_come_at = -inf
        self._settled_elsewhere = Gatherer(lambda: self._to_front.kick(SETTLED), SETTLE_PAUSE)
        self._told_elsewhere = Gatherer(lambda: self._to_front.kick(TOLD), SETTLE_PAUSE)
        self._elsewhere = (
            self._accepted_elsewhere,
            self._settled_elsewhere,
            self._told_elsewhere,
        )
        self._uses = KeyUses(database, utc_now)
        self._jobs = Jobs(lambda: database.is_failed)
        self._errors = ErrorCount()
        self._front: Front | None = None
        self._engine: Engine | None = None
        self._listener: SmtpListener | None = None
        if part.is_front:
            self._front = Front(
                settings,
                database,
                self._uses,
                on_accepted=self._accepted,
                on_urgent=self._urgent_comes,
                deliveries=() if part.share else deliveries,
            )
        if part.share:
            self._engine = build_engine(
                settings,
                database,
                part.name,
                owns=part.share.owns,
                on_events=self._settled,
                on_told=self._told,
            )
        if part.is_edge:
            service = build_submission(
                settings,
                database,
                Callbacks(self._accepted, self._urgent_comes, self._uses.note),
            )
            self._listener = SmtpListener(service, crowd.turnstile(part.name))

    async def run(
        self,
        doors: Doors,
        link: socket.socket | None,
        *,
        announce: Callable[[], object] | None = None,
        on_hangup: Callable[[], object] | None = None,
        on_end: Callable[[], object] | None = None,
    ) -> None:
        """Work until a signal asks for the end, stop() is called, or the supervisor is gone.

        Args:
            doors: the sockets of the whole server; those that are used are closed at the end.
            link: to the supervisor; None without one.
            announce: called once everything runs.
            on_hangup: called on SIGHUP; None ignores it, as is fit where a supervisor listens.
            on_end: called when a signal asks for the end of the server.
        """
        self._listen_for_signals(on_hangup, on_end)
        async with AsyncExitStack() as held:
            held.enter_context(self._errors.installed())
            held.callback(self._to_front.close)
            held.callback(self._to_deliveries.close)
            for gatherer in self._elsewhere:
                held.callback(gatherer.close)
            held.push_async_callback(self._uses.flush)
            directory = self._settings.server.data_dir
            held.enter_context(kick_listener(directory, self._on_kick, self._part.name))
            if self._front:
                await held.enter_async_context(self._front)
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work, name=name) for name, work in self._background(link)
                ]
                self._jobs.start(tasks, {"key uses": self._uses.run, "figures": self._show_figures})
                if self._engine:
                    tasks.create_task(self._engine.run(), name="engine")
                if self._listener:
                    await self._listener.serve(doors.submission)
                    await self._listener.serve(doors.submission_tls, implicit_tls=True)
                if self._front:
                    await self._front.begin(doors, tasks, self._board.totals)
                if link is not None:
                    link.setblocking(False)
                    link.send(READY)
                if announce:
                    announce()
                await self._stopping.wait()
                await self._end()
                self._jobs.cancel()
                for task in background:
                    task.cancel()

    def _background(
        self, link: socket.socket | None
    ) -> Sequence[tuple[str, Coroutine[None, None, None]]]:
        beats = _feed_watchdog() if link is None else _beat(link)
        work = [("watchdog", beats), ("storage", self._end_with_storage())]
        if link is not None:
            work.append(("supervisor", _end_with(link)))
        return work

    async def _end_with_storage(self) -> None:
        """End once nothing can be written any more: a file that is opened anew may do."""
        while True:
            await asyncio.sleep(STORAGE_INTERVAL)
            if self._database.is_failed:
                self.stop()

    def stop(self) -> None:
        """End in order, and soon."""
        self._stopping.set()

    async def _end(self) -> None:
        """Close the doors first, then finish deliveries, within the time that is configured."""
        patience = self._settings.engine.shutdown_timeout
        async with asyncio.TaskGroup() as ends:
            if self._front:
                ends.create_task(self._front.end(patience))
            if self._listener:
                ends.create_task(self._listener.stop(patience))
            if self._engine:
                ends.create_task(self._engine.stop(patience.total_seconds()))

    # Word from and to other processes.

    def _accepted(self) -> None:
        """There are new entries, and events of them."""
        if self._engine:
            self._engine.kick()
        else:
            self._accepted_elsewhere()
        self._settled()

    def _urgent_comes(self) -> None:
        """Transactional mail is being accepted. Said late it would hold up bulk in vain."""
        if self._engine:
            self._engine.make_way()
            return
        now = asyncio.get_running_loop().time()
        if now >= self._said_to_come_at + COMING_PAUSE:
            self._said_to_come_at = now
            with suppress(OSError):  # it would be of use only now
                self._to_deliveries.kick(COMING)

    def _settled(self) -> None:
        """The journal has grown."""
        if self._front:
            self._front.journal_grew()
        else:
            self._settled_elsewhere()

    def _told(self) -> None:
        """Senders are to be told of something."""
        if self._front:
            self._front.reports.tell()
        else:
            self._told_elsewhere()

    def _on_kick(self, kind: bytes) -> None:
        if self._engine and kind == COMING:
            self._engine.make_way()
        if self._engine and kind in {ACCEPTED, CHANGED}:
            self._engine.kick()
        if self._front and kind in {SETTLED, CHANGED}:
            self._front.journal_grew()
        if self._front and kind == TOLD:
            self._front.reports.tell()
        if self._front and kind == CHANGED:
            self._front.look_again()

    async def _show_figures(self) -> None:
        while True:
            figures = {"errors_logged": self._errors.count}
            if self._engine:
                figures["smtp_connections"] = self._engine.connections
            if self._listener:
                figures["submission_sessions"] = self._listener.connections
            self._board.show(self._part.name, figures)
            await asyncio.sleep(FIGURES_INTERVAL)

    def _listen_for_signals(
        self, on_hangup: Callable[[], object] | None, on_end: Callable[[], object] | None
    ) -> None:
        def end() -> None:
            self.is_told_to_end = True
            if on_end:
                on_end()
            self.stop()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        if on_hangup:
            loop.add_signal_handler(signal.SIGHUP, on_hangup)


async def _feed_watchdog() -> None:
    """Tell the service manager, as often as it asks, that the event loop turns."""
    interval = systemd.watchdog_interval() or timedelta(days=1)
    while True:
        await asyncio.sleep(interval.total_seconds())
        systemd.notify("WATCHDOG=1")


async def _beat(link: socket.socket) -> None:
    """Tell the supervisor that the event loop turns, where a service manager wants to know."""
    interval = systemd.beat_interval()
    while interval is not None:
        await asyncio.get_running_loop().sock_sendall(link, BEAT)
        await asyncio.sleep(interval.total_seconds())


async def _end_with(link: socket.socket) -> None:
    """End this process at once when its supervisor is gone: another may be about to start."""
    with socket.socket(fileno=os.dup(link.fileno())) as listening:
        listening.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_recv(listening, 1)
        except OSError as error:
            logger.debug("the supervisor: %s", error)
    os._exit(1)
