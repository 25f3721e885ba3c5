"""GET /v1/domains/{id}/reputation: how well mail from a domain fares, from counters.

Not here: the formula (mta/core/reputation.py).
"""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from control_api.domains import find_domain
from control_api.routes import Call, Route, json_response, timestamp
from storage import stats

WINDOW = timedelta(days=30)


async def get_reputation(call: Call) -> Response:
    """Return score, rates and counts of the last thirty days."""
    domain, now = await find_domain(call), call.services.now()
    await stats.catch_up(call.services.database)
    fared = await call.services.database.read(
        lambda db: stats.fared(db, domain.tenant_id, domain.name, since=now - WINDOW)
    )
    return json_response(
        {
            "object": "reputation",
            "domain": domain.name,
            "score": fared.score,
            "window": {"since": timestamp(now - WINDOW), "until": timestamp(now)},
            "sent": fared.sent,
            "delivered": fared.delivered,
            "bounced": fared.bounced + fared.expired + fared.reported,
            "complained": fared.complained,
            "bounce_rate": _rounded(fared.bounce_rate),
            "complaint_rate": _rounded(fared.complaint_rate),
        }
    )


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 5)


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/v1/domains/{id}/reputation",
        get_reputation,
        "domains:read",
        "How well mail from a domain fares",
    ),
)
