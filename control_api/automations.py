"""Automations: make, list, look at, change, pause and resume, delete.

Runs under way keep the steps that they began with; trigger and conditions count for whoever enters
from now on. Not here: setting one off and its runs (automation_runs.py), what a body may say
(automation_payload.py), doing it (automation_runner.py).
"""

from __future__ import annotations

from datetime import datetime

from starlette.responses import Response

from control_api import filters
from control_api.automation_payload import Wish, read_automation
from control_api.automation_references import Author, urls, wrong_references
from control_api.contacts import answer
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import read_json
from control_api.http_client import UrlError
from control_api.idempotency import Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from control_api.webhook_message import SECRET_SIZE, format_secret
from mta.core.automation import Definition, TriggerType
from mta.core.automation_plan import first_look
from mta.core.event import JsonValue
from storage import automations
from storage.automations import ACTIVE, PAUSED, AutomationRecord, NewAutomation
from storage.database import Connection

MAX_AUTOMATIONS = 1_000
"""Of one tenant: each costs a look into an index whenever something is due."""
_FULL = Problem(409, "too_many", f"At most {MAX_AUTOMATIONS} automations are allowed.")
COUNTS = ("runs", "active", "completed", "failed", "canceled")


async def create_automation(call: Call) -> Response:
    """POST /v1/automations."""
    body = await call.request.body()
    with once(call, body) as request:
        wish = await _readable(call, read_json(body))
        secret, now = format_secret(call.services.entropy(SECRET_SIZE)), call.services.now()

        def act(connection: Connection) -> Written | Problem:
            if automations.count(connection, call.tenant_id) >= MAX_AUTOMATIONS:
                return _FULL
            if errors := wrong_references(connection, wish, _author(call)):
                return invalid(errors)
            made = automations.create(
                connection,
                call.tenant_id,
                _new(wish, None, now),
                secret=secret,
                is_test=call.key.access.is_test,
                now=now,
            )
            return Written(_stored(connection, call, made) | {"webhook_secret": secret})

        outcome = await request.run(act)
    if outcome.written:
        call.services.kick()
    return outcome.response()


async def _readable(call: Call, value: JsonValue) -> Wish:
    """Return what a body asks for, with URLs that may be posted to.

    Raises:
        ApiError: 422.
    """
    wish = read_automation(value)
    if not isinstance(wish, Wish):
        raise ApiError(invalid(wish))
    for path, url in urls(wish):
        try:
            await call.services.client.check(url)
        except UrlError as error:
            raise ApiError(invalid([FieldError(path, "invalid_url", str(error))])) from None
    return wish


def _author(call: Call) -> Author:
    settings = call.services.settings
    can_unsubscribe = bool(settings.api.public_url or settings.reports.domain)
    return Author(call.tenant_id, call.key.access.domains, can_unsubscribe)


def _new(wish: Wish, old: AutomationRecord | None, now: datetime) -> NewAutomation:
    return NewAutomation(
        wish.name,
        wish.status,
        wish.definition.trigger.type.value,
        wish.given,
        _look_at(wish.definition, wish, old, now),
    )


def _look_at(
    definition: Definition, wish: Wish, old: AutomationRecord | None, now: datetime
) -> datetime | None:
    """Return when dates are looked at next: anew where that changes, or begins again."""
    if definition.trigger.type is not TriggerType.DATE:
        return None
    stays = old is not None and old.definition.get("trigger") == wish.given.get("trigger")
    if old is not None and stays and (old.status, wish.status) != (PAUSED, ACTIVE):
        return old.look_at
    return first_look(definition.trigger, now)


async def list_automations(call: Call) -> Response:
    """GET /v1/automations: newest first."""
    fields = filters.query_fields(call.request)
    page, with_total = read_page(fields), wants_total(fields)
    status = fields.text("status", 20)
    if status not in ("", ACTIVE, PAUSED):
        fields.fail("status", "invalid_value", f"Expected {ACTIVE} or {PAUSED}.")
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object]:
        found = automations.list_(
            connection,
            call.tenant_id,
            status=status,
            limit=page.reach,
            after=page.after,
            before=page.before,
        )
        rendered = page.render(found, automation_json)
        if with_total:
            rendered["total"] = automations.count(connection, call.tenant_id, status)
        return rendered

    return json_response(await call.services.database.read(look))


def find(connection: Connection, call: Call) -> AutomationRecord | None:
    """Return the automation that the path names."""
    return automations.get(connection, call.tenant_id, call.request.path_params["id"])


