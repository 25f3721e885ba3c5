"""EmailFlow's lists: audiences with fields, and a postal address of their sender.

Not here: who is in them (emailflow_subscribers.py).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from control_api.dialects.base import Answer, Ask, Asked, Operation, Reply, Steps
from control_api.dialects.emailflow_people import EMAIL, WORDS
from control_api.dialects.emailflow_shapes import (
    done,
    flag_of,
    id_of,
    refusal,
    required,
    text_of,
    uid_of,
    wanted_page,
)
from control_api.errors import ApiError
from mta.core.event import JsonValue

PREFIX = "aud"
_TEXTS = ("name", "from_email", "from_name", "default_subject", "reply_to")


def audience(list_uid: JsonValue) -> Generator[Ask, Answer, Any]:
    """Ask for the audience that a list is; 404 when there is none."""
    params = {"id": id_of(PREFIX, text_of(list_uid))}
    return (yield Ask("GET", "/v1/audiences/{id}", params)).value


def _lists(asked: Asked) -> Steps:
    found = yield Ask("GET", "/v1/audiences", query=wanted_page(asked.query))
    return Reply([list_json(one) for one in found.value["data"]])


def list_json(one: Any) -> dict[str, Any]:
    """Return an audience as a list."""
    uid = uid_of(one["id"])
    return {
        "id": uid,
        "uid": uid,
        **{name: one[name] for name in _TEXTS},
        "status": "active",
        "created_at": one["created_at"],
        "updated_at": one["updated_at"],
    }


def _create(asked: Asked) -> Steps:
    fields = asked.fields
    required(fields, ("name", "from_email", "from_name"))
    made = yield Ask("POST", "/v1/audiences", body=to_audience(fields))
    return done("List has been created!", 201, list_uid=uid_of(made.value["id"]))


def to_audience(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a list as the native API takes an audience."""
    body: dict[str, JsonValue] = {
        name: text_of(fields[name]) for name in _TEXTS if text_of(fields.get(name))
    }
    contact = fields.get("contact")
    if isinstance(contact, dict) and contact:
        body["metadata"] = {"contact": contact}
    return body


def _one(asked: Asked) -> Steps:
    one = yield from audience(asked.path["uid"])
    opened = yield from _share(one, {"opened": "true"})
    clicked = yield from _share(one, {"clicked": "true"})
    counts = one["counts"]
    return Reply(
        {
            "list": {**list_json(one), "fields": fields_json(one)},
            "contact": one["metadata"].get("contact", {}),
            "statistics": {
                "subscriber_count": one["total"],
                "subscribed_count": counts.get("subscribed", 0),
                "unsubscribed_count": counts.get("unsubscribed", 0),
                "unconfirmed_count": counts.get("unconfirmed", 0),
                "open_uniq_rate": opened,
                "click_rate": clicked,
            },
        }
    )


def _share(one: Any, wanted: Mapping[str, str]) -> Generator[Ask, Answer, float]:
    """Return which share of the subscribers is so."""
    query = {"include": "total", "limit": "1", **wanted}
    found = yield Ask("GET", "/v1/audiences/{id}/contacts", {"id": one["id"]}, query)
    return round(found.value["total"] / one["total"], 4) if one["total"] else 0.0


def fields_json(one: Any) -> list[dict[str, Any]]:
    """Return the fields of a list, the address first."""
    address = {"tag": EMAIL, "label": "Email", "type": "text", "required": True}
    return [_field(address), *map(_field, one["fields"])]


def _field(one: Any) -> dict[str, Any]:
    return {
        "uid": one["tag"],
        "key": one["tag"],
        "label": one["label"],
        "type": one["type"],
        "tag": one["tag"],
        "default_value": one.get("default_value"),
        "visible": True,
        "required": one["required"],
    }


def _add_field(asked: Asked) -> Steps:
    fields = asked.fields
    required(fields, ("type", "label", "tag"))
    body: dict[str, JsonValue] = {
        name: text_of(fields[name])
        for name in ("type", "label", "tag", "default_value")
        if text_of(fields.get(name))
    }
    if (is_required := flag_of(fields, "required")) is not None:
        body["required"] = is_required
    if body["tag"] in (EMAIL, *WORDS):
        raise _taken()
    params = {"id": id_of(PREFIX, asked.path["uid"])}
    try:
        made = yield Ask("POST", "/v1/audiences/{id}/fields", params, body=body)
    except ApiError as refused:
        if refused.problem.code != "already_exists":
            raise
        raise _taken() from None
    return done("Field has been added!", field=_field(made.value))


def _taken() -> ApiError:
    return refusal("tag", "taken", "The tag has already been taken.")


def _delete(asked: Asked) -> Steps:
    one = yield from audience(asked.path["uid"])
    yield Ask("DELETE", "/v1/audiences/{id}", {"id": one["id"]})
    return done("Deleted")


_ALL, _ONE = "/api/v1/lists", "/api/v1/lists/{uid}"
OPERATIONS = (
    Operation("E-06", "GET", _ALL, _lists, "List lists", "`page`, and `per_page` up to 500."),
    Operation(
        "E-07",
        "POST",
        _ALL,
        _create,
        "Make a list",
        "`contact` is kept and shown; nothing here depends on it.",
    ),
    Operation("E-08", "GET", _ONE, _one, "Look at a list with fields and statistics"),
    Operation("E-09", "POST", f"{_ONE}/add-field", _add_field, "Add a field to a list"),
    Operation(
        "E-10",
        "DELETE",
        _ONE,
        _delete,
        "Delete a list with its subscribers",
        "Contacts stay, because they may be in other lists.",
    ),
)
