"""EmailFlow: lists, subscribers, campaigns, automations and feedback, below /api/v1.

Bodies are forms or JSON; what is wrong with them is told field by field with a 403. Not here: lists
(emailflow_lists.py), subscribers (emailflow_subscribers.py), imports (emailflow_imports.py),
campaigns (emailflow_campaigns.py), automations (emailflow_automations.py).
"""

from __future__ import annotations

from typing import Any

from config.compat import Compat
from control_api.dialects import (
    emailflow_automations,
    emailflow_campaigns,
    emailflow_imports,
    emailflow_lists,
    emailflow_subscribers,
)
from control_api.dialects.base import (
    Act,
    Ask,
    Asked,
    Dialect,
    KeyPlace,
    Limits,
    Media,
    Operation,
    Reply,
    Steps,
)
from control_api.dialects.emailflow_shapes import (
    done,
    refusal,
    render_error,
    required,
    text_of,
    uid_of,
)
from mta.core.event import JsonValue

FEEDBACK_TYPES = ("spam", "abuse")


def _login(asked: Asked) -> Steps:
    fields = asked.fields
    required(fields, ("email", "password"))
    body: JsonValue = {
        "email": text_of(fields["email"]),
        "password": str(fields["password"]),
    }
    made = yield Ask("POST", "/v1/login", body=body)
    return Reply({"api_token": made.value["token"]}, headers={"Cache-Control": "no-store"})


def _me(_: Asked) -> Steps:
    me = (yield Ask("GET", "/v1/me")).value
    return Reply({**_profile(me), "account": me["tenant"]["name"]})


def _user_info(_: Asked) -> Steps:
    return Reply(_profile((yield Ask("GET", "/v1/me")).value))


def _profile(me: Any) -> dict[str, Any]:
    """Return who asks; of a key that is nobody's, its name and no address."""
    user = me["user"]
    if user is None:
        key = me["api_key"]
        names = {"email": "", "first_name": key["name"], "last_name": "", "image_url": None}
        return {"uid": uid_of(key["id"]), **names, "created_at": key["created_at"]}
    names = {name: user[name] for name in ("email", "first_name", "last_name", "image_url")}
    return {"uid": uid_of(user["id"]), **names, "created_at": user["created_at"]}


def _dashboard(_: Asked) -> Steps:
    totals = {}
    for name in ("campaigns", "audiences", "contacts"):
        query = {"limit": "1", "include": "total"}
        totals[name] = (yield Ask("GET", f"/v1/{name}", query=query)).value["total"]
    usage = (yield Ask("GET", "/v1/usage")).value
    return Reply(
        {
            "campaigns_count": totals["campaigns"],
            "lists_count": totals["audiences"],
            "subscribers_count": totals["contacts"],
            "subscribers_quota": None,
            "sending": [
                {"span": one["span"], "used": one["used"], "quota": one["limit"]}
                for one in usage["quota"]["windows"]
            ],
        }
    )


def _login_token(_: Asked) -> Steps:
    made = (yield Ask("POST", "/v1/login-tokens")).value
    return Reply({name: made[name] for name in ("token", "url", "expires_at")})


def _feedback(kind: str, message: str) -> Act:
    """Return what hands in a report: "bounce" or "complaint"."""

    def act(asked: Asked) -> Steps:
        fields = asked.fields
        required(fields, ("message_id",))
        word = text_of(fields.get("type")).lower()
        body: dict[str, JsonValue] = {
            "message_id": text_of(fields["message_id"]),
            "description": text_of(fields.get("description")),
            "recipient": text_of(fields.get("recipient")),
            "type": "hard" if kind == "bounce" else word or FEEDBACK_TYPES[0],
        }
        if kind == "complaint" and word not in ("", *FEEDBACK_TYPES):
            raise refusal("type", "invalid_value", "The selected type is invalid.")
        yield Ask("POST", f"/v1/feedback/{kind}", body=body)
        return done(message)

    return act


def _limits(compat: Compat) -> Limits:
    return {emailflow_imports.BULK: compat.limits.emailflow_bulk}


DIALECT = Dialect(
    name="emailflow",
    title="EmailFlow AI",
    home="https://emailflow.ai",
    first_look="/api/v1/me",
    operations=(
        Operation(
            "E-01",
            "POST",
            "/api/v1/user/login",
            _login,
            "Exchange a password for a token",
            "Off unless `api.login.enabled`; the token is a session and ends.",
            is_public=True,
        ),
        Operation("E-02", "GET", "/api/v1/me", _me, "Who the token is"),
        Operation("E-03", "GET", "/api/v1/user/info", _user_info, "The profile of the user"),
        Operation("E-04", "GET", "/api/v1/dashboard", _dashboard, "Counts, and use of the quota"),
        Operation(
            "E-05",
            "POST",
            "/api/v1/login-token",
            _login_token,
            "Make a one-time link that logs in",
            "Off unless `api.login.enabled`.",
        ),
        *emailflow_lists.OPERATIONS,
        *emailflow_subscribers.OPERATIONS,
        *emailflow_imports.OPERATIONS,
        *emailflow_campaigns.OPERATIONS,
        *emailflow_automations.OPERATIONS,
        Operation(
            "E-43",
            "POST",
            "/api/v1/notification/bounce",
            _feedback("bounce", "Bounce has been recorded"),
            "Report a hard bounce",
            "`message_id` is that of an email, or the Message-ID that it got here; `recipient` "
            "says which, where it had several.",
        ),
        Operation(
            "E-44",
            "POST",
            "/api/v1/notification/feedback",
            _feedback("complaint", "Feedback has been recorded"),
            "Report a complaint",
        ),
    ),
    render_error=render_error,
    root="/api/v1",
    keys=(KeyPlace.BEARER, KeyPlace.QUERY, KeyPlace.FORM),
    bodies=(Media.FORM, Media.MULTIPART, Media.JSON),
    limits=_limits,
    notes=(
        "A `uid` is the part of a native id behind its prefix; whole ids are understood too.",
        "Bodies are urlencoded or multipart forms, with names such as `contact[company]`, or JSON.",
        "What is wrong with fields is a 403 with a bare object: field to sentences.",
        "Other errors are `{status: 0, message, code}`.",
        "Tokens in the query are kept out of the request log, but proxies may log them.",
    ),
)
