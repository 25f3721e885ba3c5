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
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

import uvloop

from config.settings import Settings, SettingsError
from mta import systemd
from mta.board import Board
from mta.composition import utc_now
from mta.core.json_text import encode
from mta.doors import Doors, open_doors
from mta.logs import log_event, logging_to_stderr
from mta.process import Process
from mta.roles import ALL, Part, plan
from mta.smtp_listener import crowd
from mta.supervisor import Supervisor
from mta.tls_certificate import TlsCertificateError
from storage import engine_state, faults, queue
from storage.data_dir import lock_data_dir
from storage.database import Connection, Database
from storage.errors import DataDirLocked, StorageError

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION, EXIT_LOCKED = 0, 1, 2, 75
ENDPOINTS_FILE = "endpoints.json"
"""In the data directory while serving: the addresses bound and the processes, for tools."""

logger = logging.getLogger(__name__)


def serve(settings: Settings, advice: Iterable[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code.

    `advice` is logged first: what the configuration allows but its operator may regret.
    0 is an orderly end. 1: a part failed, an address cannot be bound, storage cannot be used.
    2: the configuration cannot be served. 75: another server has the data directory.
    """
    parts = plan(settings.engine.processes, os.cpu_count() or 1)
    with logging_to_stderr(
        style=settings.log.format, level=settings.log.level, in_thread=len(parts) == 1
    ):
        for line in advice:
            logger.warning("%s", line)
        return _exit_code(lambda: _Server(settings, parts).run())


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


class _Server:
    """One `mta serve`: one process, or a supervisor and its children."""

    def __init__(self, settings: Settings, parts: Iterable[Part]) -> None:
        self._settings = settings
        self._parts = tuple(parts)
        self._data_dir = settings.server.data_dir
        names = [part.name for part in self._parts]
        self._board = Board(names)
        self._crowd = crowd(names, settings.submission.max_connections)
        self._doors: Doors

    def run(self) -> int:
        faults.check_environment()
        with lock_data_dir(self._data_dir), open_doors(self._settings) as self._doors:
            try:
                return self._run_here() if self._parts == (ALL,) else self._supervise()
            finally:
                (self._data_dir / ENDPOINTS_FILE).unlink(missing_ok=True)

    def _run_here(self) -> int:
        with closing(Database.open(self._data_dir)) as database:
            database.write_now(_forget_claims)
            self._run_part(ALL, database, None)
        log_event("stopped")
        return EXIT_OK

    def _supervise(self) -> int:
        code = _in_a_child(lambda: _exit_code(self._prepare))
        if code != EXIT_OK:
            return code
        gc.freeze()  # what is there by now stays shared between all processes
        return Supervisor(
            self._parts,
            work=self._be_child,
            on_ready=self._announce,
            on_stopping=self._doors.close,
            patience=self._settings.engine.shutdown_timeout.total_seconds(),
        ).run()

    def _prepare(self) -> int:
        """Bring the file to this release and free what an earlier run had claimed."""
        with closing(Database.open(self._data_dir)) as database:
            database.write_now(_forget_claims)
        return EXIT_OK

    def _be_child(self, part: Part, link: socket.socket) -> int:
        log = self._settings.log
        logging.getLogger().handlers.clear()  # the supervisor's, which this process has inherited
        with logging_to_stderr(style=log.format, level=log.level):
            return _exit_code(lambda: self._open_and_run(part, link))

    def _open_and_run(self, part: Part, link: socket.socket) -> int:
        self._doors.close(keep_mail=part.is_edge, keep_front=part.is_front)
        with closing(Database.open(self._data_dir, is_shared=True)) as database:
            self._run_part(part, database, link)
        return EXIT_OK

    def _run_part(self, part: Part, database: Database, link: socket.socket | None) -> None:
        database.spool.room.reserve = self._settings.server.disk_reserve

        async def run() -> None:
            announce = (lambda: self._announce({ALL.name: os.getpid()})) if link is None else None
            process = Process(self._settings, database, part, self._parts, self._board, self._crowd)
            await process.run(self._doors, link, announce=announce)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    def _announce(self, pids: Mapping[str, int]) -> None:
        """Say where everything listens: to tools, to the log, to the service manager."""
        endpoints = {"pid": os.getpid(), "processes": pids, **self._doors.endpoints}
        _replace(self._data_dir / ENDPOINTS_FILE, encode(endpoints))
        log_event("serving", **self._doors.endpoints)
        systemd.notify("READY=1")


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
