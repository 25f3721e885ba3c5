"""Statistics of a tenant: totals and their course by the hour or day, read from counters.

Counters follow the journal (storage/stats.py); what is asked for here is counted up first, so that
an event is in the figures as soon as it is in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from control_api import filters
from control_api.fields import Fields
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import account_totals, stats
from storage.account_totals import AccountTotals
from storage.database import Connection
from storage.stats import Group, Scope, Total

MAX_SPANS = 1000
"""Points of one series: 41 days by the hour, nearly three years by the day."""
DEFAULT_TOP, MAX_TOP = 10, 50
"""Groups of one answer: those with the most."""

METRICS: Mapping[str, EventKind] = {
    "accepted": EventKind.QUEUED,
    "scheduled": EventKind.SCHEDULED,
    "delivered": EventKind.DELIVERED,
    "deferred": EventKind.DEFERRED,
    "bounced": EventKind.BOUNCED,
    "expired": EventKind.EXPIRED,
    "canceled": EventKind.CANCELED,
    "suppressed": EventKind.SUPPRESSED,
    "reported": EventKind.REPORTED,
    "complained": EventKind.COMPLAINED,
    "unsubscribed": EventKind.UNSUBSCRIBED,
    "opened": EventKind.OPENED,
    "clicked": EventKind.CLICKED,
}
"""What can be asked for -> the events that it counts. Retries count as deferred each time."""
_FAILURES = ("deferred", "bounced", "expired", "reported")
_HOURS = {"hour": 1, "day": 24}
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)


async def totals(call: Call) -> Response:
    """GET /v1/stats: how many of each, by default of the last thirty days; hours count whole."""
    fields = filters.query_fields(call.request)
    scope = _scope(call, fields)
    filters.finish(fields)
    await stats.catch_up(call.services.database)
    month = this_month(call)

    def look(connection: Connection) -> tuple[list[Total], list[Total], AccountTotals]:
        account = account_totals.read(connection, scope.tenant_id)
        return _totals(connection, scope), _totals(connection, month), account

    found, in_month, account = await call.services.database.read(look)
    return json_response(
        {
            "object": "stats",
            "since": timestamp(scope.since),
            "until": timestamp(scope.until),
            **_summed(found),
            "account": _account(account, counts(in_month)),
        }
    )


def this_month(call: Call) -> Scope:
    """Return what means all that happened to the caller's mail in this month of UTC."""
    now = call.services.now().astimezone(UTC)
    since = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return Scope(call.tenant_id, since, _next_hour(now))


async def month_counts(call: Call) -> Mapping[str, int]:
    """Return the caller's counts of this month by metric."""
    month = this_month(call)
    await stats.catch_up(call.services.database)
    return counts(await call.services.database.read(lambda db: _totals(db, month)))


def _totals(connection: Connection, scope: Scope) -> list[Total]:
    return stats.totals(connection, scope, [kind.value for kind in METRICS.values()])


def _account(account: AccountTotals, month: Mapping[str, int]) -> dict[str, object]:
    return {
        "contacts": account.contacts,
        "campaigns": {
            "total": account.campaigns,
            "sending": account.sending,
            "completed": account.completed,
        },
        "emails_this_month": month["accepted"] + month["scheduled"],
        "domains": account.domains,
    }


def counts(found: Sequence[Total]) -> dict[str, int]:
    """Return how many there are of each metric."""
    return {
        name: sum(one.count for one in found if one.kind == kind.value)
        for name, kind in METRICS.items()
    }


def _summed(found: Sequence[Total]) -> dict[str, object]:
    summed = counts(found)
    classes = {
        name: {
            one.bounce_class or "unknown": one.count
            for one in found
            if one.kind == METRICS[name].value
        }
        for name in _FAILURES
    }
    failed = summed["bounced"] + summed["expired"]
    settled = summed["delivered"] + failed
    return {
        "counts": summed,
        "classes": classes,
        "rates": {
            "delivered": _rate(summed["delivered"], settled),
            "bounced": _rate(failed + summed["reported"], settled),
            "complained": _rate(summed["complained"], summed["delivered"]),
        },
    }


def _rate(part: int, whole: int) -> float | None:
    """Return a share rounded to a hundred-thousandth; None of nothing."""
    return round(part / whole, 5) if whole else None


@frozen
class _Question:
    """What a request for a series asks.

    Attributes:
        hours: of one point.
        group: by what series are set apart; None: one series of all.
        top: how many groups.
    """

    scope: Scope
    metric: str
    hours: int
    group: Group | None
    top: int


