"""EmailFlow's campaigns: one mail to the subscribers of a list, its figures, and logs as CSV.

Not here: what a campaign does when (mta/core/campaign.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_api.dialects.base import Act, Ask, Asked, Operation, Reply, Steps
from control_api.dialects.emailflow_lists import PREFIX
from control_api.dialects.emailflow_shapes import (
    done,
    flag_of,
    id_of,
    moment_of,
    required,
    text_of,
    uid_of,
    wanted_page,
)
from control_api.dialects.reading import options
from mta.core.event import JsonValue

CAMPAIGN = "cmp"
_RENAMED = {
    "audience_id": "list_uid",
    "from.email": "from_email",
    "from.name": "from_name",
    "from": "from_email",
    "tracking.opens": "track_open",
    "tracking.clicks": "track_click",
    "tracking": "track_open",
    "text": "plain",
    "send_at": "delivery_at",
}
_TEXTS = {"name": "name", "subject": "subject", "reply_to": "reply_to"}
_REQUIRED = ("list_uid", "name", "subject", "from_email", "from_name")
_PARTS = {"html": "html", "plain": "text"}
LOGS = ("tracking", "open", "click", "bounce", "feedback", "unsubscribe")


def _campaigns(asked: Asked) -> Steps:
    found = yield Ask("GET", "/v1/campaigns", query=wanted_page(asked.query))
    return Reply([campaign_json(one) for one in found.value["data"]])


def campaign_json(one: Any) -> dict[str, Any]:
    """Return a campaign as the document's clients know it."""
    tracking = one["tracking"]
    return {
        "uid": uid_of(one["id"]),
        "list_uid": uid_of(one["audience_id"] or ""),
        "name": one["name"],
        "type": "regular",
        "subject": one["subject"],
        "html": one["html"],
        "plain": one["text"],
        "from_email": one["from"]["email"],
        "from_name": one["from"]["name"],
        "reply_to": one["reply_to"][0]["email"] if one["reply_to"] else "",
        "track_open": tracking["opens"],
        "track_click": tracking["clicks"],
        "status": one["status"],
        "delivery_at": one["send_at"],
        "created_at": one["created_at"],
        "updated_at": one["updated_at"],
    }


def _create(asked: Asked) -> Steps:
    fields = asked.fields
    required(fields, _REQUIRED)
    body = to_campaign(fields)
    made = yield Ask("POST", "/v1/campaigns", body=body, renamed=_RENAMED)
    return done("Campaign has been created", 201, campaign_uid=uid_of(made.value["id"]))


