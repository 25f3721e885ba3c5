"""The members of an audience: who joins, with which status and values, and who leaves.

A member who has decided keeps that status when submitted again (core/contact.py); only `subscribe`
brings somebody back. Not here: contacts and audiences themselves (contacts.py, audiences.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from starlette.responses import Response

from control_api import filters
from control_api.audiences import find as find_audience
from control_api.contact_payload import MAX_TAG, read_joiner, read_status, read_values
from control_api.contacts import answer, member_json, told
from control_api.contacts import find as find_contact
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import Page, read_page, wants_total
from control_api.routes import Call, Route, json_response
from mta.core import ids
from mta.core.contact import Status
from mta.core.event import JsonValue
from storage import (
    audiences,
    campaign_queue,
    confirmations,
    joining,
    membership_status,
    memberships,
    suppressions,
    unsubscribes,
)
from storage.audiences import AudienceField, AudienceRecord
from storage.database import Connection
from storage.joining import Joiner
from storage.memberships import MemberFilter, MemberRecord
from storage.unsubscribes import Target

MAX_JOINING = 1000
"""People in one request."""
_LAST = 2**63 - 1
_NOT_ASKED = Problem(
    409, "invalid_state", "Only who is unconfirmed is asked, where the audience has double opt-in."
)
_ASKED = Problem(
    409, "already_asked", "One mail an hour asks somebody, and five in all; subscribe vouches."
)


async def add_members(call: Call) -> Response:
    """POST /v1/audiences/{id}/contacts: one, or `contacts` with up to a thousand."""
    body = await call.request.body()
    with once(call, body) as request:
        value, now = read_json(body), call.services.now()
        joiners, is_bulk = _read(value, await _known(call))

        def act(connection: Connection) -> Written | Problem:
            audience = find_audience(connection, call)
            if audience is None:
                return NOT_FOUND
            is_test = call.key.access.is_test
            made = joining.join(
                connection, call.tenant_id, audience, joiners, now=now, is_test=is_test
            )
            rows = [made.rows[one.contact.key] for one in joiners]
            found = [_shown(connection, audience, row) for row in rows]
            return Written({"object": "list", "data": found} if is_bulk else found[0])

        return told(call, await request.run(act))


async def _known(call: Call) -> Mapping[str, AudienceField]:
    """Return the fields of the audience that the path names.

    Raises:
        ApiError: 404, there is none.
    """

    def look(connection: Connection) -> Mapping[str, AudienceField] | None:
        audience = find_audience(connection, call)
        return None if audience is None else audiences.fields(connection, audience.row)

    known = await call.services.database.read(look)
    if known is None:
        raise ApiError(NOT_FOUND)
    return known


def _read(value: JsonValue, known: Mapping[str, AudienceField]) -> tuple[list[Joiner], bool]:
    """Return who joins, and whether several are asked for.

    Raises:
        ApiError: 422.
    """
    errors: list[FieldError] = []
    is_bulk = isinstance(value, dict) and "contacts" in value
    if is_bulk:
        fields = Fields(value, errors)
        people = [
            Fields(item, errors, path) for path, item in fields.items("contacts", MAX_JOINING)
        ]
        fields.finish()
        if not people and not errors:
            fields.fail("contacts", "required", "Give at least one contact.")
    else:
        people = [Fields(value, errors)]
    found = [read_joiner(one, known) for one in people]
    if errors:
        raise ApiError(invalid(errors))
    return [one for one in found if one is not None], is_bulk


def _shown(connection: Connection, audience: AudienceRecord, row: int) -> dict[str, object]:
    found = memberships.get(connection, audience.row, row)
    if found is None:
        raise LookupError("a membership that was just written is not there")
    return member_json(found)


async def list_members(call: Call) -> Response:
    """GET /v1/audiences/{id}/contacts: who joined last comes first."""
    fields = filters.query_fields(call.request)
    page, with_total = read_page(fields), wants_total(fields)
    wanted = MemberFilter(
        read_status(fields),
        fields.text("tag", MAX_TAG),
        filters.flag(fields, "opened"),
        filters.flag(fields, "clicked"),
    )
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object] | Problem:
        audience = find_audience(connection, call)
        if audience is None:
            return NOT_FOUND
        found = _page(connection, audience.row, page, wanted)
        rendered = page.render(found, member_json, skipped=page.skip)
        if with_total:
            rendered["total"] = memberships.total(connection, audience.row, wanted)
        return rendered

    return answer(await call.services.database.read(look))


def _page(
    connection: Connection, audience_row: int, page: Page, wanted: MemberFilter
) -> list[MemberRecord]:
    cursor = ids.number_of(page.after or page.before, "mem")
    if page.before:
        after = _LAST if cursor is None else cursor
        found = memberships.members_after(
            connection, audience_row, after, page.reach_skipped, wanted
        )
        return found[::-1]
    before = cursor if cursor is not None else 0 if page.after else _LAST
    return memberships.members_before(
        connection, audience_row, before, page.reach_skipped, wanted, skip=page.skip
    )


Change = Callable[[Connection, AudienceRecord, MemberRecord], Problem | None]


async def _change(call: Call, change: Change) -> Response:
    """Change the membership that the path names, and show it."""

    def act(connection: Connection) -> dict[str, object] | Problem:
        audience = find_audience(connection, call)
        member = _find(connection, call, audience)
        if audience is None or member is None:
            return NOT_FOUND
        problem = change(connection, audience, member)
        return problem or _shown(connection, audience, member.contact_row)

    outcome = await call.services.database.write(act)
    call.services.kick()
    return answer(outcome)


def _find(
    connection: Connection, call: Call, audience: AudienceRecord | None
) -> MemberRecord | None:
    contact = find_contact(connection, call, "contact")
    if audience is None or contact is None:
        return None
    return memberships.get(connection, audience.row, contact.row)


async def get_member(call: Call) -> Response:
    """GET /v1/audiences/{id}/contacts/{contact}: by the contact's id or address."""

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = _find(connection, call, find_audience(connection, call))
        return NOT_FOUND if found is None else member_json(found)

    return answer(await call.services.database.read(look))


