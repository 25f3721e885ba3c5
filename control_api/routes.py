"""What a route is, what a handler is given, and what the whole API shares.

The table of all routes is in app.py. A handler parses, makes one call to storage, and serialises;
authentication, limits and errors happen around it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import Response

from config.settings import Settings
from control_api.auth import Gate
from control_api.domain_work import DomainWork
from control_api.http_client import HttpClient
from control_api.journal_news import JournalNews
from control_api.queue_changes import QueueChanger
from control_api.request_meter import RequestMeter
from control_api.schemas.base import UNDOCUMENTED, Spec
from control_api.tracker import Tracker
from control_api.webhook_formats import Formats
from mta.core.frozen import frozen
from mta.core.ids import milliseconds, new_id
from mta.core.json_text import encode
from mta.core.template import Templates
from storage.database import Database
from storage.tenants import KeyRecord


@frozen
class Services:
    """What handlers work with; built once by the daemon.

    Attributes:
        gate: lets requests through, and counts them.
        client: judges webhook URLs.
        kick: called after each commit that gives the engine or the webhook sender work.
        expect_urgent: called when transactional mail is about to be accepted.
        now: the current time (aware, UTC).
        entropy: returns that many random bytes.
        engine_problem: why the engine does not deliver right now, "" when it does.
        domain_work: what the engine does for domains; None while there is no engine.
        in_flight: requests with an Idempotency-Key that are being handled (idempotency.py).
        journal_news: tells whose events have come; the webhook sender's.
        requests: notes which requests were answered.
        wake_reports: called after each commit that gives the reading of reports work.
        wake_campaigns: called after each commit that gives the sending of campaigns work.
        wake_imports: called after each commit that gives the import worker work.
        wake_confirmations: called after each commit that may have somebody to be asked.
        tracker: counts openings and clicks.
        queue_changer: carries out large changes of the queue.
        templates: reads templates, and keeps what was read.
        webhook_formats: the forms in which endpoints can get events besides the native one.
        gauges: figures of other parts of the server for /metrics, such as "smtp_connections".
        job_failures: how often each job beside the doors has failed.
    """

    database: Database
    settings: Settings
    gate: Gate
    client: HttpClient
    kick: Callable[[], None]
    now: Callable[[], datetime]
    entropy: Callable[[int], bytes]
    engine_problem: Callable[[], str]
    tracker: Tracker
    queue_changer: QueueChanger
    expect_urgent: Callable[[], object] = bool
    domain_work: DomainWork | None = None
    in_flight: set[tuple[int, str, str]] = field(default_factory=set)
    journal_news: JournalNews = field(default_factory=JournalNews)
    requests: RequestMeter = field(default_factory=RequestMeter)
    wake_reports: Callable[[], object] = bool
    wake_campaigns: Callable[[], object] = bool
    wake_imports: Callable[[], object] = bool
    wake_confirmations: Callable[[], object] = bool
    gauges: Callable[[], Mapping[str, int]] = dict
    job_failures: Mapping[str, int] = field(default_factory=dict)
    templates: Templates = field(default_factory=Templates)
    webhook_formats: Formats = field(default_factory=dict)

    def new_id(self, prefix: str) -> str:
        """Return a new id such as "em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"."""
        [made] = self.new_ids(prefix, 1)
        return made

    def new_ids(self, prefix: str, count: int) -> list[str]:
        """Return so many ids, for less than one by one: entropy is a system call."""
        at_ms, entropy = milliseconds(self.now()), self.entropy(10 * count)
        places = range(0, 10 * count, 10)
        return [new_id(prefix, at_ms, entropy[place : place + 10]) for place in places]


@frozen
class Call:
    """One request to one handler; caller is None on public routes."""

    request: Request
    services: Services
    caller: KeyRecord | None

    @property
    def key(self) -> KeyRecord:
        """The key that the request came with.

        Raises:
            LookupError: a handler of a public route asks.
        """
        if self.caller is None:
            raise LookupError("a public route has no key")
        return self.caller

    @property
    def tenant_id(self) -> int:
        """Whose request it is; raises like `key`."""
        return self.key.tenant_id


Handler = Callable[[Call], Awaitable[Response]]


@frozen
class Route:
    """One operation of the API: the router and the OpenAPI document are made from these.

    Attributes:
        method: "GET", "POST", ...; GET answers HEAD too.
        path: with parameters in braces, such as "/v1/emails/{id}".
        scope: what a key must be allowed, such as "emails:send", or core.access.ANY_KEY or ADMIN;
            "" needs no key.
        summary: one line for the documentation.
        spec: what else there is to say for the documentation, which app.py adds to the table.
    """

    method: str
    path: str
    handler: Handler
    scope: str
    summary: str
    spec: Spec = UNDOCUMENTED


def json_response(value: object, status: int = 200) -> Response:
    """Return a response with a JSON body."""
    return Response(encode(value), status_code=status, media_type="application/json")


@lru_cache(maxsize=16)
def timestamp(at: datetime) -> str:
    """Return an aware time as the API writes it: RFC 3339 in UTC with milliseconds and "Z"."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
