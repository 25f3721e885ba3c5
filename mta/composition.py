"""How parts are put together from the settings: the lower half of the composition root.

Constructors are called here, nothing is decided here. Not here: the order in which parts begin and
end (daemon.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from config import bounce_rules
from config.settings import Endpoint, Settings
from mta.bulk_rest import BulkRest
from mta.core.shaping import Limits as ShapingLimits
from mta.core.shaping import suspensions_within
from mta.delivery import Tools
from mta.dispatcher import Dispatcher
from mta.engine import Engine
from mta.engine_store import EngineStore
from mta.report_service import entry_marks, instance_keys, telling_rules
from mta.resolver import Resolver
from mta.routing import HostMemory, Router, RoutingRules
from mta.sandbox import SandboxConnector, SandboxRouter
from mta.scheduler import Scheduler
from mta.settling import Settler, SettlingRules
from mta.signing import Signer
from mta.signing_thread import SigningThread
from mta.smtp_client import Connector
from mta.smtp_session import Limits as SessionLimits
from mta.smtp_session import Service
from mta.smtp_submission import Callbacks, SubmissionHandler, SubmissionRules
from mta.smtp_transaction import Timeouts
from mta.spare_core import SpareCore
from mta.timetable import Timetable
from mta.tls_certificate import MODERN, ServerTls
from mta.tls_policy import TlsPolicy
from mta.transactions import TransactionBuilder
from storage.database import Database
from storage.submissions import AcceptPolicy


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def build_engine(
    settings: Settings,
    database: Database,
    name: str,
    *,
    owns: Callable[[str], bool],
    on_events: Callable[[], object],
    on_told: Callable[[], object],
) -> Engine:
    """Build the delivery side.

    Args:
        settings: the configuration.
        database: the queue.
        name: of the process; its claims are recorded under it.
        owns: tells whether a site is this process's.
        on_events: called when the journal has grown.
        on_told: called when senders are to be told of something.
    """
    delivery = settings.delivery
    draws = random.Random()  # noqa: S311 - jitter and order, no secrets
    memory = HostMemory(clock=time.monotonic)
    timetable = Timetable()
    store = EngineStore(
        database,
        name,
        on_events=on_events,
        on_told=on_told,
        policy=settings.suppression_policy,
    )
    bulk_rest = BulkRest()
    signer = None
    if settings.dkim.algorithms:
        signs = Signer(settings.server.data_dir, settings.dkim.algorithms)
        signer = SigningThread(signs, SpareCore().is_free, bulk_rest)
    sandbox_domain = settings.api.sandbox_domain
    connector = Connector(
        ehlo_name=delivery.ehlo_name or settings.server.hostname,
        timeouts=_timeouts(settings),
        tls=TlsPolicy(clock=time.monotonic),
        memory=memory,
    )
    tools = Tools(
        connector=SandboxConnector(connector, sandbox_domain),
        builder=TransactionBuilder(
            store, database.spool, signer, entry_marks(settings, instance_keys(database, utc_now()))
        ),
        settler=Settler(store, timetable, _settling_rules(settings), draws),
        now=utc_now,
        bulk_rest=bulk_rest,
    )
    dispatcher = Dispatcher(tools, timetable, _shaping_limits(settings), draws)
    router = Router(
        settings.routing,
        build_resolver(settings),
        _routing_rules(settings),
        memory=memory,
        random=draws,
    )
    sandboxed = SandboxRouter(router, sandbox_domain)
    scheduler = Scheduler(store, sandboxed, dispatcher, tools, timetable, owns)
    return Engine(scheduler, dispatcher)


def build_resolver(settings: Settings) -> Resolver:
    """Build the resolver that [dns] describes."""
    return Resolver(
        [pair(endpoint) for endpoint in settings.dns.nameservers],
        timeout=settings.dns.timeout,
        max_queries=settings.dns.max_queries,
        clock=time.monotonic,
    )


def build_submission(
    settings: Settings,
    database: Database,
    hear: Callbacks,
) -> Service:
    """Build the SMTP door for apps, and tell who hears of what happens there."""
    submission, tls = settings.submission, settings.tls
    handler = SubmissionHandler(
        database,
        SubmissionRules(
            hostname=settings.server.hostname,
            trusted_networks=submission.trusted_networks,
            policy=AcceptPolicy(
                require_verified_domain=settings.policy.require_verified_domain,
                bounce_domain=settings.reports.domain,
                quota=settings.quota.core,
                sandbox_domain=settings.api.sandbox_domain,
                takes_credits=settings.credits.enabled,
            ),
            can_unsubscribe=bool(settings.api.public_url or settings.reports.domain),
        ),
        hear=hear,
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
            crowded_timeout=submission.crowded_timeout,
            data_rate=submission.min_data_rate,
            session_time=submission.session_timeout,
        ),
        spool=database.spool,
        tls=(
            ServerTls(tls.certificate, tls.key, ciphers=MODERN)
            if tls.certificate and tls.key
            else None
        ),
        offers_auth=True,
        requires_tls_for_auth=submission.require_tls_for_auth,
    )


def _settling_rules(settings: Settings) -> SettlingRules:
    return SettlingRules(
        retry=settings.delivery.retry,
        classifier=bounce_rules.load(settings.bounces.rules),
        telling=telling_rules(settings),
        sandbox_domain=settings.api.sandbox_domain,
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
        own_endpoints=frozenset(map(pair, listen)),
    )


def pair(endpoint: Endpoint) -> tuple[str, int]:
    """Return host and port, as sockets want them."""
    return endpoint.host, endpoint.port
