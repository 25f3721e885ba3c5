"""Users, logging in, and what a user may do about himself."""

from __future__ import annotations

from collections.abc import Mapping

from control_api.schemas.base import (
    PAGE,
    Schema,
    Spec,
    body,
    deleted,
    given,
    identifier,
    listing,
    one_of,
    or_null,
    ref,
    resource,
    text,
    time,
    wish,
)
from mta.core.password import MAX_LENGTH, MIN_LENGTH
from mta.core.role import ROLES

_TAG = "Users"
_HTML = "text/html"
_ROLE = one_of(list(ROLES), "What the user may do; member unless given.")
_PROFILE: Mapping[str, Schema] = {
    "role": _ROLE,
    "first_name": text(maxLength=100),
    "last_name": text(maxLength=100),
    "image_url": text("Of a picture.", maxLength=2000),
}
_NEW_PASSWORD = text(
    "Kept as an Argon2id hash; without one there are only one-time links.",
    minLength=MIN_LENGTH,
    maxLength=MAX_LENGTH,
)
_EMAIL = text("Of the user; compared without case.", maxLength=320)
_EXAMPLE = {
    "id": "usr_01KJMQ0R00000000000000000V",
    "email": "ant@shop.example",
    "role": "owner",
    "first_name": "Ant",
    "last_name": "",
    "image_url": None,
    "created_at": "2026-03-01T12:00:00.000Z",
    "last_login_at": None,
}
COMPONENTS: Mapping[str, Schema] = {
    "User": resource(
        "user",
        {
            "id": identifier("usr"),
            "email": text(),
            "role": one_of(list(ROLES)),
            "first_name": text(),
            "last_name": text(),
            "image_url": or_null(text()),
            "created_at": time(),
            "last_login_at": or_null(time()),
        },
        _EXAMPLE,
    ),
    "Session": resource(
        "session",
        {
            "token": text("Good for what an API key is, as far as the role goes."),
            "expires_at": time(),
            "user": ref("User"),
        },
    ),
}
_ONE = body(ref("User"))
_CREATE = Spec(
    _TAG,
    "A key or user never makes one who may do more. Idempotency-Key has no effect here: an address"
    " exists once, of all tenants, which is what stops a repetition (409).",
    request=body(wish({"email": _EMAIL}, {**_PROFILE, "password": _NEW_PASSWORD})),
    answer=_ONE,
    errors=(403, 409, 503),
    examples={
        "With a password": {
            "email": "bee@shop.example",
            "password": "correct horse battery",
            "role": "viewer",
            "first_name": "Bee",
        },
        "For one-time links": {
            "email": "elk@shop.example",
            "image_url": "https://shop.example/elk",
        },
    },
)
_PAGE_ANSWER = {_HTML: text()}
SPECS: Mapping[str, Spec] = {
    "POST /v1/users": _CREATE,
    "POST /v1/tenants/{id}/users": _CREATE,
    "GET /v1/users": Spec(_TAG, "Oldest first.", parameters=PAGE, answer=listing(ref("User"))),
    "GET /v1/users/{id}": Spec(_TAG, answer=_ONE),
    "PATCH /v1/users/{id}": Spec(
        _TAG,
        "What is left out stays. Another password ends all tokens of the user.",
        request=body(wish({}, {**_PROFILE, "password": _NEW_PASSWORD})),
        answer=_ONE,
        errors=(403, 503),
        examples={"Another role": {"role": "member"}, "A password": {"password": "tall oak 1024"}},
    ),
    "DELETE /v1/users/{id}": Spec(
        _TAG,
        "With all tokens. API keys that the user made stay. Doing it again succeeds too.",
        answer=deleted("user"),
        errors=(403,),
    ),
    "POST /v1/me/password": Spec(
        _TAG,
        "Of who is logged in; 409 with an API key. All tokens end, this one too.",
        request=body(
            wish(
                {"password": _NEW_PASSWORD},
                {"current_password": text("Unless there is none.", maxLength=MAX_LENGTH)},
            )
        ),
        answer=_ONE,
        errors=(409, 503),
        examples={"Another": {"current_password": "tall oak 1024", "password": "old wide river"}},
    ),
    "POST /v1/login": Spec(
        _TAG,
        "Gives a token for email and password, or for the token of a one-time link. 403 unless the"
        " operator has switched it on. Attempts are limited for each client and each user.",
        request=body(
            wish(
                {},
                {
                    "email": _EMAIL,
                    "password": text(maxLength=MAX_LENGTH),
                    "token": text("Instead of both: of a one-time link.", maxLength=100),
                },
            )
        ),
        answer=body(ref("Session")),
        errors=(401, 403, 413, 429, 503),
        examples={
            "With a password": {"email": "ant@shop.example", "password": "correct horse battery"}
        },
    ),
    "POST /v1/logout": Spec(
        _TAG,
        "The token that the request comes with ends; 409 with an API key.",
        answer=body(given({"object": {"const": "session"}, "deleted": {"const": True}})),
        errors=(409,),
    ),
    "POST /v1/login-tokens": Spec(
        _TAG,
        "A link that logs a user in once, within minutes: the one named, else who is logged in,"
        " else, with an API key, your oldest user. Another's takes the scope users:write.",
        request=body(wish({}, {"user_id": text("Who is to log in.", maxLength=100)})),
        needs_body=False,
        answer=body(
            resource(
                "login_token",
                {
                    "token": text("For POST /v1/login; works once."),
                    "url": text("The page that exchanges it, for people."),
                    "expires_at": time(),
                    "user": ref("User"),
                },
            )
        ),
        errors=(403,),
        examples={"For the oldest user": {}},
    ),
    "GET /login/{token}": Spec(
        _TAG,
        "A page with a button; changes nothing.",
        answer=_PAGE_ANSWER,
        other_answers={404: _PAGE_ANSWER},
    ),
    "POST /login/{token}": Spec(
        _TAG,
        "What the button does: shows the token of the session.",
        answer=_PAGE_ANSWER,
        other_answers={404: _PAGE_ANSWER},
        errors=(429,),
    ),
}
