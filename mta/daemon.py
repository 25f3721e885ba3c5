"""`mta serve`: takes the data directory, binds the ports, and starts the processes of the server.

What ends it, and with which exit code, is decided here. Not here: what the processes do
(process.py), which there are (roles.py), and how they are kept alive (supervisor.py). Owner of
uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import uvloop

from config.changes import fixed_changes
from config.settings import Settings, SettingsError
from mta import systemd
from mta.board import Board
from mta.composition import utc_now
from mta.core.frozen import frozen
from mta.core.json_text import encode
from mta.crowd import Crowd
from mta.doors import Doors, open_doors
from mta.logs import log_event, logging_to_stderr
from mta.process import Process
from mta.processor import prefer_throughput
from mta.roles import ALL, Part, plan
from mta.smtp_listener import crowd
from mta.supervisor import ALL_ANEW, Orders, Supervisor
from mta.tls_certificate import TlsCertificateError
from storage import engine_state, faults, queue
from storage.data_dir import lock_data_dir
from storage.database import Connection, Database
from storage.errors import DataDirLocked, StorageError
from storage.write_ahead_log import FAILED

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION, EXIT_STORAGE, EXIT_LOCKED = 0, 1, 2, ALL_ANEW, 75
ENDPOINTS_FILE = "endpoints.json"
"""In the data directory while serving: the addresses bound and the processes, for tools."""

COLLECT_AFTER = 10_000
"""Objects made and not freed before cycles are looked for; by default 700, which is one message."""
REHEARSAL_TIME = 30
"""Seconds in which new settings have to be tried."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


