"""The queue: what waits and why, and moving it."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    DOMAIN,
    Schema,
    Spec,
    array,
    body,
    flag,
    given,
    number,
    one_of,
    or_null,
    query,
    ref,
    resource,
    text,
    time,
    wish,
)

_TAG = "Queue"
_TENANT = text("Id of a tenant; for admin keys.")
_COUNTS: Mapping[str, Schema] = {
    "waiting": number("Recipients whose time comes."),
    "claimed": number("With the engine right now."),
    "held": number("Until they are released."),
}
_BLOCK: Mapping[str, Schema] = {
    "name": text("A domain, or the host of a site."),
    "by": one_of(["operator", "engine"]),
    "until": time(),
    "detail": or_null(text("The reply that caused it, or the operator's reason.")),
}
COMPONENTS: Mapping[str, Schema] = {
    "Block": given(
        _BLOCK,
        {
            "name": "example.net",
            "by": "engine",
            "until": "2026-03-01T12:30:00.000Z",
            "detail": "421 4.7.0 try again later",
        },
    ),
    "Queue": resource(
        "queue",
        {
            **_COUNTS,
            "oldest_at": or_null(time()),
            "domains": array(
                given(
                    {
                        "domain": text(),
                        **_COUNTS,
                        "oldest_at": time(),
                        "next_due_at": or_null(time()),
                        "suspension": or_null(ref("Block")),
                    }
                ),
                "Those with the most waiting.",
            ),
            "has_more": flag("Whether there are more domains."),
            "suspensions": array(ref("Block")),
        },
    ),
}
_SITE = text("The name of a server, or of several with commas between.", maxLength=2000)
_SELECTION: Schema = wish(
    {},
    {
        "ids": array(text(), "Of emails or recipients.", maxItems=1000),
        "domain": text("Of this recipient domain."),
        "site": text("Last tried at this server, or at one of these, with commas between."),
        "tag": text("With this tag."),
        "tag_value": text("With this value of the tag."),
        "all": flag("All that there is."),
        "tenant": _TENANT,
    },
)


def _change(description: str) -> Spec:
    return Spec(
        _TAG,
        f"{description} Name them by `ids`, by `domain`, `tag` and `site`, or say `all`.",
        request=body(_SELECTION),
        answer=body(resource("queue_change", {"count": number("Recipients that were moved.")})),
        errors=(409,),
        is_idempotent=True,
        examples={"A domain": {"domain": "example.net"}, "Everything": {"all": True}},
    )


SPECS: Mapping[str, Spec] = {
    "GET /v1/queue": Spec(
        _TAG,
        "Totals, the domains with the most waiting, and what is suspended.",
        parameters=(
            DOMAIN,
            query("limit", "Domains; 100 unless given.", number(minimum=1, maximum=1000)),
            query("tenant", "Id of a tenant; for admin keys."),
        ),
        answer=body(ref("Queue")),
    ),
    "POST /v1/queue/hold": _change("Keeps recipients from being tried."),
    "POST /v1/queue/release": _change("Lets held recipients go."),
    "POST /v1/queue/retry": _change("Makes waiting recipients due now."),
    "POST /v1/queue/flush": _change("The same as retry."),
    "POST /v1/queue/cancel": _change("Takes recipients out of the queue for good."),
    "POST /v1/queue/suspend": Spec(
        _TAG,
        "Nothing of the domain, or at the site, is tried until then, whoever sent it. Give one.",
        request=body(
            wish(
                {"until": time("A time to come.")},
                {"domain": text(), "site": _SITE, "reason": text(maxLength=200)},
            )
        ),
        answer=body(resource("suspension", _BLOCK)),
        is_idempotent=True,
        examples={
            "Until a time": {
                "domain": "example.net",
                "until": "2040-01-01T00:00:00Z",
                "reason": "their move",
            }
        },
    ),
    "POST /v1/queue/resume": Spec(
        _TAG,
        "Having none to end is no error.",
        request=body(wish({}, {"domain": text(), "site": _SITE})),
        answer=body(resource("suspension", {"name": text(), "resumed": flag()})),
        is_idempotent=True,
        examples={"A domain": {"domain": "example.net"}},
    ),
}