async def get_membership(call: Call) -> Response:
    """GET /v1/memberships/{id}: by its own id, whatever audience it is in."""
    tenant_id, name = call.tenant_id, call.request.path_params["id"]
    found = await call.services.database.read(lambda db: memberships.by_id(db, tenant_id, name))
    return answer(NOT_FOUND if found is None else member_json(found))


async def list_of_contact(call: Call) -> Response:
    """GET /v1/contacts/{id}/memberships: all of them, the oldest first."""

    def look(connection: Connection) -> dict[str, object] | Problem:
        contact = find_contact(connection, call)
        if contact is None:
            return NOT_FOUND
        data = [member_json(one) for one in memberships.of_contact(connection, contact.row)]
        return {"object": "list", "data": data, "has_more": False}

    return answer(await call.services.database.read(look))


async def change_member(call: Call) -> Response:
    """PATCH /v1/audiences/{id}/contacts/{contact}: status, and values merged in."""
    fields, now = Fields(read_json(await call.request.body()), []), call.services.now()
    status, values = read_status(fields), read_values(fields, await _known(call), is_new=False)
    filters.finish(fields)

    def change(
        connection: Connection, _audience: AudienceRecord, member: MemberRecord
    ) -> Problem | None:
        if status is not None and (
            problem := _set(connection, call.tenant_id, member, status, now)
        ):
            return problem
        memberships.merge_values(connection, member.row, values, now=now)
        return None

    return await _change(call, change)


