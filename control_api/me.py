"""GET /v1/me and GET /v1/usage: who a key or user is, and how much of limits and quota is used.

Every valid key may ask, whatever its scopes.
"""

from __future__ import annotations

from starlette.responses import Response

from control_api import api_keys, stats, users
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.access import ANY_KEY
from mta.core.quota import Quota
from mta.core.rate_limit import Standing, whole_seconds
from storage import quotas
from storage.database import Connection
from storage.quotas import Usage


async def me(call: Call) -> Response:
    """GET /v1/me."""
    key = call.key
    return json_response(
        {
            "object": "me",
            "tenant": {"name": key.tenant_name},
            "api_key": None if key.user else api_keys.as_json(key),
            "user": users.as_json(key.user) if key.user else None,
        }
    )


async def usage(call: Call) -> Response:
    """GET /v1/usage."""
    services, tenant_id, now = call.services, call.tenant_id, call.services.now()

    def look(connection: Connection) -> tuple[Quota, list[Usage]]:
        own = quotas.own_quota(connection, tenant_id)
        quota = own or services.settings.quota.core
        return quota, quotas.usage(connection, tenant_id, quota, now)

    quota, used = await services.database.read(look)
    month = stats.this_month(call)
    return json_response(
        {
            "object": "usage",
            "requests": [
                _request_limit(one) for one in services.gate.limiter.standings(call.key.id)
            ],
            "quota": {
                "per_hour": quota.per_hour,
                "per_day": quota.per_day,
                "windows": [_window(one) for one in used],
            },
            "month": {
                "since": timestamp(month.since),
                "counts": await stats.month_counts(call),
            },
        }
    )


def _request_limit(standing: Standing) -> dict[str, object]:
    return {
        "policy": standing.limit.name,
        "limit": standing.limit.quota,
        "window_seconds": whole_seconds(standing.limit.window),
        "remaining": standing.remaining,
        "reset_seconds": whole_seconds(standing.reset),
    }


def _window(usage: Usage) -> dict[str, object]:
    return {
        "span": usage.span.value,
        "limit": usage.limit,
        "used": usage.used,
        "remaining": max(0, usage.limit - usage.used),
        "resets_at": timestamp(usage.resets_at),
    }


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/me", me, ANY_KEY, "Tell who the key, or the user, is"),
    Route("GET", "/v1/usage", usage, ANY_KEY, "Tell how much of limits and quota is used"),
)
