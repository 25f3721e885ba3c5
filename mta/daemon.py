"""`mta serve`: builds everything, runs it in one event loop, and ends it in order.

The composition root: constructors are called here, nothing is decided here. A part that dies of an
error nobody expected ends the process with its traceback in the log, and the service manager starts
it again; start-up frees what was claimed. Owner of uvloop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack, closing
from datetime import timedelta

import uvloop

from config.settings import Settings
from control_api.app import build_app
from control_api.auth import Gate
from control_api.http_client import HttpClient
from control_api.request_meter import RequestMeter
from control_api.routes import Services
from control_api.tracker import Tracker
from control_api.webhook_sender import WebhookSender
from mta import systemd
from mta.composition import build_engine, build_resolver, build_submission, pair, utc_now
from mta.core.json_text import encode
from mta.dkim_keys import KeyFiles
from mta.domain_verification import DomainVerifier, check_rules
from mta.http_server import HttpServer, bind
from mta.kick import kick_listener
from mta.logs import log_event, logging_to_stderr
from mta.maintenance import Maintenance
from mta.report_service import ReportService
from mta.smtp_listener import SmtpListener
from mta.tls_certificate import TlsCertificateError
from storage import faults
from storage.data_dir import lock_data_dir
from storage.database import Database
from storage.errors import DataDirLocked, StorageError
from storage.key_uses import KeyUses

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION, EXIT_LOCKED = 0, 1, 2, 75
ENDPOINTS_FILE = "endpoints.json"
"""In the data directory while serving: the addresses bound, for tools and tests."""

logger = logging.getLogger(__name__)


def serve(settings: Settings, advice: Iterable[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; return the process's exit code.

    `advice` is logged first: what the configuration allows but its operator may regret.
    0 is an orderly end. 1: a part failed, an address cannot be bound, storage cannot be used.
    2: the configuration cannot be served. 75: another server has the data directory.
    """
    with logging_to_stderr(style=settings.log.format, level=settings.log.level):
        for line in advice:
            logger.warning("%s", line)
        try:
            faults.check_environment()
            with (
                lock_data_dir(settings.server.data_dir),
                closing(Database.open(settings.server.data_dir)) as database,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                runner.run(_serve(settings, database))
        except DataDirLocked as error:
            logger.error("%s", error)  # noqa: TRY400 - expected, one line says it all
            return EXIT_LOCKED
        except (ValueError, TlsCertificateError) as error:
            logger.error("cannot serve: %s", error)  # noqa: TRY400
            return EXIT_CONFIGURATION
        except (StorageError, OSError) as error:  # OSError: an address that cannot be bound
            logger.error("cannot serve: %s", error)  # noqa: TRY400
            return EXIT_FAILED
        except ExceptionGroup:
            logger.exception("a part of the engine failed; ending")
            return EXIT_FAILED
    return EXIT_OK


async def _serve(settings: Settings, database: Database) -> None:
    await Daemon(settings, database).run()


class Daemon:
    """All parts of one serving process, and the order of their beginning and end."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Build the parts, on the running loop; nothing runs or listens yet."""
        self._settings = settings
        self._database = database
        self._stopping = asyncio.Event()
        self._engine_runs = False
        self._client = HttpClient(
            timeout=settings.webhooks.timeout,
            allowed=settings.webhooks.allow_private_targets,
            allowed_ports=settings.webhooks.allow_ports,
        )
        self._webhooks = WebhookSender(
            database,
            self._client,
            now=utc_now,
            rng=random.Random(),  # noqa: S311 - jitter
            concurrency=settings.webhooks.concurrency,
            max_backlog=settings.webhooks.max_backlog,
        )
        self._reports = ReportService(
            settings,
            database,
            on_accepted=self._kick,
            on_events=self._webhooks.kick,
            now=utc_now,
        )
        self._engine = build_engine(
            settings, database, on_events=self._webhooks.kick, reports=self._reports
        )
        self._uses = KeyUses(database, utc_now)
        self._gate = Gate(database, settings.api, self._uses, utc_now)
        self._listener = SmtpListener(
            build_submission(settings, database, self._kick, on_key_used=self._uses.note)
        )
        self._requests = RequestMeter()
        self._tracker = Tracker(database, settings.api.public_url, on_events=self._webhooks.kick)
        self._domains = DomainVerifier(
            database,
            build_resolver(settings),
            KeyFiles(settings.server.data_dir, settings.dkim.algorithms),
            instance=settings.instance,
            rules=check_rules(settings),
            now=utc_now,
            on_events=self._webhooks.kick,
        )
        self._maintenance = Maintenance(
            database,
            keep_bodies=settings.retention.bodies,
            keep_events=settings.retention.events,
            keep_statistics=settings.retention.statistics,
            keep_requests=settings.retention.requests,
            now=utc_now,
        )

    async def run(self) -> None:
        """Serve until a signal asks for the end."""
        async with AsyncExitStack() as held:
            held.push_async_callback(self._client.close)
            held.push_async_callback(self._uses.flush)
            held.push_async_callback(self._gate.limiter.flush)
            held.push_async_callback(self._requests.flush, self._database)
            held.push_async_callback(self._tracker.flush)
            held.enter_context(kick_listener(self._settings.server.data_dir, self._on_kick))
            http = self._build_http(held)
            smtp_at = await self._listen()
            reports_at = [_text(*address) for address in await self._reports.listen()]
            self._listen_for_signals()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_engine(), name="engine")
                background = [
                    tasks.create_task(self._webhooks.run(), name="webhooks"),
                    tasks.create_task(self._maintenance.run(), name="maintenance"),
                    tasks.create_task(self._reports.run(), name="reports"),
                    tasks.create_task(self._domains.run(), name="domains"),
                    tasks.create_task(self._uses.run(), name="key uses"),
                    tasks.create_task(self._gate.limiter.run(), name="rate limits"),
                    tasks.create_task(self._requests.run(self._database), name="request log"),
                    tasks.create_task(self._tracker.run(), name="tracking"),
                    tasks.create_task(_feed_watchdog(), name="watchdog"),
                ]
                if http is not None:
                    tasks.create_task(http.run_until_stopped(), name="http")
                api_at = None if http is None else _text(*http.endpoint)
                self._announce(held, smtp_at, reports_at, api_at)
                await self._stopping.wait()
                await self._end(http)
                for task in background:
                    task.cancel()
        log_event("stopped")

    def _build_http(self, held: AsyncExitStack) -> HttpServer | None:
        listen = self._settings.api.listen
        if listen is None:
            return None
        services = Services(
            database=self._database,
            settings=self._settings,
            gate=self._gate,
            client=self._client,
            kick=self._kick,
            now=utc_now,
            entropy=secrets.token_bytes,
            engine_problem=self._engine_problem,
            tracker=self._tracker,
            domain_work=self._domains,
            journal_news=self._webhooks.journal_news,
            wake_reports=self._reports.kick,
            requests=self._requests,
            gauges=self._gauges,
        )
        listener = held.enter_context(bind(listen.host, listen.port))
        return HttpServer(
            build_app(services), listener, shutdown_timeout=self._settings.engine.shutdown_timeout
        )

    async def _listen(self) -> list[str]:
        """Open the SMTP ports; return where they are."""
        submission = self._settings.submission
        bound = await self._listener.start(map(pair, submission.listen))
        if submission.tls_listen:
            endpoints = map(pair, submission.tls_listen)
            bound += await self._listener.start(endpoints, implicit_tls=True)
        return [_text(*address) for address in bound]

    def _announce(
        self, held: AsyncExitStack, smtp_at: list[str], reports_at: list[str], api_at: str | None
    ) -> None:
        """Say where everything listens: to tools, to the log, to the service manager."""
        endpoints = {
            "pid": os.getpid(),
            "submission": smtp_at,
            "reports": reports_at,
            "api": api_at,
        }
        path = self._settings.server.data_dir / ENDPOINTS_FILE
        new = path.with_suffix(".new")
        new.write_bytes(encode(endpoints))
        new.replace(path)
        held.callback(path.unlink, missing_ok=True)
        log_event("serving", smtp=",".join(smtp_at), api=api_at)
        systemd.notify("READY=1")

    async def _end(self, http: HttpServer | None) -> None:
        """Close the doors first, then finish deliveries, within the time that is configured."""
        systemd.notify("STOPPING=1")
        log_event("stopping")
        patience = self._settings.engine.shutdown_timeout
        self._webhooks.journal_news.close()
        if http is not None:
            http.stop()
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._listener.stop(patience))
            ends.create_task(self._reports.stop(patience))
            ends.create_task(self._engine.stop(patience.total_seconds()))

    async def _run_engine(self) -> None:
        self._engine_runs = True
        try:
            await self._engine.run()
        finally:
            self._engine_runs = False

    def _gauges(self) -> dict[str, int]:
        return {
            "smtp_connections": self._engine.connections,
            "submission_sessions": self._listener.connections,
        }

    def _engine_problem(self) -> str:
        return "" if self._engine_runs else "the delivery engine does not run"

    def _on_kick(self) -> None:
        """Look again at what another process, the command line, may have changed."""
        self._gate.forget()
        self._kick()
        self._reports.kick()
        self._domains.kick()

    def _kick(self) -> None:
        self._engine.kick()
        self._webhooks.kick()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, _on_reload)


async def _feed_watchdog() -> None:
    """Tell the service manager, as often as it asks, that the event loop turns."""
    interval = systemd.watchdog_interval() or timedelta(days=1)
    while True:
        await asyncio.sleep(interval.total_seconds())
        systemd.notify("WATCHDOG=1")


def _on_reload() -> None:
    logger.info("certificates are read again when they change; other settings need a restart")


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
