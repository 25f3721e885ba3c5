"""Sendflare: one call to send, three for contacts, and an envelope around every answer.

Its apps are audiences, named by `appId` as a reference and made when the first contact is saved.
The service's own clients expect the numbers of a page beside the envelope's `data`, or the total as
`totalCount`: they are there too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from config.compat import Compat
from control_api.dialects.base import (
    Answer,
    Ask,
    Asked,
    Dialect,
    Limits,
    Operation,
    Refused,
    Reply,
    Steps,
)
from control_api.dialects.reading import as_text, options, read_paging, required
from control_api.errors import ApiError, FieldError, invalid
from mta.core.event import JsonValue
from mta.core.html_text import text_of
from mta.core.ids import milliseconds, ulid_number

PAGE_SIZE = 500
MAX_DERIVED = 65_536
"""Characters of HTML that a plain text is made of: more would hold up others."""
_PROPERTIES: Mapping[str, str] = {
    "language": "language",
    "firstName": "first_name",
    "lastName": "last_name",
    "phoneNumber": "phone_number",
    "birthday": "birthday",
    "company": "company",
    "vipLevel": "vip_level",
    "amount": "amount",
    "source": "source",
    "subscriptionExpireTime": "subscription_expire_time",
}
"""What a contact has here -> the property of a native contact."""
_ACCEPTED = tuple(_PROPERTIES)[:8]
"""Those that can be saved; the last two are only shown."""
_STATUSES = {"Confirmed": "subscribed", "Unsubscribed": "unsubscribed"}
_TAG = re.compile(r"<(?:!doctype\b|/?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>)", re.IGNORECASE)
_MEMBERS, _MEMBER = "/v1/audiences/{id}/contacts", "/v1/audiences/{id}/contacts/{contact}"


def send(asked: Asked) -> Steps:
    """POST /v1/send: `body` is HTML when a tag stands in it."""
    sender, to, subject, body = required(asked.fields, "from", "to", "subject", "body")
    email: dict[str, JsonValue] = {"from": sender, "to": to, "subject": subject}
    wish = email | _content(body) | options(asked.fields, ())
    yield Ask("POST", "/v1/emails", body=wish, renamed={"html": "body", "text": "body"})
    return _success(asked)


def _content(body: str) -> dict[str, JsonValue]:
    if not _TAG.search(body):
        return {"text": body}
    text = text_of(body) if len(body) <= MAX_DERIVED else ""
    return {"html": body, "text": text} if text else {"html": body}


def list_contacts(asked: Asked) -> Steps:
    """GET /v1/contact: parameters in the query, or in the body as a form."""
    given = _parameters(asked)
    [app] = required(given, "appId")
    paging = read_paging(given, size="pageSize", default=PAGE_SIZE)
    try:
        found = yield Ask("GET", _MEMBERS, {"id": app}, query=paging.query)
        total, members = found.value["total"], found.value["data"]
    except ApiError as refused:
        if refused.problem.status != 404:
            raise
        total, members = 0, []  # an app that nothing was saved in yet
    page = {
        "total": total,
        "totalCount": total,
        "page": paging.page,
        "pageSize": paging.size,
        "list": [_shown(one) for one in members],
    }
    return _success(asked, page, page)


def _shown(member: Any) -> dict[str, object]:
    kept = member["properties"]
    texts = {name: str(kept.get(native, "")) for name, native in _PROPERTIES.items()}
    return {
        "emailAddress": member["email"],
        "status": "Confirmed" if member["status"] == "subscribed" else "Unsubscribed",
        **texts,
        "vipLevel": _number(texts["vipLevel"]),
        "source": texts["source"] or "api",
        "registerDate": member["created_at"][:10],
        "lastActiveTime": member["status_at"][:10],
    }


def _number(text: str) -> int | float:
    """Return a number that was kept as text, 0 for other text."""
    try:
        value = float(text)
    except ValueError:
        return 0
    if not math.isfinite(value) or abs(value) > 2**53:
        return 0
    return int(value) if value.is_integer() else value


def save_contact(asked: Asked) -> Steps:
    """POST /v1/contact: make a contact or change its data; the status counts for a new one only."""
    fields = asked.fields
    app, address = required(fields, "appId", "emailAddress")
    wish: JsonValue = {
        "email": address,
        "status": _status(fields.get("status")),
        **_person(fields.get("data")),
    }
    join = Ask(
        "POST",
        _MEMBERS,
        {"id": app},
        body=wish,
        renamed={"email": "emailAddress", "properties": "data", "name": "data"},
    )
    try:
        yield join
    except ApiError as refused:
        if refused.problem.status != 404:
            raise
        yield from _make(app)
        yield join
    return _success(asked)


def _make(app: str) -> Generator[Ask, Answer, None]:
    """Make an app's audience; that somebody else did in the meantime is as good."""
    body: JsonValue = {"name": app, "reference": app}
    renamed = {"name": "appId", "reference": "appId"}
    try:
        yield Ask("POST", "/v1/audiences", body=body, renamed=renamed)
    except ApiError as refused:
        if refused.problem.code != "already_exists":
            raise


