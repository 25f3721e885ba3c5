"""GET /metrics: figures for Prometheus, of all tenants together.

Labels have few values whatever happens: kinds, classes, providers, routes; never a domain, host or
tenant. Open to clients on this machine and to keys that may read statistics. Nothing here walks the
history: the journal is counted from where the last count ended, the queue in its partial indexes.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from control_api.client_address import client_address
from control_api.routes import Call, Route, Services
from mta.core.frozen import frozen
from mta.core.prometheus import CONTENT_TYPE, Family, counter, gauge, histogram, render, value
from storage import queue, stats
from storage.database import Connection
from storage.queue import QueueTotals

SCOPE = "stats:read"

_PAGE = os.sysconf("SC_PAGE_SIZE")


@frozen
class _Stored:
    """What storage knows: kind, class, provider and count of events; the queue."""

    events: list[tuple[str, str, str, int]]
    queue: QueueTotals


async def metrics(call: Call) -> Response:
    """GET /metrics."""
    services = call.services
    if not _is_local(call.request, services):
        await services.gate.admit(call.request, SCOPE)
    await stats.catch_up(services.database)
    stored = await services.database.read(_look)
    text = render((*_of_mail(services, stored), *_of_api(services), *_of_process()))
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


def _is_local(request: Request, services: Services) -> bool:
    """Whether a client on this machine asks, and not a proxy on it for somebody else."""
    client = client_address(request, services.settings.api.trusted_proxies)
    return bool(client.text) and client.is_certain and ip_address(client.text).is_loopback


def _look(connection: Connection) -> _Stored:
    return _Stored(stats.all_totals(connection), queue.totals(connection))


def _of_mail(services: Services, stored: _Stored) -> Iterator[Family]:
    yield counter(
        "mailwright_events_total",
        "Events of the journal, by kind, bounce class and provider of the server.",
        *(
            value(count, **{"kind": kind, "class": bounce_class, "provider": provider})
            for kind, bounce_class, provider, count in stored.events
        ),
    )
    totals = stored.queue
    yield gauge(
        "mailwright_queue_entries",
        "Recipients in the queue, by state.",
        value(totals.waiting, state="waiting"),
        value(totals.claimed, state="claimed"),
        value(totals.held, state="held"),
    )
    oldest = totals.oldest
    age = (services.now() - oldest).total_seconds() if oldest else 0.0
    yield gauge(
        "mailwright_queue_oldest_seconds", "Age of the oldest entry that waits.", value(max(0, age))
    )
    figures = dict(services.gauges())
    yield counter(
        "mailwright_errors_logged_total",
        "Errors in the log of the processes that run now: what nobody expected.",
        value(figures.pop("errors_logged", 0)),
    )
    for name, number in figures.items():
        yield gauge(f"mailwright_{name}", "Open now.", value(number))
    yield counter(
        "mailwright_job_failures_total",
        "Failures of jobs beside the doors that nobody expected; the log says why.",
        *(value(count, job=name) for name, count in services.job_failures.items()),
    )
    yield histogram(
        "mailwright_commit_seconds",
        "Time that a transaction of one or many writers took, its sync included.",
        services.database.commit_times,
    )


def _of_api(services: Services) -> Iterator[Family]:
    yield counter(
        "mailwright_api_requests_total",
        "Answers of the API, by method, route and class of the status.",
        *(
            value(count, method=method, route=route, status=status)
            for (method, route, status), count in sorted(services.requests.counts.items())
        ),
    )


def _of_process() -> Iterator[Family]:
    """Give figures of this process by the names that Prometheus' own clients use."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    size, resident = int(fields[20]), int(fields[21]) * _PAGE  # fields 23 and 24 of proc(5)
    yield counter(
        "process_cpu_seconds_total", "CPU time used.", value(usage.ru_utime + usage.ru_stime)
    )
    yield gauge("process_resident_memory_bytes", "Memory in RAM.", value(resident))
    yield gauge("process_virtual_memory_bytes", "Memory mapped.", value(size))
    yield gauge("process_open_fds", "Open files.", value(_open_files()))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield gauge("process_max_fds", "Files that may be open.", value(limit))


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


ROUTES: tuple[Route, ...] = (Route("GET", "/metrics", metrics, "", "Figures for Prometheus"),)