def _set(
    connection: Connection, tenant_id: int, member: MemberRecord, status: Status, now: datetime
) -> Problem | None:
    """Give a member a status, with the opt-out of this audience that belongs to it.

    Nobody is subscribed whose address is suppressed in all of the tenant's mail.
    """
    target = Target(0, tenant_id, member.email, member.audience_id)
    if status is Status.SUBSCRIBED:
        reason = suppressions.lookup(connection, tenant_id, [member.key], now).get(member.key)
        if reason is not None:
            message = f"The address is suppressed ({reason}); remove that first."
            return Problem(409, "suppressed", message)
        unsubscribes.resubscribe(connection, target, now=now)
    elif status is Status.UNSUBSCRIBED:
        unsubscribes.unsubscribe(connection, target, via="api", now=now)
    else:
        _cancel_mail(connection, tenant_id, member, now)
    membership_status.set_status(connection, member.row, status, now=now)
    return None


def _cancel_mail(
    connection: Connection, tenant_id: int, member: MemberRecord, now: datetime
) -> None:
    """Let campaigns to the audience that wait for somebody not go out."""
    campaign_queue.cancel_for(connection, tenant_id, member.email, member.audience_id, now=now)


async def subscribe(call: Call) -> Response:
    """POST /v1/audiences/{id}/contacts/{contact}/subscribe: back, whatever the status was."""
    return await _decide(call, Status.SUBSCRIBED)


async def unsubscribe(call: Call) -> Response:
    """POST /v1/audiences/{id}/contacts/{contact}/unsubscribe: out of this audience only."""
    return await _decide(call, Status.UNSUBSCRIBED)


async def _decide(call: Call, status: Status) -> Response:
    now = call.services.now()
    return await _change(call, lambda db, _, member: _set(db, call.tenant_id, member, status, now))


async def resend_confirmation(call: Call) -> Response:
    """POST /v1/audiences/{id}/contacts/{contact}/resend-confirmation: ask by mail once more."""
    now, is_test = call.services.now(), call.key.access.is_test

    def ask(
        connection: Connection, audience: AudienceRecord, member: MemberRecord
    ) -> Problem | None:
        if not audience.opt_in.is_double or member.status is not Status.UNCONFIRMED:
            return _NOT_ASKED
        people = [member.contact_row]
        asked = confirmations.ask(connection, audience.row, people, now=now, is_test=is_test)
        return None if asked else _ASKED

    answered = await _change(call, ask)
    call.services.wake_confirmations()
    return answered


async def remove_member(call: Call) -> Response:
    """DELETE /v1/audiences/{id}/contacts/{contact}: the contact stays."""
    now = call.services.now()

    def act(connection: Connection) -> str | None:
        member = _find(connection, call, find_audience(connection, call))
        if member is not None:
            _cancel_mail(connection, call.tenant_id, member, now)
            memberships.remove(connection, member.row)
        return member.id if member else None

    removed = await call.services.database.write(act)
    call.services.kick()
    return json_response({"object": "membership", "id": removed, "deleted": True})


_READ, _WRITE = "contacts:read", "contacts:write"
_ALL = "/v1/audiences/{id}/contacts"
_ONE = f"{_ALL}/{{contact}}"

ROUTES: tuple[Route, ...] = (
    Route("POST", _ALL, add_members, _WRITE, "Let people join an audience"),
    Route("GET", _ALL, list_members, _READ, "List the members of an audience"),
    Route("GET", _ONE, get_member, _READ, "Look at a member"),
    Route("GET", "/v1/contacts/{id}/memberships", list_of_contact, _READ, "Which audiences"),
    Route("GET", "/v1/memberships/{id}", get_membership, _READ, "Look at a membership"),
    Route("PATCH", _ONE, change_member, _WRITE, "Change a member"),
    Route("DELETE", _ONE, remove_member, _WRITE, "Take a contact out of an audience"),
    Route("POST", f"{_ONE}/subscribe", subscribe, _WRITE, "Subscribe a member"),
    Route("POST", f"{_ONE}/unsubscribe", unsubscribe, _WRITE, "Unsubscribe a member"),
    Route(
        "POST",
        f"{_ONE}/resend-confirmation",
        resend_confirmation,
        _WRITE,
        "Ask a member by mail once more",
    ),
)
