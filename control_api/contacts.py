"""Contacts: the people that a tenant writes to; one by one, and by the thousand.

Compared by the key of the address (core/address.py). Not here: audiences and who is in them
(audiences.py, memberships.py), reading the bodies (contact_payload.py), all that is kept of one
(contact_export.py).
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from control_api import filters
from control_api.contact_payload import (
    MAX_NAME,
    MAX_TAG,
    read_contact,
    read_properties,
    read_tags,
)
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Outcome, Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.address import AddressError, parse_address
from mta.core.frozen import frozen
from storage import audiences, contacts, joining
from storage.contacts import ContactFilter, ContactRecord, NewContact
from storage.database import Connection
from storage.joining import Joiner
from storage.memberships import MemberRecord

MAX_BATCH = 1000
"""Contacts in one request."""
_EXISTS = Problem(409, "already_exists", "There is a contact with this address; send upsert: true.")
_MODES = ("overwrite", "skip")


async def create_contact(call: Call) -> Response:
    """POST /v1/contacts: a new one, or with `upsert` a known one brought up to date."""
    return await _put(call, may_exist=False)


async def put_contact(call: Call) -> Response:
    """PUT /v1/contacts: the contact with this address is as told from now on."""
    return await _put(call, may_exist=True)


async def _put(call: Call, *, may_exist: bool) -> Response:
    tenant_id = call.tenant_id
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        may_exist = may_exist or _flag(fields, "upsert")
        audience_id = fields.text("audience_id", 64)
        new = read_contact(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            if new is None:
                return NOT_FOUND
            if not may_exist and contacts.get(connection, tenant_id, new.key) is not None:
                return _EXISTS
            problem = _add(call, connection, [new], audience_id)
            return (
                problem
                if isinstance(problem, Problem)
                else Written(_shown(call, connection, new.key))
            )

        return told(call, await request.run(act))


def told(call: Call, outcome: Outcome) -> Response:
    """Return the response, and wake who follows the journal, or asks those who have joined."""
    if outcome.written:
        call.services.kick()
        call.services.wake_confirmations()
    return outcome.response()


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True


def _add(
    call: Call,
    connection: Connection,
    new: list[NewContact],
    audience_id: str,
    *,
    overwrite: bool = True,
) -> contacts.Upserted | Problem:
    """Add contacts, to an audience too when one is named."""
    tenant_id, now = call.tenant_id, call.services.now()
    if not audience_id:
        return joining.put(connection, tenant_id, new, now=now, overwrite=overwrite)
    audience = audiences.get(connection, tenant_id, audience_id)
    if audience is None:
        return unknown_audience()
    joiners = [Joiner(one) for one in new]
    return joining.join(
        connection,
        tenant_id,
        audience,
        joiners,
        now=now,
        overwrite=overwrite,
        is_test=call.key.access.is_test,
    )


def unknown_audience() -> Problem:
    """Return the error for an `audience_id` that there is not."""
    return invalid([FieldError("audience_id", "unknown_audience", "There is no such audience.")])


def _shown(call: Call, connection: Connection, key: str) -> dict[str, object]:
    found = contacts.get(connection, call.tenant_id, key)
    if found is None:
        raise LookupError("a contact that was just written is not there")
    return contact_json(found)


@frozen
class _Batch:
    """The contacts of a batch that could be read, and what is wrong with the others."""

    new: list[NewContact]
    errors: list[dict[str, object]]


async def add_batch(call: Call) -> Response:
    """POST /v1/contacts/batch: up to a thousand; what is wrong with one does not stop the rest."""
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        audience_id, mode = fields.text("audience_id", 64), fields.text("mode", 20) or "overwrite"
        if mode not in _MODES:
            fields.fail("mode", "invalid_value", f"Expected one of {', '.join(_MODES)}.")
        batch = _read_batch(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            made = _add(call, connection, batch.new, audience_id, overwrite=mode == "overwrite")
            if isinstance(made, Problem):
                return made
            known = len(made.rows) - len(made.added)
            return Written(
                {
                    "object": "contact_batch",
                    "imported": len(made.added),
                    "updated": known if mode == "overwrite" else 0,
                    "duplicates": len(batch.new) - len(made.added),
                    "errors": batch.errors,
                }
            )

        return told(call, await request.run(act))


def _read_batch(fields: Fields) -> _Batch:
    batch = _Batch([], [])
    if not fields.has("contacts"):
        fields.fail("contacts", "required", "This field is required.")
    for index, (path, value) in enumerate(fields.items("contacts", MAX_BATCH)):
        item = Fields(value, [], path)
        new = read_contact(item)
        item.finish()
        if new is not None and not item.errors:
            batch.new.append(new)
            continue
        first = item.errors[0]
        batch.errors.append(
            {"index": index, "field": first.field, "code": first.code, "message": first.message}
        )
    return batch


async def list_contacts(call: Call) -> Response:
    """GET /v1/contacts: newest first."""
    tenant_id = call.tenant_id
    fields = filters.query_fields(call.request)
    page, with_total = read_page(fields), wants_total(fields)
    text, tag = fields.text("q", filters.MAX_TEXT), fields.text("tag", MAX_TAG)
    audience_id = fields.text("audience_id", 64)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object] | Problem:
        audience = audiences.get(connection, tenant_id, audience_id) if audience_id else None
        if audience_id and audience is None:
            return unknown_audience()
        wanted = ContactFilter(text, tag, audience.row if audience else 0)
        found = contacts.list_(
            connection,
            tenant_id,
            wanted,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        rendered = page.render(found, contact_json, skipped=page.skip)
        if with_total:
            rendered["total"] = contacts.count(connection, tenant_id, wanted)
        return rendered

    return answer(await call.services.database.read(look))


def answer(outcome: dict[str, object] | Problem) -> Response:
    """Return the response for a JSON object.

    Raises:
        ApiError: it is a Problem.
    """
    if isinstance(outcome, Problem):
        raise ApiError(outcome)
    return json_response(outcome)


def find(connection: Connection, call: Call, parameter: str = "id") -> ContactRecord | None:
    """Return the contact whose id or address the path names."""
    name: str = call.request.path_params[parameter]
    try:
        return contacts.get(connection, call.tenant_id, parse_address(name).key)
    except AddressError:
        return contacts.get(connection, call.tenant_id, name)


async def get_contact(call: Call) -> Response:
    """GET /v1/contacts/{id}: by id or address."""
    found = await call.services.database.read(lambda db: find(db, call))
    return answer(NOT_FOUND if found is None else contact_json(found))


async def _change(call: Call, change: Callable[[Connection, ContactRecord], None]) -> Response:
    """Change the contact that the path names, and show it."""

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        change(connection, found)
        return _shown(call, connection, found.key)

    outcome = await call.services.database.write(act)
    call.services.kick()
    return answer(outcome)


async def change_contact(call: Call) -> Response:
    """PATCH /v1/contacts/{id}: name, and properties merged in (RFC 7396)."""
    fields = Fields(read_json(await call.request.body()), [])
    name = fields.text("name", MAX_NAME) if fields.has("name") else None
    properties = read_properties(fields)
    filters.finish(fields)
    now = call.services.now()
    return await _change(
        call, lambda db, one: contacts.change(db, one, name=name, properties=properties, now=now)
    )


async def add_tags(call: Call) -> Response:
    """POST /v1/contacts/{id}/tags."""
    body, now = await call.request.body(), call.services.now()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        tags = read_tags(fields)
        if not tags:
            fields.fail("tags", "required", "Give at least one tag.")
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            found = find(connection, call)
            if found is None:
                return NOT_FOUND
            contacts.add_tags(connection, call.tenant_id, found.row, tags, now=now)
            return Written(_shown(call, connection, found.key))

        return told(call, await request.run(act))


async def remove_tags(call: Call) -> Response:
    """DELETE /v1/contacts/{id}/tags: those that `tag` names, with commas between them."""
    fields, now = filters.query_fields(call.request), call.services.now()
    tags = [one.strip() for one in fields.text("tag", MAX_TAG * 10).split(",") if one.strip()]

    def change(connection: Connection, contact: ContactRecord) -> None:
        if not tags:
            fields.fail("tag", "required", "Give at least one tag.")
        filters.finish(fields)
        contacts.remove_tags(connection, call.tenant_id, contact.row, tags, now=now)

    return await _change(call, change)


async def delete_contact(call: Call) -> Response:
    """DELETE /v1/contacts/{id}: with tags and memberships; suppressions stay."""
    now = call.services.now()

    def act(connection: Connection) -> str:
        found = find(connection, call)
        if found is None:
            return str(call.request.path_params["id"])
        contacts.delete(connection, found, now=now)
        return found.id

    deleted = await call.services.database.write(act)
    call.services.kick()
    return json_response({"object": "contact", "id": deleted, "deleted": True})


def contact_json(one: ContactRecord) -> dict[str, object]:
    """Return a contact as the API shows it."""
    return {
        "object": "contact",
        "id": one.id,
        "email": one.email,
        "name": one.name or None,
        "properties": one.properties,
        "tags": one.tags,
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.updated_at),
        "last_opened_at": timestamp(one.opened_at) if one.opened_at else None,
        "last_clicked_at": timestamp(one.clicked_at) if one.clicked_at else None,
    }


def member_json(one: MemberRecord) -> dict[str, object]:
    """Return a membership as the API shows it."""
    return {
        "object": "membership",
        "id": one.id,
        "audience_id": one.audience_id,
        "contact_id": one.contact_id,
        "email": one.email,
        "name": one.name or None,
        "properties": one.properties,
        "status": one.status.value,
        "fields": one.values,
        "created_at": timestamp(one.created_at),
        "status_at": timestamp(one.status_at),
    }


_READ, _WRITE = "contacts:read", "contacts:write"
_ALL, _ONE = "/v1/contacts", "/v1/contacts/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", _ALL, create_contact, _WRITE, "Add a contact"),
    Route("PUT", _ALL, put_contact, _WRITE, "Add a contact or bring it up to date"),
    Route("GET", _ALL, list_contacts, _READ, "List contacts"),
    Route("POST", f"{_ALL}/batch", add_batch, _WRITE, "Add up to a thousand contacts"),
    Route("GET", _ONE, get_contact, _READ, "Look at a contact"),
    Route("PATCH", _ONE, change_contact, _WRITE, "Change a contact"),
    Route("DELETE", _ONE, delete_contact, _WRITE, "Forget a contact"),
    Route("POST", f"{_ONE}/tags", add_tags, _WRITE, "Put tags on a contact"),
    Route("DELETE", f"{_ONE}/tags", remove_tags, _WRITE, "Take tags off a contact"),
)
