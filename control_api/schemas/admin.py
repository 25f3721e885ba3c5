"""What operators ask, and what needs no key: health, figures, links in mails, this document."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    AFTER,
    JSON,
    LIMIT,
    NUMBERED,
    Schema,
    Spec,
    array,
    body,
    deleted,
    given,
    listing,
    number,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)

_TAG = "Operators"
_SERVICE = "Service"
_HTML = "text/html"
_FORM = "application/x-www-form-urlencoded"
_LIMITS: Mapping[str, Schema] = {
    "per_hour": or_null(number("Emails; null: no limit.", minimum=1, maximum=1_000_000_000)),
    "per_day": or_null(number("Emails; null: no limit.", minimum=1, maximum=1_000_000_000)),
}
_QUOTA = {**wish({}, _LIMITS), "description": "Null gives the tenant that of mta.toml."}
_DSN: Schema = {
    "type": ["boolean", "null"],
    "description": "Whether its senders over SMTP get delivery reports; null: as mta.toml says.",
}
COMPONENTS: Mapping[str, Schema] = {
    "Tenant": resource(
        "tenant",
        {
            "id": text(),
            "name": text(),
            "created_at": time(),
            "quota": or_null(given(_LIMITS)),
            "keys": number(),
            "domains": number(),
            "dsn": _DSN,
        },
        {
            "id": "ten_00000000000000000000000001",
            "name": "shop",
            "created_at": "2026-03-01T12:00:00.000Z",
            "quota": {"per_hour": 1000, "per_day": None},
            "keys": 1,
            "domains": 1,
            "dsn": None,
        },
    ),
    "Health": given(
        {"status": one_of(["ok", "unavailable"]), "reasons": array(text())},
        {"status": "ok"},
        sometimes=("reasons",),
    ),
}
_TENANT = body(ref("Tenant"))
_PAGE = {_HTML: text()}
SPECS: Mapping[str, Spec] = {
    "POST /v1/tenants": Spec(
        _TAG,
        request=body(wish({"name": text(minLength=1, maxLength=100)}, {"quota": _QUOTA})),
        answer=_TENANT,
        errors=(409,),
        is_idempotent=True,
        examples={"With a quota": {"name": "shop 2", "quota": {"per_hour": 1000}}},
    ),
    "GET /v1/tenants": Spec(
        _TAG, "Oldest first.", parameters=(LIMIT, AFTER, NUMBERED), answer=listing(ref("Tenant"))
    ),
    "GET /v1/tenants/{id}": Spec(_TAG, answer=_TENANT),
    "PATCH /v1/tenants/{id}": Spec(
        _TAG,
        request=body(wish({}, {"quota": _QUOTA, "dsn": _DSN})),
        answer=_TENANT,
        examples={
            "A quota": {"quota": {"per_hour": 500, "per_day": 5000}},
            "No delivery reports": {"dsn": False},
        },
    ),
    "DELETE /v1/tenants/{id}": Spec(
        _TAG,
        "With its keys, webhooks and suppressions; its domains and mail have to be gone.",
        answer=deleted("tenant"),
        errors=(409,),
    ),
    "GET /v1/egress-sources": Spec(
        _TAG,
        answer=listing(
            resource(
                "egress_source",
                {
                    "id": text(),
                    "ehlo_name": text(),
                    "prefer": one_of(["ipv6", "ipv4"]),
                    "addresses": array(text()),
                    "max_connections": number(),
                },
            )
        ),
    ),
    "GET /metrics": Spec(
        _SERVICE,
        "In the text format of Prometheus. Without a key from this machine only; otherwise with one"
        " that may read statistics.",
        answer={"text/plain": text()},
        errors=(401, 403),
    ),
    "GET /healthz": Spec(_SERVICE, answer=body(ref("Health"))),
    "GET /readyz": Spec(
        _SERVICE,
        "503 with `reasons` while it can not.",
        answer=body(ref("Health")),
        other_answers={503: body(ref("Health"))},
    ),
    "GET /u/{token}": Spec(
        _SERVICE, "A page with a button; changes nothing.", answer=_PAGE, other_answers={404: _PAGE}
    ),
    "POST /u/{token}": Spec(
        _SERVICE,
        "RFC 8058.",
        request={_FORM: wish({}, {"List-Unsubscribe": text()}), "multipart/form-data": {}},
        answer=_PAGE,
        other_answers={400: _PAGE, 404: _PAGE},
        examples={"One click": "List-Unsubscribe=One-Click"},
    ),
    "GET /c/{token}": Spec(
        _SERVICE,
        "A page with a button that confirms a membership; changes nothing.",
        answer=_PAGE,
        other_answers={404: _PAGE, 410: _PAGE},
    ),
    "POST /c/{token}": Spec(
        _SERVICE,
        "Doing it again is fine. 410 when the link is too old.",
        answer=_PAGE,
        other_answers={404: _PAGE, 410: _PAGE},
    ),
    "GET /t/o/{token}.gif": Spec(
        _SERVICE, "Every request is answered with the image.", answer={"image/gif": text()}
    ),
    "GET /t/c/{token}/{target}": Spec(
        _SERVICE,
        "Leads on to the address that the sender put into the email, and nowhere else.",
        answer={},
        status=302,
        other_answers={404: _PAGE},
    ),
    "GET /v1/openapi.json": Spec(
        _SERVICE, "This document (OpenAPI 3.1).", answer={JSON: {"type": "object"}}
    ),
    "GET /docs": Spec(_SERVICE, "This document for people.", answer=_PAGE),
}
