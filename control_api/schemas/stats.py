"""Figures and logs."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    DOMAIN,
    PAGE,
    SINCE,
    TAG,
    TAG_VALUE,
    UNTIL,
    Schema,
    Spec,
    array,
    body,
    counts,
    given,
    listing,
    number,
    one_of,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
)
from mta.core.bounce import BounceClass

_TAG = "Figures"
METRICS = (
    "accepted",
    "scheduled",
    "delivered",
    "deferred",
    "bounced",
    "expired",
    "canceled",
    "suppressed",
    "reported",
    "complained",
    "unsubscribed",
    "opened",
    "clicked",
)
GROUPS = ("domain", "tag", "mx", "campaign", "provider")
_GRANULARITY = one_of(["hour", "day"])
_RATE: Schema = {"type": ["number", "null"], "minimum": 0}
_CAMPAIGN = query("campaign_id", "Only of this campaign.")
_SCOPE = (SINCE, UNTIL, DOMAIN, TAG, TAG_VALUE, _CAMPAIGN)
_BY_CLASS = counts(f"By class of failure: {', '.join(one.value for one in BounceClass)}.")
COMPONENTS: Mapping[str, Schema] = {
    "LoggedRequest": resource(
        "log",
        {
            "id": text(),
            "at": time(),
            "request_id": text(),
            "method": text(),
            "path": text(),
            "status": number(),
            "duration_ms": number(),
            "key_id": text(),
            "client": text("Address."),
            "user_agent": or_null(text()),
        },
        {
            "id": "log_01KJMQ0R00000000000000000A",
            "at": "2026-03-01T12:00:00.000Z",
            "request_id": "req_01KJMQ0R00000000000000000B",
            "method": "POST",
            "path": "/v1/emails",
            "status": 200,
            "duration_ms": 3,
            "key_id": "key_01KJMQ0R00000000000000000K",
            "client": "192.0.2.1",
            "user_agent": "shop/1.0",
        },
    ),
}
SPECS: Mapping[str, Spec] = {
    "GET /v1/stats": Spec(
        _TAG,
        "Of the last thirty days unless told otherwise; hours count whole.",
        parameters=_SCOPE,
        answer=body(
            resource(
                "stats",
                {
                    "since": time(),
                    "until": time(),
                    "counts": given({name: number(minimum=0) for name in METRICS}),
                    "classes": given(
                        dict.fromkeys(("deferred", "bounced", "expired", "reported"), _BY_CLASS)
                    ),
                    "rates": given(
                        {
                            "delivered": {**_RATE, "description": "Of what has ended."},
                            "bounced": {**_RATE, "description": "Of what has ended."},
                            "complained": {**_RATE, "description": "Of what was delivered."},
                        }
                    ),
                    "account": given(
                        {
                            "contacts": number(minimum=0),
                            "campaigns": given(
                                {
                                    "total": number(minimum=0),
                                    "sending": number(minimum=0),
                                    "completed": number(minimum=0),
                                }
                            ),
                            "emails_this_month": number(
                                "Recipients accepted or scheduled since the month began (UTC).",
                                minimum=0,
                            ),
                            "domains": number(minimum=0),
                        }
                    ),
                },
            )
        ),
    ),
    "GET /v1/stats/timeseries": Spec(
        _TAG,
        "One series, or one for each of the largest groups; at most 1000 points each.",
        parameters=(
            query("metric", "`delivered` unless given.", one_of(METRICS)),
            query("granularity", "`hour` unless given.", _GRANULARITY),
            query(
                "group_by",
                "A series for each of these; together with domain only `domain` or `mx`, with tag"
                " only `tag`, with campaign_id only `campaign`.",
                one_of(GROUPS),
            ),
            query("limit", "Groups; 10 unless given.", number(minimum=1, maximum=50)),
            *_SCOPE,
        ),
        answer=body(
            resource(
                "timeseries",
                {
                    "metric": one_of(METRICS),
                    "granularity": _GRANULARITY,
                    "group_by": or_null(one_of(GROUPS)),
                    "since": time(),
                    "until": time(),
                    "series": array(
                        given(
                            {
                                "group": or_null(text()),
                                "total": number(),
                                "points": array(given({"at": time(), "value": number()})),
                            }
                        )
                    ),
                },
            )
        ),
    ),
    "GET /v1/logs": Spec(
        _TAG,
        "Newest first; a request is there a second after its answer.",
        parameters=(
            *PAGE,
            query("method", "Only this method."),
            query("path", "Only this path."),
            query("status", "Only this status, or a class of them such as `4xx`."),
            query("key_id", "Only of this key."),
            SINCE,
            UNTIL,
        ),
        answer=listing(ref("LoggedRequest")),
    ),
}
