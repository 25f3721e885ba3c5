"""All that comes back and is told, built from the settings: listener, intake, delivery reports.

Decides nothing: the daemon begins and ends its parts. Not here: the marks by which mail is known
again (entry_marks.py), which delivery puts on.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from config.settings import Settings
from mta.core.report_address import AddressRules
from mta.delivery_reports import DeliveryReports, ReportRules
from mta.entry_marks import EntryMarks
from mta.report_intake import IntakeRules, ReportIntake
from mta.report_parser import ReportParser
from mta.reports import ReportsHandler
from mta.smtp_listener import SmtpListener
from mta.smtp_session import Limits, Service
from mta.telling import TellingRules
from mta.tls_certificate import ServerTls
from storage import instance_secrets
from storage.database import Database

MAX_RECIPIENTS = 100
"""Of one report (RFC 5321 4.5.3.1.8)."""


class ReportService:
    """The parts of one serving process that have to do with reports."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        on_accepted: Callable[[], object],
        on_events: Callable[[], object],
        now: Callable[[], datetime],
    ) -> None:
        """Build the parts; nothing runs or listens yet. Makes the secret where there is none.

        Args:
            settings: the configuration.
            database: the queue.
            on_accepted: called when a delivery report was queued.
            on_events: called when the journal has grown.
            now: the time (aware, UTC).
        """
        self._settings = settings
        self._on_events = on_events
        self.secrets = instance_keys(database, now())
        addresses = self._addresses()
        self._intake = ReportIntake(
            database,
            ReportParser(settings.bounces.rules),
            IntakeRules(
                addresses, self.secrets, settings.suppression_policy, tells=settings.dsn.enabled
            ),
            on_events=self._on_report_events,
            now=now,
        )
        self._telling = DeliveryReports(
            database,
            ReportRules(
                hostname=settings.server.hostname,
                is_enabled=settings.dsn.enabled,
                max_returned=settings.dsn.max_returned,
                lifetime=settings.delivery.retry.lifetime,
            ),
            on_accepted=on_accepted,
            now=now,
            entropy=secrets.token_bytes,
        )
        self._listener: SmtpListener | None = None
        if settings.reports.listen and addresses:
            handler = ReportsHandler(
                database,
                addresses,
                hostname=settings.server.hostname,
                max_per_minute=settings.reports.max_per_minute,
                on_report=self._intake.kick,
                now=now,
            )
            self._listener = SmtpListener(self._service(handler))

    async def listen(self, listening: Iterable[socket.socket]) -> None:
        """Take connections on these sockets."""
        if self._listener is not None:
            await self._listener.serve(listening)

    async def run(self) -> None:
        """Read reports and tell senders until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._intake.run(), name="report intake")
            tasks.create_task(self._telling.run(), name="delivery reports")

    async def stop(self, within: timedelta) -> None:
        """Close the ports; see SmtpListener.stop."""
        if self._listener is not None:
            await self._listener.stop(within)

    def kick(self) -> None:
        """Say that there may be reports to read and senders to tell."""
        self._intake.kick()
        self._telling.kick()

    def tell(self) -> None:
        """Say that senders are to be told of something."""
        self._telling.kick()

    def _on_report_events(self) -> None:
        self._telling.kick()
        self._on_events()

    def _addresses(self) -> AddressRules | None:
        return address_rules(self._settings, self.secrets)

    def _service(self, handler: ReportsHandler) -> Service:
        reports, tls = self._settings.reports, self._settings.tls
        return Service(
            hostname=self._settings.server.hostname,
            handler=handler,
            limits=Limits(
                message_size=reports.max_message_size,
                recipients=MAX_RECIPIENTS,
                connections=reports.max_connections,
                connections_per_address=reports.max_connections_per_address,
                errors=10,
                session_time=timedelta(hours=1),
            ),
            tls=ServerTls(tls.certificate, tls.key) if tls.certificate and tls.key else None,
            home=reports.domain,
        )


def address_rules(settings: Settings, known: tuple[bytes, ...]) -> AddressRules | None:
    """Return how our own addresses are read; None where there is no domain for them."""
    domain = settings.reports.domain
    if not domain:
        return None
    hostname = settings.server.hostname.lower()
    return AddressRules(domain, frozenset({domain, hostname}), known, settings.reports.valid_for)


def entry_marks(settings: Settings, known: tuple[bytes, ...]) -> EntryMarks:
    """Return what differs between the recipients of a message."""
    return EntryMarks(
        domain=settings.reports.domain,
        secret=known[0],
        rewrites_smtp=settings.reports.rewrite == "all",
        public_url=settings.api.public_url.rstrip("/"),
    )


def telling_rules(settings: Settings) -> TellingRules:
    """Return whether and when senders are told."""
    return TellingRules(is_enabled=True, delay_after=settings.dsn.delay_after)


def instance_keys(database: Database, now: datetime) -> tuple[bytes, ...]:
    """Return what our addresses and links are sealed with, the newest first; makes the first."""
    return database.write_now(
        lambda db: instance_secrets.ensure(db, entropy=secrets.token_bytes, now=now)
    )
