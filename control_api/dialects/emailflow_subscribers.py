"""EmailFlow's subscribers: one by one, by id or address.

The id of a subscriber is that of the membership: the same person in two lists is two subscribers,
with the same tags. Not here: what becomes of their fields (emailflow_people.py), many at once
(emailflow_imports.py).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from control_api.dialects.base import Act, Answer, Ask, Asked, Operation, Reply, Steps
from control_api.dialects.emailflow_lists import PREFIX, audience
from control_api.dialects.emailflow_people import (
    FIRST,
    LAST,
    RENAMED,
    STATUSES,
    address_of,
    full_name,
    gives_tags,
    names_of,
    renamed,
    subscriber_json,
    tags_of,
    to_member,
    values_of,
)
from control_api.dialects.emailflow_shapes import (
    done,
    id_of,
    not_found,
    refusal,
    required,
    text_of,
    uid_of,
    wanted_page,
)
from control_api.errors import ApiError
from mta.core.event import JsonValue

PER_PAGE = 25
_MEMBER = "/v1/audiences/{id}/contacts/{contact}"
_MEMBERSHIPS = "/v1/contacts/{id}/memberships"
_WORDS = {"yes": "true", "no": "false"}


def _subscribers(asked: Asked) -> Steps:
    required(asked.query, ("list_uid",))
    query = wanted_page(asked.query, PER_PAGE)
    for native, name in (("opened", "open"), ("clicked", "click")):
        word = asked.query.get(name, "").lower()
        query[native] = _WORDS.get(word, word)
    params = {"id": id_of(PREFIX, asked.query["list_uid"])}
    answer = yield Ask(
        "GET",
        "/v1/audiences/{id}/contacts",
        params,
        query,
        renamed={"opened": "open", "clicked": "click"},
    )
    return Reply([subscriber_json(one) for one in answer.value["data"]])


def _create(asked: Asked) -> Steps:
    fields = asked.fields
    required({**fields, "EMAIL": address_of(fields)}, ("list_uid", "EMAIL"))
    _check_status(fields)
    where = yield from audience(fields["list_uid"])
    made = yield Ask(
        "POST",
        "/v1/audiences/{id}/contacts",
        {"id": where["id"]},
        body=to_member(fields, where),
        renamed=renamed(where),
    )
    return done("Subscriber has been created", 201, subscriber_id=uid_of(made.value["id"]))


def _check_status(fields: dict[str, JsonValue]) -> None:
    word = text_of(fields.get("status")).lower()
    if word and word not in STATUSES:
        message = f"The status must be one of {', '.join(STATUSES)}."
        raise refusal("status", "invalid_value", message)


def _member(asked: Asked) -> Generator[Ask, Answer, Any]:
    """Ask for the membership that the path names, by its uid or by the address."""
    name = asked.path["id"]
    if "@" not in name:
        params = {"id": id_of("mem", name)}
        return (yield Ask("GET", "/v1/memberships/{id}", params)).value
    found = yield Ask("GET", _MEMBERSHIPS, {"id": name})
    wanted = asked.path.get("list_uid") or asked.query.get("list_uid", "")
    for one in found.value["data"]:
        if not wanted or one["audience_id"] == id_of(PREFIX, wanted):
            return one
    raise not_found()


def _contact(member: Any) -> Generator[Ask, Answer, Any]:
    return (yield Ask("GET", "/v1/contacts/{id}", {"id": member["contact_id"]})).value


def _one(asked: Asked) -> Steps:
    member = yield from _member(asked)
    contact = yield from _contact(member)
    shown = subscriber_json(member, contact["tags"])
    return Reply({"subscriber": {**shown, "source": "api", "ip_address": None}})


def _by_email(asked: Asked) -> Steps:
    try:
        contact = (yield Ask("GET", "/v1/contacts/{id}", {"id": asked.path["email"]})).value
    except ApiError as refused:
        if refused.problem.status != 404:
            raise
        return Reply({"subscribers": []})
    members = (yield Ask("GET", _MEMBERSHIPS, {"id": contact["id"]})).value["data"]
    return Reply({"subscribers": [subscriber_json(one, contact["tags"]) for one in members]})


def _update(asked: Asked) -> Steps:
    fields = asked.fields
    _check_status(fields)
    member = yield from _member(asked)
    if address_of(fields) and address_of(fields).lower() != member["email"].lower():
        raise refusal("EMAIL", "immutable", "The EMAIL of a subscriber cannot be changed.")
    where = yield from audience(member["audience_id"])
    body: dict[str, JsonValue] = {"fields": values_of(fields, where)}
    if status := text_of(fields.get("status")).lower():
        body["status"] = status
    place = {"id": member["audience_id"], "contact": member["contact_id"]}
    yield Ask("PATCH", _MEMBER, place, body=body, renamed=renamed(where))
    yield from _rename(fields, member)
    if gives_tags(fields):
        yield from _set_tags(member, tags_of(fields))
    return done("Subscriber has been updated", subscriber_id=uid_of(member["id"]))


def _rename(fields: dict[str, JsonValue], member: Any) -> Generator[Ask, Answer, None]:
    """Change the name of the contact where the request says one."""
    if FIRST not in fields and LAST not in fields:
        return
    first, last = names_of(member["name"])
    first = text_of(fields[FIRST]) if FIRST in fields else first
    last = text_of(fields[LAST]) if LAST in fields else last
    body: JsonValue = {"name": full_name(first, last)}
    params = {"id": member["contact_id"]}
    yield Ask("PATCH", "/v1/contacts/{id}", params, body=body, renamed=RENAMED)


def _set_tags(member: Any, wanted: list[str]) -> Generator[Ask, Answer, None]:
    """Let the contact have these tags and no others."""
    has = (yield from _contact(member))["tags"]
    yield from _add(member, [tag for tag in wanted if tag not in has])
    yield from _remove(member, [tag for tag in has if tag not in wanted])


def _add(member: Any, tags: list[str]) -> Generator[Ask, Answer, None]:
    if tags:
        body: JsonValue = {"tags": list(tags)}
        params = {"id": member["contact_id"]}
        yield Ask("POST", "/v1/contacts/{id}/tags", params, body=body, renamed=RENAMED)


def _remove(member: Any, tags: list[str]) -> Generator[Ask, Answer, None]:
    for tag in tags:
        params = {"id": member["contact_id"]}
        yield Ask("DELETE", "/v1/contacts/{id}/tags", params, {"tag": tag}, renamed=RENAMED)


def _add_tags(asked: Asked) -> Steps:
    return (yield from _tag(asked, is_wanted=True))


def _remove_tags(asked: Asked) -> Steps:
    return (yield from _tag(asked, is_wanted=False))


def _tag(asked: Asked, *, is_wanted: bool) -> Steps:
    tags = tags_of(asked.fields)
    if not tags:
        required({}, ("tag",))
    member = yield from _member(asked)
    yield from _add(member, tags) if is_wanted else _remove(member, tags)
    contact = yield from _contact(member)
    message = "Tags have been added" if is_wanted else "Tags have been removed"
    return done(message, subscriber_id=uid_of(member["id"]), tags=contact["tags"])


def _decision(word: str) -> Act:
    """Return what subscribes or unsubscribes the subscriber of a list."""

    def act(asked: Asked) -> Steps:
        where = id_of(PREFIX, asked.path["list_uid"])
        if "email" in asked.path:
            place = {"id": where, "contact": asked.path["email"]}
        else:
            member = yield from _member(asked)
            if member["audience_id"] != where:
                raise not_found()
            place = {"id": where, "contact": member["contact_id"]}
        yield Ask("POST", f"{_MEMBER}/{word}", place)
        return done(f"Subscriber has been {word}d")

    return act


def _delete(asked: Asked) -> Steps:
    member = yield from _member(asked)
    place = {"id": member["audience_id"], "contact": member["contact_id"]}
    yield Ask("DELETE", _MEMBER, place)
    return done("Deleted")


_ALL, _ONE = "/api/v1/subscribers", "/api/v1/subscribers/{id}"
_IN_LIST = "/api/v1/lists/{list_uid}/subscribers"
OPERATIONS = (
    Operation(
        "E-11",
        "GET",
        _ALL,
        _subscribers,
        "List the subscribers of a list",
        "`status` is one of the three of the document; `status_detail` tells bounces and "
        "complaints apart.",
    ),
    Operation(
        "E-12",
        "POST",
        _ALL,
        _create,
        "Add a subscriber",
        "Fields that the list has not are passed over, but `FIRST_NAME` and `LAST_NAME` are kept "
        "as the contact's name, where one without the other is the whole of it. Somebody who has "
        "unsubscribed is not brought back by this.",
    ),
    Operation("E-17", "GET", f"{_ALL}/email/{{email}}", _by_email, "Find an address in all lists"),
    Operation("E-13", "GET", _ONE, _one, "Look at a subscriber, by id or address"),
    Operation(
        "E-14", "PATCH", _ONE, _update, "Change a subscriber", "`tag` says all tags there shall be."
    ),
    Operation("E-15", "POST", f"{_ONE}/add-tag", _add_tags, "Put tags on a subscriber"),
    Operation("E-16", "POST", f"{_ONE}/remove-tag", _remove_tags, "Take tags off a subscriber"),
    Operation(
        "E-20",
        "PATCH",
        f"{_IN_LIST}/email/{{email}}/unsubscribe",
        _decision("unsubscribe"),
        "Unsubscribe an address",
    ),
    Operation(
        "E-18",
        "PATCH",
        f"{_IN_LIST}/{{id}}/subscribe",
        _decision("subscribe"),
        "Subscribe a subscriber",
    ),
    Operation(
        "E-19",
        "PATCH",
        f"{_IN_LIST}/{{id}}/unsubscribe",
        _decision("unsubscribe"),
        "Unsubscribe a subscriber",
    ),
    Operation(
        "E-21",
        "DELETE",
        _ONE,
        _delete,
        "Take a subscriber out of the list",
        "The contact stays, because it may be in other lists.",
    ),
)
