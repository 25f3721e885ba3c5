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
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta

import uvloop

from config.settings import Endpoint, Settings
from control_api.app import build_app
from control_api.http_client import HttpClient
from control_api.routes import Services
from control_api.webhook_sender import WebhookSender
from mta import systemd
from mta.core.json_text import encode
from mta.core.shaping import Limits as ShapingLimits
from mta.core.shaping import suspensions_within
from mta.delivery import Tools
from mta.dispatcher import Dispatcher
from mta.engine import Engine
from mta.engine_store import EngineStore
from mta.http_server import HttpServer, bind
from mta.kick import kick_listener
from mta.logs import log_event, logging_to_stderr
from mta.maintenance import Maintenance
from mta.resolver import Resolver
from mta.routing import HostMemory, Router, RoutingRules
from mta.scheduler import Scheduler
from mta.settling import Settler
from mta.signing import Signer
from mta.smtp_client import Connector
from mta.smtp_listener import SmtpListener
from mta.smtp_session import Limits as SessionLimits
from mta.smtp_session import Service
from mta.smtp_submission import SubmissionHandler, SubmissionRules
from mta.smtp_transaction import Timeouts
from mta.timetable import Timetable
from mta.tls_certificate import ServerTls, TlsCertificateError
from mta.tls_policy import TlsPolicy
from mta.transactions import TransactionBuilder
from storage import faults
from storage.data_dir import lock_data_dir
from storage.database import Database
from storage.errors import DataDirLocked, StorageError
from storage.submissions import AcceptPolicy

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


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


class Daemon:
    """All parts of one serving process, and the order of their beginning and end."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Build the parts, on the running loop; nothing runs or listens yet."""
        self._settings = settings
        self._database = database
        self._stopping = asyncio.Event()
        self._engine_runs = False
        self._client = HttpClient(
            timeout=settings.webhooks.timeout, allowed=settings.webhooks.allow_private_targets
        )
        self._webhooks = WebhookSender(
            database,
            self._client,
            now=utc_now,
            rng=random.Random(),  # noqa: S311 - jitter
            concurrency=settings.webhooks.concurrency,
        )
        self._engine = build_engine(settings, database, on_events=self._webhooks.kick)
        self._listener = SmtpListener(build_submission(settings, database, self._kick))
        self._maintenance = Maintenance(
            database,
            keep_bodies=settings.retention.bodies,
            keep_events=settings.retention.events,
            now=utc_now,
        )

    async def run(self) -> None:
        """Serve until a signal asks for the end."""
        async with AsyncExitStack() as held:
            held.push_async_callback(self._client.close)
            held.enter_context(kick_listener(self._settings.server.data_dir, self._kick))
            http = self._build_http(held)
            smtp_at = await self._listen()
            self._listen_for_signals()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._run_engine(), name="engine")
                background = [
                    tasks.create_task(self._webhooks.run(), name="webhooks"),
                    tasks.create_task(self._maintenance.run(), name="maintenance"),
                    tasks.create_task(_feed_watchdog(), name="watchdog"),
                ]
                if http is not None:
                    tasks.create_task(http.run_until_stopped(), name="http")
                self._announce(held, smtp_at, None if http is None else _text(*http.endpoint))
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
            client=self._client,
            kick=self._kick,
            now=utc_now,
            entropy=secrets.token_bytes,
            engine_problem=self._engine_problem,
        )
        listener = held.enter_context(bind(listen.host, listen.port))
        return HttpServer(
            build_app(services), listener, shutdown_timeout=self._settings.engine.shutdown_timeout
        )

    async def _listen(self) -> list[str]:
        """Open the SMTP ports; return where they are."""
        submission = self._settings.submission
        bound = await self._listener.start(map(_pair, submission.listen))
        if submission.tls_listen:
            endpoints = map(_pair, submission.tls_listen)
            bound += await self._listener.start(endpoints, implicit_tls=True)
        return [_text(*pair) for pair in bound]

    def _announce(self, held: AsyncExitStack, smtp_at: list[str], api_at: str | None) -> None:
        """Say where everything listens: to tools, to the log, to the service manager."""
        endpoints = {"pid": os.getpid(), "submission": smtp_at, "api": api_at}
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
        if http is not None:
            http.stop()
        async with asyncio.TaskGroup() as ends:
            ends.create_task(self._listener.stop(patience))
            ends.create_task(self._engine.stop(patience.total_seconds()))

    async def _run_engine(self) -> None:
        self._engine_runs = True
        try:
            await self._engine.run()
        finally:
            self._engine_runs = False

    def _engine_problem(self) -> str:
        return "" if self._engine_runs else "the delivery engine does not run"

    def _kick(self) -> None:
        self._engine.kick()
        self._webhooks.kick()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, _on_reload)