def _status(value: JsonValue) -> str:
    if value is None:
        return _STATUSES["Confirmed"]  # the service's own clients send none
    if not isinstance(value, str) or value not in _STATUSES:
        error = FieldError("status", "invalid_value", "Expected Confirmed or Unsubscribed.")
        raise ApiError(invalid([error]))
    return _STATUSES[value]


def _person(data: JsonValue) -> dict[str, JsonValue]:
    """Return name and properties of what `data` says; numbers are as good as text."""
    if not isinstance(data, dict | None):
        raise ApiError(invalid([FieldError("data", "invalid_type", "Expected an object.")]))
    kept: dict[str, JsonValue] = {}
    for name in _ACCEPTED:
        value = (data or {}).get(name)
        if isinstance(value, list | dict):
            error = FieldError(f"data.{name}", "invalid_type", "Expected a string.")
            raise ApiError(invalid([error]))
        if value is not None:
            kept[_PROPERTIES[name]] = as_text(value)
    name = " ".join(str(kept[one]) for one in ("first_name", "last_name") if kept.get(one))
    return {"properties": kept} | ({"name": name} if name else {})


def delete_contact(asked: Asked) -> Steps:
    """DELETE /v1/contact: out of the app, and forgotten when it is in no other audience."""
    app, address = required(_parameters(asked), "appId", "emailAddress")
    person = {"id": app, "contact": address}
    yield Ask("GET", "/v1/audiences/{id}", {"id": app})
    try:
        yield Ask("GET", _MEMBER, person)
    except ApiError as refused:
        if refused.problem.status != 404:
            raise
        return _success(asked)  # deleted before
    yield Ask("DELETE", _MEMBER, person)
    left = yield Ask("GET", "/v1/contacts/{id}/export", {"id": address})
    if not left.value["memberships"]:
        yield Ask("DELETE", "/v1/contacts/{id}", {"id": address})
    return _success(asked)


def _parameters(asked: Asked) -> dict[str, JsonValue]:
    """Return query parameters, and those of a body, which the document's own example uses."""
    return {**asked.fields, **asked.query}


def _success(
    asked: Asked, data: object = None, beside: Mapping[str, object] | None = None
) -> Reply:
    envelope = _envelope(asked.request_id, asked.now, 0, "Successfully")
    return Reply({**(beside or {}), **envelope, "data": data})


def _render(refused: Refused) -> Reply:
    """Return the envelope of an error; its code is the HTTP status and two digits."""
    status = refused.problem.status
    code = status * 100 + 1
    envelope = _envelope(refused.request_id, refused.now, code, refused.problem.message)
    return Reply({**envelope, "data": None}, status)


def _envelope(request_id: str, now: datetime, code: int, message: str) -> dict[str, object]:
    """Return the envelope without data; its request id is ours, written as a UUID."""
    return {
        "requestId": str(UUID(int=ulid_number(request_id))),
        "code": code,
        "success": code == 0,
        "message": message,
        "ts": milliseconds(now),
    }


def _limits(compat: Compat) -> Limits:
    return {"": compat.limits.sendflare}


DIALECT = Dialect(
    name="sendflare",
    title="Sendflare",
    home="https://api.sendflare.io",
    first_look="/v1/contact?appId=news",
    operations=(
        Operation(
            "D-01",
            "POST",
            "/v1/send",
            send,
            "Send an email",
            "`body` is sent as HTML with a plain text when a tag stands in it, else as plain text.",
        ),
        Operation(
            "D-02",
            "GET",
            "/v1/contact",
            list_contacts,
            "List the contacts of an app",
            "`pageSize` up to 500. Parameters may also come in the body, as the document's example "
            "has them.",
            loose_body=True,
        ),
        Operation(
            "D-03",
            "POST",
            "/v1/contact",
            save_contact,
            "Make or change a contact",
            "Without `status` a new contact is confirmed.",
        ),
        Operation(
            "D-04",
            "DELETE",
            "/v1/contact",
            delete_contact,
            "Delete a contact",
            "Both parameters must be there: an address that a shell has cut off deletes nobody.",
            loose_body=True,
        ),
    ),
    render_error=_render,
    root="",
    limits=_limits,
    notes=(
        (
            "`appId` is the reference or id of an audience; one that there is not is made when the"
            " first contact is saved."
        ),
        "The document announces signed requests and does not say how; they are not read.",
    ),
)