async def get_automation(call: Call) -> Response:
    """GET /v1/automations/{id}."""
    found = await call.services.database.read(lambda db: find(db, call))
    return answer(NOT_FOUND if found is None else automation_json(found))


async def change_automation(call: Call) -> Response:
    """PATCH /v1/automations/{id}: what is given changes."""
    value = read_json(await call.request.body())
    found = await call.services.database.read(lambda db: find(db, call))
    if found is None:
        raise ApiError(NOT_FOUND)
    whole = _as_given(found) | value if isinstance(value, dict) else value
    wish, now = await _readable(call, whole), call.services.now()

    def act(connection: Connection) -> dict[str, object] | Problem:
        current = find(connection, call)
        if current is None:
            return NOT_FOUND
        is_same = wish.given == current.definition
        if not is_same and (errors := wrong_references(connection, wish, _author(call))):
            return invalid(errors)
        automations.change(connection, current, _new(wish, current, now), now=now)
        return _stored(connection, call, current.id)

    outcome = await call.services.database.write(act)
    call.services.kick()
    return answer(outcome)


def _as_given(one: AutomationRecord) -> dict[str, JsonValue]:
    return {"name": one.name, "status": one.status, **one.definition}


async def pause_automation(call: Call) -> Response:
    """POST /v1/automations/{id}/pause: nobody enters, and runs stay where they are."""
    return await _set_status(call, PAUSED)


async def resume_automation(call: Call) -> Response:
    """POST /v1/automations/{id}/resume: runs go on, those that were due at once."""
    return await _set_status(call, ACTIVE)


async def _set_status(call: Call, status: str) -> Response:
    now = call.services.now()

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        wish = read_automation(_as_given(found) | {"status": status})
        if not isinstance(wish, Wish):
            return invalid(wish)
        automations.change(connection, found, _new(wish, found, now), now=now)
        return _stored(connection, call, found.id)

    outcome = await call.services.database.write(act)
    call.services.kick()
    return answer(outcome)


async def rotate_secret(call: Call) -> Response:
    """POST /v1/automations/{id}/rotate-secret: the old one signs nothing any more."""
    secret, now = format_secret(call.services.entropy(SECRET_SIZE)), call.services.now()
    body = await call.request.body()
    with once(call, body) as request:

        def act(connection: Connection) -> Written | Problem:
            found = find(connection, call)
            if found is None:
                return NOT_FOUND
            automations.set_secret(connection, found, secret, now=now)
            return Written(_stored(connection, call, found.id) | {"webhook_secret": secret})

        return (await request.run(act)).response()


async def delete_automation(call: Call) -> Response:
    """DELETE /v1/automations/{id}: its runs end, and what is kept of them goes."""

    def act(connection: Connection) -> None:
        found = find(connection, call)
        if found is not None:
            automations.delete(connection, found)

    await call.services.database.write(act)
    call.services.kick()
    return json_response(
        {"object": "automation", "id": call.request.path_params["id"], "deleted": True}
    )


def _stored(connection: Connection, call: Call, automation_id: str) -> dict[str, object]:
    found = automations.get(connection, call.tenant_id, automation_id)
    if found is None:
        raise LookupError("an automation that was just written is not there")
    return automation_json(found)


def automation_json(one: AutomationRecord) -> dict[str, object]:
    """Return an automation as the API shows it; the secret is not part of it."""
    definition = one.definition
    return {
        "object": "automation",
        "id": one.id,
        "name": one.name,
        "status": one.status,
        "trigger": definition["trigger"],
        "conditions": definition.get("conditions", []),
        "steps": definition["steps"],
        "reentry": definition.get("reentry", "after_end"),
        "version": one.version,
        "counts": {name: one.counts[name] for name in COUNTS},
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(one.updated_at),
    }


_READ, _WRITE = "automations:read", "automations:write"
_ALL, _ONE = "/v1/automations", "/v1/automations/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", _ALL, create_automation, _WRITE, "Make an automation"),
    Route("GET", _ALL, list_automations, _READ, "List automations"),
    Route("GET", _ONE, get_automation, _READ, "Look at an automation"),
    Route("PATCH", _ONE, change_automation, _WRITE, "Change an automation"),
    Route("DELETE", _ONE, delete_automation, _WRITE, "Delete an automation"),
    Route("POST", f"{_ONE}/pause", pause_automation, _WRITE, "Pause an automation"),
    Route("POST", f"{_ONE}/resume", resume_automation, _WRITE, "Resume an automation"),
    Route("POST", f"{_ONE}/rotate-secret", rotate_secret, _WRITE, "Give another secret"),
)
