"""Audiences: lists of contacts with a sender identity and fields of their own.

Not here: who is in them (memberships.py).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from starlette.responses import Response

from control_api import filters
from control_api.contact_payload import MAX_VALUE, default_error, read_address, read_properties
from control_api.contacts import answer
from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.opt_in_field import opt_in_error, read_opt_in
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from storage import audiences, campaigns, memberships
from storage.audiences import AudienceField, AudienceRecord, Identity, OptIn
from storage.database import Connection

FIELD_TYPES = ("text", "number", "datetime")
MAX_FIELDS = 100
MAX_REFERENCE = 100
"""Characters of a name that another service has for an audience."""
REMOVED_AT_ONCE = 5_000
"""Members taken out in one transaction when an audience is deleted: mail waits for each."""
_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_EXISTS = Problem(409, "already_exists", "The audience has a field with this tag.")
_KNOWN = Problem(409, "already_exists", "There is an audience with this reference.")
_FULL = Problem(409, "too_many", f"An audience has at most {MAX_FIELDS} fields.")
_IN_USE = Problem(409, "conflict", "A campaign goes to this audience; cancel or pause that first.")
_TEXTS = {"name": 256, "from_name": 256, "default_subject": 998}
_ADDRESSES = ("from_email", "reply_to")


async def create_audience(call: Call) -> Response:
    """POST /v1/audiences."""
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        identity = _read(fields, Identity(""))
        opt_in = read_opt_in(fields, OptIn())
        reference, metadata = _reference(fields), read_properties(fields, "metadata")
        if not identity.name and not fields.is_wrong("name"):
            fields.fail("name", "required", "This field is required.")
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            if reference and audiences.get(connection, call.tenant_id, reference) is not None:
                return _KNOWN
            if (problem := opt_in_error(connection, call, identity, opt_in)) is not None:
                return problem
            now = call.services.now()
            made = audiences.create(connection, call.tenant_id, identity, opt_in, now=now)
            audiences.set_reference(connection, made.row, reference)
            audiences.set_metadata(connection, made.row, metadata)
            shown = replace(made, reference=reference, metadata=metadata)
            return Written(_shown(connection, shown))

        return (await request.run(act)).response()


def _reference(fields: Fields) -> str:
    """Take what the audience is called elsewhere, "" when nothing is given."""
    reference = fields.text("reference", MAX_REFERENCE)
    if reference.startswith("aud_") or "/" in reference:
        fields.fail("reference", "invalid_value", "Expected no slash, and not aud_ first.")
    return reference


def _read(fields: Fields, old: Identity) -> Identity:
    """Take what changes of an identity."""
    given = [name for name in (*_TEXTS, *_ADDRESSES) if fields.has(name)]
    read = {name: fields.text(name, size) for name, size in _TEXTS.items()}
    read |= {name: _address(fields, name) for name in _ADDRESSES}
    texts = {name: read[name] for name in given}
    if "name" in texts and not texts["name"] and not fields.is_wrong("name"):
        fields.fail("name", "required", "An audience has a name.")
    return replace(old, **texts)


def _address(fields: Fields, name: str) -> str:
    value = fields.take(name)
    if value in (None, ""):
        return ""
    one = Fields({name: value}, fields.errors, fields.path)
    return str(read_address(one, name) or "")


async def list_audiences(call: Call) -> Response:
    """GET /v1/audiences: newest first."""
    fields = filters.query_fields(call.request)
    page, with_total = read_page(fields), wants_total(fields)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        found = audiences.list_(
            connection, call.tenant_id, limit=page.reach, after=page.after, before=page.before
        )
        rendered = page.render(found, partial(_shown, connection))
        if with_total:
            rendered["total"] = audiences.count(connection, call.tenant_id)
        return rendered

    return json_response(await call.services.database.read(look))


def find(connection: Connection, call: Call) -> AudienceRecord | None:
    """Return the audience that the path names."""
    return audiences.get(connection, call.tenant_id, call.request.path_params["id"])


async def get_audience(call: Call) -> Response:
    """GET /v1/audiences/{id}: with its fields, and how many members have which status."""

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        return _shown(connection, found)

    return answer(await call.services.database.read(look))


async def change_audience(call: Call) -> Response:
    """PATCH /v1/audiences/{id}: what is given changes."""
    body = read_json(await call.request.body())

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        fields = Fields(body, [])
        identity = _read(fields, found.identity)
        opt_in = read_opt_in(fields, found.opt_in)
        is_noted, metadata = fields.has("metadata"), read_properties(fields, "metadata")
        filters.finish(fields)
        if (problem := opt_in_error(connection, call, identity, opt_in)) is not None:
            return problem
        if is_noted:
            audiences.set_metadata(connection, found.row, metadata)
        audiences.change(connection, found, identity, opt_in, now=call.services.now())
        changed = find(connection, call)
        return NOT_FOUND if changed is None else _shown(connection, changed)

    return answer(await call.services.database.write(act))


async def delete_audience(call: Call) -> Response:
    """DELETE /v1/audiences/{id}: with its memberships; the contacts stay.

    Not while a campaign is being sent to it, or is scheduled.
    """
    database = call.services.database
    found = await database.read(lambda db: find(db, call))
    if found is not None:
        while await database.write(partial(_remove_some, audience_row=found.row)):
            pass

        def act(connection: Connection) -> None:
            # Whoever has joined in between goes too: they are few.
            _remove_some(connection, found.row)
            audiences.delete(connection, found)

        await database.write(act)
    return json_response(
        {"object": "audience", "id": call.request.path_params["id"], "deleted": True}
    )


def _remove_some(connection: Connection, audience_row: int) -> int:
    """Take some members out of an audience that no campaign goes to just now.

    Raises:
        ApiError: 409, one does.
    """
    if campaigns.is_sent_to(connection, audience_row):
        raise ApiError(_IN_USE)
    return memberships.remove_some(connection, audience_row, limit=REMOVED_AT_ONCE)


async def list_fields(call: Call) -> Response:
    """GET /v1/audiences/{id}/fields."""

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        data = [_field_json(one) for one in audiences.fields(connection, found.row).values()]
        return {"object": "list", "data": data, "has_more": False}

    return answer(await call.services.database.read(look))


async def add_field(call: Call) -> Response:
    """POST /v1/audiences/{id}/fields."""
    body = await call.request.body()
    with once(call, body) as request:
        field = _read_field(Fields(read_json(body), []))

        def act(connection: Connection) -> Written | Problem:
            found = find(connection, call)
            if found is None:
                return NOT_FOUND
            if len(audiences.fields(connection, found.row)) >= MAX_FIELDS:
                return _FULL
            if not audiences.put_field(connection, found.row, field, now=call.services.now()):
                return _EXISTS
            return Written(_field_json(field))

        return (await request.run(act)).response()


def _read_field(fields: Fields) -> AudienceField:
    tag, kind = fields.required_text("tag", 64), fields.text("type", 20) or "text"
    if tag and not _TAG.fullmatch(tag):
        fields.fail("tag", "invalid_value", "Expected letters, digits and _, a letter first.")
    if kind not in FIELD_TYPES:
        fields.fail("type", "invalid_value", f"Expected one of {', '.join(FIELD_TYPES)}.")
    label = fields.text("label", 256) or tag
    default, required = fields.text("default_value", MAX_VALUE), fields.take("required")
    if required is not None and not isinstance(required, bool):
        fields.fail("required", "invalid_type", "Expected true or false.")
    field = AudienceField(tag, label, kind, default, required is True)
    if message := default_error(field):
        fields.fail("default_value", "invalid_value", message)
    filters.finish(fields)
    return field


async def delete_field(call: Call) -> Response:
    """DELETE /v1/audiences/{id}/fields/{tag}: members keep values that they have."""
    tag = call.request.path_params["tag"]

    def act(connection: Connection) -> None:
        found = find(connection, call)
        if found is None:
            raise ApiError(NOT_FOUND)
        audiences.delete_field(connection, found.row, tag)

    await call.services.database.write(act)
    return json_response({"object": "audience_field", "tag": tag, "deleted": True})


def _field_json(one: AudienceField) -> dict[str, object]:
    return {
        "object": "audience_field",
        "tag": one.tag,
        "label": one.label,
        "type": one.type,
        "default_value": one.default_value or None,
        "required": one.is_required,
    }


def _shown(connection: Connection, one: AudienceRecord) -> dict[str, object]:
    identity, counts = one.identity, memberships.count(connection, one.row)
    return {
        "object": "audience",
        "id": one.id,
        "reference": one.reference or None,
        "metadata": one.metadata,
        "name": identity.name,
        "from_email": identity.from_email or None,
        "from_name": identity.from_name or None,
        "reply_to": identity.reply_to or None,
        "default_subject": identity.default_subject or None,
        "double_opt_in": one.opt_in.is_double,
        "confirmation_template_id": one.opt_in.template_id or None,
        "fields": [_field_json(field) for field in audiences.fields(connection, one.row).values()],
        "counts": counts,
        "total": sum(counts.values()),
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.updated_at),
    }


_READ, _WRITE = "contacts:read", "contacts:write"
_ALL, _ONE = "/v1/audiences", "/v1/audiences/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", _ALL, create_audience, _WRITE, "Make an audience"),
    Route("GET", _ALL, list_audiences, _READ, "List audiences"),
    Route("GET", _ONE, get_audience, _READ, "Look at an audience"),
    Route("PATCH", _ONE, change_audience, _WRITE, "Change an audience"),
    Route("DELETE", _ONE, delete_audience, _WRITE, "Delete an audience"),
    Route("GET", f"{_ONE}/fields", list_fields, _READ, "List the fields of an audience"),
    Route("POST", f"{_ONE}/fields", add_field, _WRITE, "Add a field to an audience"),
    Route("DELETE", f"{_ONE}/fields/{{tag}}", delete_field, _WRITE, "Delete a field"),
)
