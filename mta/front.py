"""The front of the server: API, webhooks, reports, looks at the DNS, housekeeping.

Part of the composition root: constructors are called here, nothing is decided here.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

from config.settings import Api, Settings
from control_api.app import WEBHOOK_FORMATS, build_app
from control_api.auth import Gate
from control_api.automation_runner import AutomationRunner
from control_api.automation_tools import Tools as AutomationTools
from control_api.campaign_expansion import CampaignSender
from control_api.confirmation_sender import ConfirmationSender
from control_api.http_client import HttpClient
from control_api.import_worker import ImportWorker
from control_api.personal_mail import Composer
from control_api.queue_changes import QueueChanger
from control_api.request_meter import RequestMeter
from control_api.routes import Services
from control_api.tracker import Tracker
from control_api.webhook_sender import WebhookSender
from mta.composition import build_resolver, utc_now
from mta.dkim_keys import KeyFiles
from mta.domain_verification import DomainVerifier, check_rules
from mta.doors import Doors
from mta.http_protocol import ConnectionLimits
from mta.http_server import HttpServer
from mta.jobs import Job, Jobs
from mta.kick import is_served
from mta.maintenance import Maintenance
from mta.report_service import ReportService
from storage.database import Database
from storage.key_uses import KeyUses


class Front:
    """Everything but SMTP for apps and delivery; a context that flushes what it gathers.

    Attributes:
        webhooks: posts what the journal has got.
        reports: to be told when senders are to be told of something.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        uses: KeyUses,
        *,
        on_accepted: Callable[[], None],
        on_urgent: Callable[[], object],
        deliveries: Sequence[str],
    ) -> None:
        """Build the parts, on the running loop; nothing runs or listens yet.

        Args:
            settings: the configuration.
            database: open.
            uses: notes which keys were used.
            on_accepted: called after each commit that gives the engine work.
            on_urgent: called when transactional mail comes.
            deliveries: names of the other processes that deliver.
        """
        self._settings = settings
        self._database = database
        self._on_accepted = on_accepted
        self._on_urgent = on_urgent
        self._deliveries = deliveries
        self._client = HttpClient(
            timeout=settings.webhooks.timeout,
            allowed=settings.webhooks.allow_private_targets,
            allowed_ports=settings.webhooks.allow_ports,
        )
        self.webhooks = WebhookSender(
            database,
            self._client,
            now=utc_now,
            rng=random.Random(),  # noqa: S311 - jitter
            concurrency=settings.webhooks.concurrency,
            max_backlog=settings.webhooks.max_backlog,
            formats=WEBHOOK_FORMATS,
        )
        self.reports = ReportService(
            settings,
            database,
            on_accepted=on_accepted,
            on_events=self.journal_grew,
            now=utc_now,
        )
        self._imports = ImportWorker(database, now=utc_now, on_events=self.journal_grew)
        self._gate = Gate(database, settings.api, uses, utc_now)
        self._requests = RequestMeter()
        self._tracker = Tracker(database, settings.api.public_url, on_events=self.journal_grew)
        self._queue_changer = QueueChanger(database, on_accepted)
        composer = Composer(
            settings, self._tracker, database.spool, now=utc_now, entropy=secrets.token_bytes
        )
        self._confirmations = ConfirmationSender(
            database, composer, self._tracker, now=utc_now, on_accepted=on_accepted
        )
        self._campaigns = CampaignSender(
            database,
            composer,
            brakes=settings.campaigns.brakes,
            now=utc_now,
            on_accepted=on_accepted,
            on_events=self.journal_grew,
        )
        self._automations = AutomationRunner(
            AutomationTools(
                database,
                self._client,
                composer,
                kick=on_accepted,
                now=utc_now,
                rng=random.Random(),  # noqa: S311 - jitter
            )
        )
        self._domains = DomainVerifier(
            database,
            build_resolver(settings),
            KeyFiles(settings.server.data_dir, settings.dkim.algorithms),
            instance=settings.instance,
            rules=check_rules(settings),
            now=utc_now,
            on_events=self.journal_grew,
        )
        self._maintenance = Maintenance(
            database,
            keep_bodies=settings.retention.bodies,
            keep_events=settings.retention.events,
            keep_statistics=settings.retention.statistics,
            keep_requests=settings.retention.requests,
            now=utc_now,
        )
        self._http: HttpServer | None = None
        self._jobs = Jobs(lambda: database.is_failed)
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._held.push_async_callback(self._client.close)
        self._held.push_async_callback(self._gate.limiter.flush)
        self._held.push_async_callback(self._requests.flush, self._database)
        self._held.push_async_callback(self._tracker.flush)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._held.aclose()

    async def begin(
        self, doors: Doors, tasks: asyncio.TaskGroup, gauges: Callable[[], Mapping[str, int]]
    ) -> None:
        """Run everything in a group of tasks; `gauges` gives figures of the rest of the server."""
        await self.reports.listen(doors.reports)
        jobs: dict[str, Job] = {
            "webhooks": self.webhooks.run,
            "maintenance": self._maintenance.run,
            "reports": self.reports.run,
            "domains": self._domains.run,
            "rate limits": self._gate.limiter.run,
            "request log": partial(self._requests.run, self._database),
            "tracking": self._tracker.run,
            "queue changes": self._queue_changer.run,
            "campaigns": self._campaigns.run,
            "automations": self._automations.run,
            "imports": self._imports.run,
            "confirmations": self._confirmations.run,
        }
        self._jobs.start(tasks, jobs)
        if doors.api is not None:
            self._http = HttpServer(
                build_app(self._services(gauges)),
                doors.api,
                shutdown_timeout=self._settings.engine.shutdown_timeout,
                limits=_connection_limits(self._settings.api),
            )
            tasks.create_task(self._http.run_until_stopped(), name="http")

    async def end(self, patience: timedelta) -> None:
        """Close the doors and end the tasks; requests and sessions under way get that long."""
        self.webhooks.journal_news.close()
        if self._http is not None:
            self._http.stop()
        await self.reports.stop(patience)
        self._jobs.cancel()

    def journal_grew(self) -> None:
        """Tell those who follow the journal."""
        self.webhooks.kick()
        self._automations.kick()

    def look_again(self) -> None:
        """Look at what another process, the command line, may have changed."""
        self._gate.forget()
        self.reports.kick()
        self._domains.kick()
        self._campaigns.kick()

    def _services(self, gauges: Callable[[], Mapping[str, int]]) -> Services:
        return Services(
            database=self._database,
            settings=self._settings,
            gate=self._gate,
            client=self._client,
            kick=self._on_accepted,
            expect_urgent=self._on_urgent,
            now=utc_now,
            entropy=secrets.token_bytes,
            engine_problem=self._engine_problem,
            tracker=self._tracker,
            queue_changer=self._queue_changer,
            domain_work=self._domains,
            journal_news=self.webhooks.journal_news,
            wake_reports=self.reports.kick,
            wake_campaigns=self._campaigns.kick,
            wake_imports=self._imports.kick,
            wake_confirmations=self._confirmations.kick,
            requests=self._requests,
            gauges=gauges,
            job_failures=self._jobs.failures,
            webhook_formats=WEBHOOK_FORMATS,
        )

    def _engine_problem(self) -> str:
        if is_served(self._settings.server.data_dir, self._deliveries):
            return ""
        return "a delivery process does not run"


def _connection_limits(api: Api) -> ConnectionLimits:
    return ConnectionLimits(
        connections=api.limits.connections,
        connections_per_address=api.limits.connections_per_address,
        exempt=(*api.limits.exempt_networks, *api.trusted_proxies),
    )
