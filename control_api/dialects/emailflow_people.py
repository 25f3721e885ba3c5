"""EmailFlow's subscribers as the native API has them: a contact that is member of an audience.

Fields of a subscriber are written in capitals. FIRST_NAME and LAST_NAME are fields of the list
where it has them, and the contact's name in any case; other fields that a list has not are passed
over. Pure mappers; not here: the calls (emailflow_subscribers.py, emailflow_imports.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from control_api.dialects.emailflow_shapes import moment_of, text_of, uid_of, words_of
from mta.core.event import JsonValue

EMAIL = "EMAIL"
FIRST, LAST = "FIRST_NAME", "LAST_NAME"
STATUSES = ("subscribed", "unsubscribed", "unconfirmed")
_TAGS = ("tag", "tags")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
WORDS = ("id", "uid", "list_uid", "email", "status", "status_detail", "created_at", *_TAGS)
"""What a subscriber has besides fields; no field of a list hides it."""
RENAMED = {"email": EMAIL, "tags": "tag", "name": FIRST}


def renamed(audience: Any) -> dict[str, str]:
    """Return native names of fields -> theirs, for what is wrong with them."""
    return {**{f"fields.{one['tag']}": one["tag"] for one in audience["fields"]}, **RENAMED}


def address_of(fields: Mapping[str, JsonValue]) -> str:
    """Return the address that a subscriber is given, "" for none."""
    return text_of(fields.get(EMAIL)) or text_of(fields.get("email"))


def tags_of(fields: Mapping[str, JsonValue]) -> list[str]:
    """Return the tags that a request names."""
    return list(dict.fromkeys(word for name in _TAGS for word in words_of(fields.get(name))))


def gives_tags(fields: Mapping[str, JsonValue]) -> bool:
    """Tell whether a request says anything of tags."""
    return any(name in fields for name in _TAGS)


def to_member(fields: Mapping[str, JsonValue], audience: Any) -> dict[str, JsonValue]:
    """Return a subscriber as the native API takes somebody who joins an audience."""
    member: dict[str, JsonValue] = {"email": address_of(fields)}
    if name := full_name(text_of(fields.get(FIRST)), text_of(fields.get(LAST))):
        member["name"] = name
    if tags := tags_of(fields):
        member["tags"] = list(tags)
    if status := text_of(fields.get("status")).lower():
        member["status"] = status
    if values := values_of(fields, audience):
        member["fields"] = values
    return member


def values_of(fields: Mapping[str, JsonValue], audience: Any) -> dict[str, JsonValue]:
    """Return the values of the list's fields; an empty one takes a value away."""
    return {
        one["tag"]: _value(text_of(fields[one["tag"]]), one["type"])
        for one in audience["fields"]
        if one["tag"] in fields and one["tag"] not in WORDS
    }


def _value(text: str, kind: str) -> JsonValue:
    if not text:
        return None
    match kind:
        case "number":
            return _number(text)
        case "datetime":
            return moment_of(text)
        case _:
            return text


def _number(text: str) -> JsonValue:
    """Return the number that a form says; other text as it is, for the list to refuse."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def full_name(first: str, last: str) -> str:
    """Return both names as one, "" for none."""
    return f"{first} {last}".strip()


def names_of(name: str | None) -> tuple[str, str]:
    """Return first and last name of a contact, each "" when it is not known."""
    first, _, last = (name or "").partition(" ")
    return first, last.strip()


def subscriber_json(member: Any, tags: list[str] | None = None) -> dict[str, Any]:
    """Return a membership as a subscriber; `tags` None leaves them out."""
    first, last = names_of(member["name"])
    uid, status = uid_of(member["id"]), member["status"]
    shown = {
        "id": uid,
        "uid": uid,
        "list_uid": uid_of(member["audience_id"]),
        "email": member["email"],
        "status": status if status in STATUSES else "unsubscribed",
        "status_detail": status,
        "created_at": member["created_at"],
        FIRST: first,
        LAST: last,
        **{
            tag: value
            for tag, value in member["fields"].items()
            if value is not None and tag not in WORDS
        },
    }
    return shown if tags is None else {**shown, "tags": tags}
