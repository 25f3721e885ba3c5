"""API keys, and what a key may ask about itself."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    Schema,
    Spec,
    array,
    body,
    deleted,
    flag,
    given,
    identifier,
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
from control_api.schemas.stats import METRICS
from mta.core.access import SCOPES
from mta.core.quota import Span

_TAG = "API keys"
_ACCESS: Mapping[str, Schema] = {
    "description": text(maxLength=500),
    "scopes": array(one_of(SCOPES), "What it may do; `full` unless given.", minItems=1),
    "allowed_domains": array(text(), "Sender domains; none: all of yours.", maxItems=100),
    "allowed_networks": array(
        text(), "Where clients may be, such as `192.0.2.0/24`; none: anywhere.", maxItems=100
    ),
    "expires_at": time("When it ends; null: never."),
}
_TEST = flag("Its mail goes to the sandbox, whoever it is for.")
_NAME = text(minLength=1, maxLength=200)
_KEY: Mapping[str, Schema] = {
    "id": identifier("key"),
    "name": text(),
    "description": text(),
    "last4": text("The last characters of the key."),
    "test": _TEST,
    "scopes": array(text()),
    "allowed_domains": array(text()),
    "allowed_networks": array(text()),
    "created_at": time(),
    "expires_at": or_null(time()),
    "last_used_at": or_null(time()),
    "previous_valid_until": or_null(time("How long the key before a rotation works.")),
}
_EXAMPLE = {
    "id": "key_01KJMQ0R00000000000000000K",
    "name": "shop",
    "description": "",
    "last4": "x7Qa",
    "test": False,
    "scopes": ["emails:send"],
    "allowed_domains": [],
    "allowed_networks": ["192.0.2.0/24"],
    "created_at": "2026-03-01T12:00:00.000Z",
    "expires_at": None,
    "last_used_at": None,
    "previous_valid_until": None,
}
COMPONENTS: Mapping[str, Schema] = {
    "ApiKey": resource("api_key", _KEY, _EXAMPLE),
    "NewApiKey": resource(
        "api_key",
        {**_KEY, "token": text("The key itself, told this once; not in a repeated answer.")},
        sometimes=("token",),
    ),
}
_ONE = body(ref("ApiKey"))
_NEW = body(ref("NewApiKey"))
_CREATE = Spec(
    _TAG,
    "A key never makes one that may do more than itself.",
    request=body(wish({"name": _NAME}, {**_ACCESS, "test": _TEST})),
    answer=_NEW,
    errors=(403, 409),
    is_idempotent=True,
    examples={
        "For sending": {
            "name": "shop",
            "description": "The shop's servers",
            "scopes": ["emails:send"],
            "allowed_domains": ["example.com"],
            "allowed_networks": ["192.0.2.0/24"],
            "expires_at": "2040-01-01T00:00:00Z",
        },
        "For tests": {"name": "staging", "test": True},
    },
)
SPECS: Mapping[str, Spec] = {
    "POST /v1/api-keys": _CREATE,
    "POST /v1/tenants/{id}/api-keys": _CREATE,
    "GET /v1/api-keys": Spec(
        _TAG, "Those that are valid, oldest first.", parameters=PAGE, answer=listing(ref("ApiKey"))
    ),
    "GET /v1/api-keys/{id}": Spec(_TAG, answer=_ONE),
    "PATCH /v1/api-keys/{id}": Spec(
        _TAG,
        "What is left out stays.",
        request=body(wish({}, {"name": _NAME, **_ACCESS})),
        answer=_ONE,
        errors=(403,),
        examples={
            "Another name": {"name": "shop 2"},
            "For ever": {"expires_at": None, "scopes": ["emails:send", "emails:read"]},
        },
    ),
    "DELETE /v1/api-keys/{id}": Spec(
        _TAG, "It ends at once. Doing it again succeeds too.", answer=deleted("api_key")
    ),
    "POST /v1/api-keys/{id}/rotate": Spec(
        _TAG,
        "A new key under the same id; the old one works for a while.",
        request=body(
            wish({}, {"grace_seconds": number("A day unless given.", minimum=0, maximum=2_592_000)})
        ),
        needs_body=False,
        answer=_NEW,
        errors=(403, 409),
        is_idempotent=True,
        examples={"For an hour": {"grace_seconds": 3600}},
    ),
    "GET /v1/me": Spec(
        _TAG,
        answer=body(
            resource(
                "me",
                {
                    "tenant": given({"name": text()}),
                    "api_key": or_null(ref("ApiKey")),
                    "user": or_null(ref("User")),
                },
            ),
        ),
    ),
    "GET /v1/usage": Spec(
        _TAG,
        answer=body(
            resource(
                "usage",
                {
                    "requests": array(
                        given(
                            {
                                "policy": text(),
                                "limit": number(),
                                "window_seconds": number(),
                                "remaining": number(),
                                "reset_seconds": number(),
                            }
                        ),
                        "Request limits of this key.",
                    ),
                    "quota": given(
                        {
                            "per_hour": or_null(number("Emails; null: as many as you like.")),
                            "per_day": or_null(number()),
                            "windows": array(
                                given(
                                    {
                                        "span": one_of([one.value for one in Span]),
                                        "limit": number(),
                                        "used": number(),
                                        "remaining": number(),
                                        "resets_at": time(),
                                    }
                                )
                            ),
                        }
                    ),
                    "month": given(
                        {
                            "since": time("The beginning of this month, UTC."),
                            "counts": given({name: number(minimum=0) for name in METRICS}),
                        }
                    ),
                },
            )
        ),
    ),
}