def serve(settings: Settings, reread: Callable[[], Settings], advice: Iterable[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code.

    SIGHUP calls `reread` and goes on with what it returns, or as before when that cannot be served.
    `advice` is logged first: what the configuration allows but its operator may regret.
    0 is an orderly end. 1: a part failed, an address cannot be bound, storage cannot be used.
    2: the configuration cannot be served. 74: the only process has lost its storage, and may find
    it again when started anew. 75: another server has the data directory.
    """
    prefer_throughput()
    parts = plan(settings.engine.processes, os.cpu_count() or 1)
    with logging_to_stderr(
        style=settings.log.format, level=settings.log.level, in_thread=len(parts) == 1
    ):
        for line in advice:
            logger.warning("%s", line)
        return _exit_code(lambda: _Server(settings, parts, reread).run())


def _exit_code(run: Callable[[], int]) -> int:
    try:
        return run()
    except DataDirLocked as error:
        logger.error("%s", error)  # noqa: TRY400 - expected, one line says it all
        return EXIT_LOCKED
    except (ValueError, SettingsError, TlsCertificateError) as error:
        logger.error("cannot serve: %s", error)  # noqa: TRY400
        return EXIT_CONFIGURATION
    except (StorageError, OSError) as error:  # OSError: an address that cannot be bound
        logger.error("cannot serve: %s", error)  # noqa: TRY400
        return EXIT_FAILED
    except ExceptionGroup:
        logger.exception("a part of the server failed; ending")
        return EXIT_FAILED


@frozen
class _Plan:
    """What processes work with from a start or a reload on, all of them together."""

    settings: Settings
    crowd: Crowd


class _Server:
    """One `mta serve`: one process, or a supervisor and its children."""

    def __init__(
        self, settings: Settings, parts: Iterable[Part], reread: Callable[[], Settings]
    ) -> None:
        self._parts = tuple(parts)
        self._reread = reread
        self._data_dir = settings.server.data_dir
        self._board = Board([part.name for part in self._parts])
        self._plan = self._planned(settings)
        self._doors: Doors
        self._built: list[Process] = []

    def _planned(self, settings: Settings) -> _Plan:
        names = [part.name for part in self._parts]
        return _Plan(settings, crowd(names, settings.submission.max_connections))

    def run(self) -> int:
        faults.check_environment()
        with lock_data_dir(self._data_dir), open_doors(self._plan.settings) as self._doors:
            try:
                return self._run_here() if self._parts == (ALL,) else self._supervise()
            finally:
                (self._data_dir / ENDPOINTS_FILE).unlink(missing_ok=True)

    def _run_here(self) -> int:
        with closing(Database.open(self._data_dir)) as database:
            database.write_now(_forget_claims)
            code = _run_on(database, self._serve_alone(database))
        log_event("stopped")
        return code

    async def _serve_alone(self, database: Database) -> None:
        process: Process | None = self._build(self._plan, ALL, database)
        while process is not None:
            process = await self._run_until_renewed(process, database)

    async def _run_until_renewed(self, process: Process, database: Database) -> Process | None:
        """Run the only process; return what follows on it, None: the end."""
        successors: list[Process] = []

        def renew() -> None:
            built = self._renewed(lambda plan: self._build(plan, ALL, database))
            if built is not None:
                successors[:] = [built]
                process.stop()

        await process.run(
            self._doors.copy(),
            None,
            announce=lambda: self._announce({ALL.name: os.getpid()}),
            on_hangup=renew,
            on_end=self._begin_end,
        )
        return None if process.is_told_to_end or not successors else successors[0]

    def _begin_end(self) -> None:
        systemd.notify("STOPPING=1")
        self._doors.close()

    def _supervise(self) -> int:
        code = _in_a_child(lambda: _exit_code(self._prepare))
        if code != EXIT_OK:
            return code
        gc.freeze()  # what is there by now stays shared between all processes
        gc.set_threshold(COLLECT_AFTER)
        return Supervisor(
            self._parts,
            self._orders(self._plan),
            on_ready=self._announce,
            on_stopping=self._doors.close,
            renew=self._renew,
        ).run()

    def _orders(self, plan: _Plan) -> Orders:
        patience = plan.settings.engine.shutdown_timeout.total_seconds()
        return Orders(partial(self._be_child, plan), patience)

    def _renew(self) -> Orders | None:
        return self._renewed(self._rehearsed)

    def _renewed(self, build: Callable[[_Plan], T]) -> T | None:
        """Return what is built by the configuration as it is now.

        None, and a line in the log, when that cannot be served: all goes on as before.
        """
        try:
            built = build(self._planned(self._changed()))
        except (ValueError, SettingsError, TlsCertificateError, StorageError, OSError) as error:
            logger.error("the old settings stay: %s", error)  # noqa: TRY400 - expected
            return None
        systemd.notify_reloading()
        log_event("reloading")
        return built

    def _changed(self) -> Settings:
        settings = self._reread()
        if keys := fixed_changes(self._plan.settings, settings):
            raise SettingsError(f"{', '.join(keys)}: needs a restart")
        return settings

    def _rehearsed(self, plan: _Plan) -> Orders:
        """Have everything built once in a child, because here nothing may be.

        Raises:
            SettingsError: it cannot be; the child has logged why.
        """
        if _in_a_child(lambda: self._rehearse(plan)) != EXIT_OK:
            raise SettingsError("they cannot be served")
        return self._orders(plan)

    def _rehearse(self, plan: _Plan) -> int:
        signal.alarm(REHEARSAL_TIME)
        return _exit_code(lambda: self._build_all(plan))

    def _build_all(self, plan: _Plan) -> int:
        async def build() -> list[Process]:
            return [self._build(plan, part, database) for part in self._parts]

        with closing(Database.open(self._data_dir, is_shared=True)) as database:
            self._built = _run(build())  # kept: this process ends without taking them down
        return EXIT_OK

    def _prepare(self) -> int:
        """Bring the file to this release and free what an earlier run had claimed."""
        with closing(Database.open(self._data_dir)) as database:
            database.write_now(_forget_claims)
        return EXIT_OK

    def _be_child(self, plan: _Plan, part: Part, link: socket.socket) -> int:
        log = plan.settings.log
        logging.getLogger().handlers.clear()  # the supervisor's, which this process has inherited
        with logging_to_stderr(style=log.format, level=log.level):
            return _exit_code(lambda: self._open_and_run(plan, part, link))

    def _open_and_run(self, plan: _Plan, part: Part, link: socket.socket) -> int:
        self._doors.close(keep_mail=part.is_edge, keep_front=part.is_front)
        with closing(Database.open(self._data_dir, is_shared=True)) as database:
            return _run_on(database, self._serve_part(plan, part, database, link))

    async def _serve_part(
        self, plan: _Plan, part: Part, database: Database, link: socket.socket
    ) -> None:
        await self._build(plan, part, database).run(self._doors, link)

    def _build(self, plan: _Plan, part: Part, database: Database) -> Process:
        database.spool.room.reserve = plan.settings.server.disk_reserve
        return Process(plan.settings, database, part, self._parts, self._board, plan.crowd)

    def _announce(self, pids: Mapping[str, int]) -> None:
        """Say where everything listens: to tools, to the log, to the service manager."""
        endpoints = {"pid": os.getpid(), "processes": pids, **self._doors.endpoints}
        _replace(self._data_dir / ENDPOINTS_FILE, encode(endpoints))
        log_event("serving", **self._doors.endpoints)
        systemd.notify("READY=1")


def _run(work: Coroutine[None, None, T]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _run_on(database: Database, work: Coroutine[None, None, None]) -> int:
    """Return the exit code of work that ends, in order or not, when its database has failed."""
    try:
        _run(work)
    except ExceptionGroup:
        if not database.is_failed:
            raise
    if database.is_failed:
        logger.error("%s", FAILED)
        return EXIT_STORAGE
    return EXIT_OK


def _forget_claims(connection: Connection) -> None:
    queue.free_claims(connection, utc_now())
    engine_state.lift_all(connection)


def _in_a_child(work: Callable[[], int]) -> int:
    """Return the exit code of work that is done in a process of its own."""
    pid = os.fork()
    if pid == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _replace(path: Path, data: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)