def to_campaign(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return what is said of a campaign as the native API takes it."""
    body: dict[str, JsonValue] = {
        native: text_of(fields[name])
        for name, native in _TEXTS.items()
        if text_of(fields.get(name))
    }
    body |= {native: fields[name] for name, native in _PARTS.items() if fields.get(name)}
    if "list_uid" in fields:
        body["audience_id"] = id_of(PREFIX, text_of(fields["list_uid"]))
    if "from_email" in fields:
        name = text_of(fields.get("from_name"))
        body["from"] = {"email": text_of(fields["from_email"]), "name": name}
    if moment := text_of(fields.get("delivery_at")):
        body["send_at"] = moment_of(moment)
    if tracking := _tracking(fields):
        body["tracking"] = tracking
    return body | options(fields, _TEXTS)


def _tracking(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    wishes = {"opens": flag_of(fields, "track_open"), "clicks": flag_of(fields, "track_click")}
    return {name: wish for name, wish in wishes.items() if wish is not None}


def _place(asked: Asked) -> dict[str, str]:
    return {"id": id_of(CAMPAIGN, asked.path["uid"])}


def _one(asked: Asked) -> Steps:
    found = (yield Ask("GET", "/v1/campaigns/{id}", _place(asked))).value
    stats = (yield Ask("GET", "/v1/campaigns/{id}/stats", _place(asked))).value
    return Reply({"campaign": campaign_json(found), "statistics": statistics_json(stats)})


def statistics_json(stats: Any) -> dict[str, Any]:
    """Return the figures of a campaign."""
    counts, opens, clicks = stats["counts"], stats["opens"], stats["clicks"]
    return {
        "subscriber_count": stats["recipients"],
        "delivered_count": counts["delivered"],
        "delivered_rate": stats["rates"]["delivered"],
        "open_count": opens["total"],
        "uniq_open_count": opens["unique"],
        "uniq_open_rate": opens["rate"],
        "click_count": clicks["total"],
        "uniq_click_count": clicks["unique"],
        "click_rate": clicks["rate"],
        "bounce_count": counts["bounced"],
        "abuse_feedback_count": counts["complained"],
        "unsubscribe_count": counts["unsubscribed"],
        "links": stats["links"],
    }


def _update(asked: Asked) -> Steps:
    fields = asked.fields
    required(fields, [name for name in _REQUIRED if name in fields])
    found = (yield Ask("GET", "/v1/campaigns/{id}", _place(asked))).value
    if "from_name" in fields and "from_email" not in fields:
        fields = {**fields, "from_email": found["from"]["email"]}
    elif "from_email" in fields and "from_name" not in fields:
        fields = {**fields, "from_name": found["from"]["name"]}
    body = to_campaign(fields)
    if "tracking" in body:
        body["tracking"] = {**found["tracking"], **_tracking(fields)}
    yield Ask("PATCH", "/v1/campaigns/{id}", _place(asked), body=body, renamed=_RENAMED)
    return done("Campaign has been updated", campaign_uid=uid_of(found["id"]))


def _moved(action: str, told: str) -> Act:
    """Return what launches, pauses or resumes a campaign."""

    def act(asked: Asked) -> Steps:
        path = f"/v1/campaigns/{{id}}/{action}"
        moved = yield Ask("POST", path, _place(asked), renamed=_RENAMED)
        message = f"The campaign was {told}"
        shown = campaign_json(moved.value)
        return Reply({"status": "success", "message": message, "campaign": shown})

    return act


def _delete(asked: Asked) -> Steps:
    found = (yield Ask("GET", "/v1/campaigns/{id}", _place(asked))).value
    yield Ask("DELETE", "/v1/campaigns/{id}", {"id": found["id"]})
    return done("Deleted")


def _log(kind: str) -> Act:
    """Return what streams a log as CSV."""

    def act(asked: Asked) -> Steps:
        params = {**_place(asked), "log": kind}
        answer = yield Ask("GET", "/v1/campaigns/{id}/logs/{log}", params, {"format": "csv"})
        return answer.response

    return act


_ALL, _ONE = "/api/v1/campaigns", "/api/v1/campaigns/{uid}"
OPERATIONS = (
    Operation("E-27", "GET", _ALL, _campaigns, "List campaigns"),
    Operation(
        "E-28",
        "POST",
        _ALL,
        _create,
        "Make a campaign",
        "The sk_live document has this call too: a form, `api_token`, `list_uid` or `from_email` "
        "mean this one.",
        marks=frozenset({"list_uid", "from_email", "api_token"}),
    ),
    Operation("E-29", "GET", _ONE, _one, "Look at a campaign and its figures"),
    Operation("E-30", "PATCH", _ONE, _update, "Change a campaign"),
    Operation(
        "E-31",
        "POST",
        f"{_ONE}/run",
        _moved("send", "launched"),
        "Send a campaign",
        "Needs `api.public_url`, for its links.",
    ),
    Operation("E-32", "POST", f"{_ONE}/pause", _moved("pause", "paused"), "Pause a campaign"),
    Operation("E-33", "POST", f"{_ONE}/resume", _moved("resume", "resumed"), "Resume a campaign"),
    Operation("E-34", "DELETE", _ONE, _delete, "Delete a campaign that is not in progress"),
    *(
        Operation(
            f"E-{35 + number}",
            "GET",
            f"{_ONE}/{kind}-log/download",
            _log(kind),
            f"The {kind} log as CSV",
        )
        for number, kind in enumerate(LOGS)
    ),
)