def build_engine(settings: Settings, database: Database, on_events: Callable[[], None]) -> Engine:
    """Build the delivery side.

    Args:
        settings: the configuration.
        database: the queue.
        on_events: called when the journal has grown.
    """
    delivery = settings.delivery
    draws = random.Random()  # noqa: S311 - jitter and order, no secrets
    memory = HostMemory(clock=time.monotonic)
    timetable = Timetable()
    store = EngineStore(database, f"pid {os.getpid()}", on_events=on_events)
    signer = None
    if settings.dkim.algorithms:
        signer = Signer(settings.server.data_dir, settings.dkim.algorithms)
    tools = Tools(
        connector=Connector(
            ehlo_name=delivery.ehlo_name or settings.server.hostname,
            timeouts=_timeouts(settings),
            tls=TlsPolicy(clock=time.monotonic),
            memory=memory,
        ),
        builder=TransactionBuilder(store, database.spool, signer),
        settler=Settler(store, timetable, delivery.retry, draws),
        now=utc_now,
    )
    dispatcher = Dispatcher(tools, timetable, _shaping_limits(settings), draws)
    router = Router(
        settings.routing,
        build_resolver(settings),
        _routing_rules(settings),
        memory=memory,
        random=draws,
    )
    return Engine(Scheduler(store, router, dispatcher, tools, timetable), dispatcher)


def build_resolver(settings: Settings) -> Resolver:
    """Build the resolver that [dns] describes."""
    return Resolver(
        [_pair(endpoint) for endpoint in settings.dns.nameservers],
        timeout=settings.dns.timeout,
        max_queries=settings.dns.max_queries,
        clock=time.monotonic,
    )


def build_submission(
    settings: Settings, database: Database, on_accepted: Callable[[], None]
) -> Service:
    """Build the SMTP door for apps; `on_accepted` is called after each COMMIT."""
    submission, tls = settings.submission, settings.tls
    handler = SubmissionHandler(
        database,
        SubmissionRules(
            hostname=settings.server.hostname,
            trusted_networks=submission.trusted_networks,
            policy=AcceptPolicy(require_verified_domain=settings.policy.require_verified_domain),
        ),
        on_accepted=on_accepted,
        now=utc_now,
    )
    return Service(
        hostname=settings.server.hostname,
        handler=handler,
        limits=SessionLimits(
            message_size=submission.max_message_size,
            recipients=submission.max_recipients,
            connections=submission.max_connections,
            connections_per_address=submission.max_connections_per_address,
            junk_commands=submission.max_junk_commands,
            errors=submission.max_errors,
            auth_failures=submission.max_auth_failures,
            command_timeout=submission.command_timeout,
            data_rate=submission.min_data_rate,
            session_time=submission.session_timeout,
        ),
        spool=database.spool,
        tls=ServerTls(tls.certificate, tls.key) if tls.certificate and tls.key else None,
        offers_auth=True,
        requires_tls_for_auth=submission.require_tls_for_auth,
    )


def _timeouts(settings: Settings) -> Timeouts:
    delivery = settings.delivery
    return Timeouts(
        connect=delivery.connect_timeout,
        greeting=delivery.greeting_timeout,
        command=delivery.command_timeout,
        data=delivery.data_timeout,
        final=delivery.final_timeout,
    )


def _shaping_limits(settings: Settings) -> ShapingLimits:
    delivery = settings.delivery
    return ShapingLimits(
        max_connections=delivery.max_connections,
        max_connections_per_site=delivery.max_connections_per_site,
        max_messages_per_connection=delivery.max_messages_per_connection,
        max_recipients_per_transaction=delivery.max_recipients_per_transaction,
        max_ready_per_site=delivery.max_ready_per_site,
        idle_timeout=delivery.idle_timeout,
        suspension=suspensions_within(delivery.retry),
    )


def _routing_rules(settings: Settings) -> RoutingRules:
    listen = (*settings.submission.listen, *settings.submission.tls_listen)
    return RoutingRules(
        port=settings.delivery.port,
        prefer=settings.delivery.prefer,
        allow_private=settings.delivery.allow_private_destinations,
        own_names=frozenset({settings.server.hostname.lower()}),
        own_endpoints=frozenset(map(_pair, listen)),
    )


async def _feed_watchdog() -> None:
    """Tell the service manager, as often as it asks, that the event loop turns."""
    interval = systemd.watchdog_interval() or timedelta(days=1)
    while True:
        await asyncio.sleep(interval.total_seconds())
        systemd.notify("WATCHDOG=1")


def _on_reload() -> None:
    logger.info("certificates are read again when they change; other settings need a restart")


def _pair(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
