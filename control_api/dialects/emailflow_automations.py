"""EmailFlow's automations: listed, and set off from outside.

The document's call to set one off names nobody. So it stands for everybody who is subscribed to the
list that the automation is about; one person is named with EMAIL. Not here: what automations do.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from control_api.dialects.base import Answer, Ask, Asked, Operation, Reply, Steps
from control_api.dialects.emailflow_people import address_of
from control_api.dialects.emailflow_shapes import id_of, refusal, required, uid_of, wanted_page
from control_api.errors import ApiError
from mta.core.event import JsonValue

MAX_PEOPLE = 500
"""Whom one request sets an automation off for."""
_ADDRESS = ("EMAIL", "email")
_NOT_NOW = ("already_running", "already_ran", "conditions_not_met")
"""Why an automation passes one of many people over."""


def _automations(asked: Asked) -> Steps:
    found = yield Ask("GET", "/v1/automations", query=wanted_page(asked.query))
    return Reply([automation_json(one) for one in found.value["data"]])


def automation_json(one: Any) -> dict[str, Any]:
    """Return an automation as the document's clients know it."""
    same = {name: one[name] for name in ("name", "status", "created_at", "updated_at")}
    audience_id = one["trigger"].get("audience_id") or ""
    return {"uid": uid_of(one["id"]), "list_uid": uid_of(audience_id), **same}


def _execute(asked: Asked) -> Steps:
    fields = asked.fields
    params = {"id": id_of("aut", asked.path["uid"])}
    data: JsonValue = {name: value for name, value in fields.items() if name not in _ADDRESS}
    if email := address_of(fields):
        yield _run(params, {"email": email, "data": data})
    else:
        for contact_id in (yield from _everybody(params)):
            try:
                yield _run(params, {"contact_id": contact_id, "data": data})
            except ApiError as refused:
                if refused.problem.code not in _NOT_NOW:
                    raise
    return Reply({"success": True})


def _run(params: dict[str, str], body: dict[str, JsonValue]) -> Ask:
    renamed = {"email": "EMAIL", "contact_id": "EMAIL"}
    path = "/v1/automations/{id}/execute"
    return Ask("POST", path, params, body=body, renamed=renamed)


def _everybody(params: dict[str, str]) -> Generator[Ask, Answer, list[str]]:
    """Ask for the ids of the contacts that an automation is about."""
    automation = (yield Ask("GET", "/v1/automations/{id}", params)).value
    audience_id = automation["trigger"].get("audience_id")
    if not audience_id:
        required({}, ("EMAIL",))
    query = {"status": "subscribed", "page": "1", "limit": str(MAX_PEOPLE)}
    path = "/v1/audiences/{id}/contacts"
    found = (yield Ask("GET", path, {"id": audience_id}, query)).value
    if found["has_more"]:
        message = f"The list has more than {MAX_PEOPLE} subscribers: name one of them."
        raise refusal("EMAIL", "too_many", message)
    return [one["contact_id"] for one in found["data"]]


OPERATIONS = (
    Operation("E-41", "GET", "/api/v1/automations", _automations, "List automations"),
    Operation(
        "E-42",
        "POST",
        "/api/v1/automations/{uid}/execute",
        _execute,
        "Set an automation off",
        "For the subscriber in `EMAIL`; without it for all of the automation's list, up to "
        "500. Other fields are the data of the run.",
    ),
)