async def timeseries(call: Call) -> Response:
    """GET /v1/stats/timeseries: one series, or one for each of the largest groups."""
    fields = filters.query_fields(call.request)
    asked = _question(call, fields)
    filters.finish(fields)
    await stats.catch_up(call.services.database)
    series = await call.services.database.read(lambda db: _series(db, asked))
    return json_response(
        {
            "object": "timeseries",
            "metric": asked.metric,
            "granularity": _name_of(asked.hours),
            "group_by": asked.group.value if asked.group else None,
            "since": timestamp(asked.scope.since),
            "until": timestamp(asked.scope.until),
            "series": series,
        }
    )


def _series(connection: Connection, asked: _Question) -> list[dict[str, object]]:
    kind, scope, hours = METRICS[asked.metric].value, asked.scope, asked.hours
    if asked.group is None:
        points = stats.timeseries(connection, scope, kind, hours=hours)
        return [_one_series(asked, None, points)]
    largest = stats.top(connection, scope, kind, asked.group, limit=asked.top)
    return [
        _one_series(
            asked,
            name,
            stats.timeseries_of(connection, scope, kind, (asked.group, name), hours=hours),
        )
        for name, _ in largest
    ]


def _one_series(
    asked: _Question, group: str | None, points: Mapping[datetime, int]
) -> dict[str, object]:
    return {
        "group": group,
        "total": sum(points.values()),
        "points": [
            {"at": timestamp(at), "value": points.get(at, 0)}
            for at in _spans(asked.scope, asked.hours)
        ],
    }


def _spans(scope: Scope, hours: int) -> list[datetime]:
    """Return when each point of a series begins; those without events too."""
    length = timedelta(hours=hours)
    at = scope.since.replace(minute=0, second=0, microsecond=0)
    if hours == _HOURS["day"]:
        at = at.replace(hour=0)
    return [at + number * length for number in range(-((at - scope.until) // length))]


def _question(call: Call, fields: Fields) -> _Question:
    metric = _choice(fields, "metric", METRICS, "delivered")
    hours = _HOURS[_choice(fields, "granularity", _HOURS, "hour")]
    group = fields.text("group_by", filters.MAX_TEXT)
    groups = {one.value: one for one in Group}
    if group and group not in groups:
        fields.fail("group_by", "invalid_value", f"Expected one of {', '.join(groups)}.")
    scope = _scope(call, fields, timedelta(days=1) if hours == 1 else timedelta(days=30))
    if (scope.until - scope.since) / timedelta(hours=hours) > MAX_SPANS:
        fields.fail("since", "too_many", f"At most {MAX_SPANS} points are given.")
    by = groups.get(group)
    if by is not None and not stats.may_group(scope, by):
        fields.fail("group_by", "conflict", "What is asked for is not counted by such groups.")
    return _Question(scope, metric, hours, by, _top(fields))


def _scope(call: Call, fields: Fields, default: timedelta = timedelta(days=30)) -> Scope:
    until = _within(fields, "until") or _next_hour(call.services.now().astimezone(UTC))
    since = _within(fields, "since") or until - default
    if since > until:
        fields.fail("since", "invalid_time", "Expected a time before until.")
    domain, tag = filters.domain(fields, "domain"), filters.tag(fields)
    campaign = fields.text("campaign_id", filters.MAX_TEXT)
    if sum(map(bool, (domain, tag, campaign))) > 1:
        fields.fail("tag", "conflict", "Give one of domain, tag and campaign_id.")
    return Scope(call.tenant_id, since, until, domain, tag, campaign)


def _within(fields: Fields, name: str) -> datetime | None:
    """Take a time of the years that there can be figures of."""
    at = filters.moment(fields, name)
    if at is not None and not _FIRST <= at <= _LAST:
        fields.fail(name, "invalid_time", f"Expected a time from {_FIRST:%Y} to {_LAST:%Y}.")
        return None
    return at


def _next_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _choice(fields: Fields, name: str, choices: Mapping[str, object], default: str) -> str:
    text = fields.text(name, filters.MAX_TEXT) or default
    if text not in choices:
        fields.fail(name, "invalid_value", f"Expected one of {', '.join(choices)}.")
        return default
    return text


def _top(fields: Fields) -> int:
    text = fields.text("limit", 10) or str(DEFAULT_TOP)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_TOP):
        fields.fail("limit", "invalid_value", f"Expected a number from 1 to {MAX_TOP}.")
        return DEFAULT_TOP
    return int(text)


def _name_of(hours: int) -> str:
    return next(name for name, length in _HOURS.items() if length == hours)


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/stats", totals, "stats:read", "Totals of what happened"),
    Route("GET", "/v1/stats/timeseries", timeseries, "stats:read", "The course of one figure"),
)
