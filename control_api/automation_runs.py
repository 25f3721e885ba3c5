"""Runs of automations: set one off for a contact, see how far runs are, end one.

Not here: what moves them (automation_runner.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from starlette.responses import Response

from control_api import filters
from control_api.automation_payload import read_definition
from control_api.automations import find
from control_api.contact_payload import read_address
from control_api.contacts import answer, told
from control_api.contacts import find as find_contact
from control_api.errors import NOT_FOUND, FieldError, Problem, invalid
from control_api.fields import Fields, json_error, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page
from control_api.routes import Call, Route, timestamp
from mta.core.automation import Definition
from mta.core.automation_condition import all_hold
from mta.core.event import JsonValue
from mta.core.json_text import encode
from storage import automation_history, automation_people, automation_runs, contacts
from storage.automation_history import RunFilter, ShownRun
from storage.automation_runs import Done, Entrant, Refusal, RunState
from storage.automations import ACTIVE, AutomationRecord
from storage.contacts import ContactRecord
from storage.database import Connection

MAX_DATA = 16_384
"""Bytes of `data`, as JSON."""
MAX_SHOWN = 500
"""Steps that are shown of a run; no run has more than some of its webhooks' retries beside."""
_STATES = tuple(one.value for one in RunState)
_PAUSED = Problem(409, "invalid_state", "The automation is paused.")
_UNMET = Problem(409, "conditions_not_met", "The automation's conditions do not hold for it.")
_ENDED = Problem(409, "invalid_state", "The run has ended.")
_REFUSALS = {
    Refusal.UNDER_WAY: Problem(409, "already_running", "A run for this contact is under way."),
    Refusal.GONE: _PAUSED,
    Refusal.TOO_OFTEN: _PAUSED,
    Refusal.ONLY_ONCE: Problem(409, "already_ran", "Each contact enters this automation once."),
}


async def execute(call: Call) -> Response:
    """POST /v1/automations/{id}/execute: for one contact, whatever its trigger is."""
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body or b"{}"), [])
        name, data = _read_contact(fields), _read_data(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            automation = find(connection, call)
            if automation is None:
                return NOT_FOUND
            contact = contacts.get(connection, call.tenant_id, name)
            if contact is None:
                return invalid([FieldError("contact_id", "not_found", "There is no such contact.")])
            return _begin(connection, automation, contact, data, call.services.now())

        return told(call, await request.run(act))


def _read_contact(fields: Fields) -> str:
    """Take `email` or `contact_id`; return the id or the key of the address."""
    contact_id = fields.text("contact_id", 64)
    if fields.has("email") and not contact_id:
        address = read_address(fields)
        return address.key if address else ""
    if fields.take("email") is not None:
        fields.fail("email", "conflict", "Give email or contact_id, not both.")
    elif not contact_id and not fields.errors:
        fields.fail("email", "required", "Give email or contact_id.")
    return contact_id


def _read_data(fields: Fields) -> dict[str, JsonValue]:
    data = fields.object("data")
    if message := json_error(data):
        fields.fail("data", "invalid_value", message)
    elif len(encode(data)) > MAX_DATA:
        fields.fail("data", "too_long", f"At most {MAX_DATA} bytes are allowed.")
    return data


def _begin(
    connection: Connection,
    automation: AutomationRecord,
    contact: ContactRecord,
    data: dict[str, JsonValue],
    now: datetime,
) -> Written | Problem:
    definition = read_definition(automation.definition)
    if automation.status != ACTIVE:
        return _PAUSED
    if not _conditions_hold(connection, automation, definition, contact, data):
        return _UNMET
    entrant = Entrant(
        automation.row,
        contact.row,
        definition.reentry,
        audience_id=definition.trigger.audience_id,
        data=data,
        is_bounded=False,
    )
    begun = automation_runs.enter(connection, entrant, now=now)
    if isinstance(begun, Refusal):
        return _REFUSALS[begun]
    found = automation_history.get(connection, automation.tenant_id, begun)
    if found is None:
        raise LookupError("a run that was just written is not there")
    return Written(run_json(found))


def _conditions_hold(
    connection: Connection,
    automation: AutomationRecord,
    definition: Definition,
    contact: ContactRecord,
    data: dict[str, JsonValue],
) -> bool:
    people = automation_people.people(connection, automation.tenant_id, [contact.row])
    facts = replace(
        people[contact.row].facts(), data=data, audience_id=definition.trigger.audience_id
    )
    return all_hold(definition.conditions, facts)


async def list_runs(call: Call) -> Response:
    """GET /v1/automations/{id}/runs: newest first."""
    fields = filters.query_fields(call.request)
    page = read_page(fields)
    state, contact_id = fields.text("status", 20), fields.text("contact_id", 64)
    if state not in ("", *_STATES):
        fields.fail("status", "invalid_value", f"Expected one of {', '.join(_STATES)}.")
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object] | Problem:
        automation = find(connection, call)
        if automation is None:
            return NOT_FOUND
        contact = contacts.get(connection, call.tenant_id, contact_id) if contact_id else None
        if contact_id and contact is None:
            return page.render([], run_json)
        wanted = RunFilter(automation.row, contact.row if contact else 0, state)
        found = automation_history.list_(
            connection,
            call.tenant_id,
            wanted,
            limit=page.reach_skipped,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        return page.render(found, run_json, skipped=page.skip)

    return answer(await call.services.database.read(look))


async def list_contact_runs(call: Call) -> Response:
    """GET /v1/contacts/{id}/automation-runs: in all automations, newest first."""
    fields = filters.query_fields(call.request)
    page = read_page(fields)
    filters.finish(fields)

    def look(connection: Connection) -> dict[str, object] | Problem:
        contact = find_contact(connection, call)
        if contact is None:
            return NOT_FOUND
        found = automation_history.list_(
            connection,
            call.tenant_id,
            RunFilter(contact_row=contact.row),
            limit=page.reach,
            after=page.after,
            before=page.before,
        )
        return page.render(found, run_json)

    return answer(await call.services.database.read(look))


def _find_run(connection: Connection, call: Call) -> ShownRun | None:
    automation = find(connection, call)
    found = automation_history.get(connection, call.tenant_id, call.request.path_params["run_id"])
    if automation is None or found is None or found.run.automation_row != automation.row:
        return None
    return found


async def get_run(call: Call) -> Response:
    """GET /v1/automations/{id}/runs/{run_id}: with what it has done."""

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = _find_run(connection, call)
        return NOT_FOUND if found is None else _in_full(connection, found)

    return answer(await call.services.database.read(look))


async def cancel_run(call: Call) -> Response:
    """POST /v1/automations/{id}/runs/{run_id}/cancel: it ends where it is."""
    now = call.services.now()

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = _find_run(connection, call)
        if found is None:
            return NOT_FOUND
        if not automation_runs.cancel(connection, found.run, now=now):
            return _ENDED
        changed = _find_run(connection, call)
        return NOT_FOUND if changed is None else _in_full(connection, changed)

    return answer(await call.services.database.write(act))


def _in_full(connection: Connection, found: ShownRun) -> dict[str, object]:
    steps = automation_history.steps(connection, found.run.row, limit=MAX_SHOWN)
    return run_json(found) | {"steps": [_step_json(done, at) for done, at in steps]}


def _step_json(done: Done, at: datetime) -> dict[str, object]:
    return {
        "path": done.path,
        "type": done.type,
        "result": done.result,
        "detail": done.detail or None,
        "email_id": done.email_id or None,
        "at": timestamp(at),
    }


def run_json(one: ShownRun) -> dict[str, object]:
    """Return a run as lists show it."""
    run = one.run
    return {
        "object": "automation_run",
        "id": run.id,
        "automation_id": one.automation_id,
        "version": run.version,
        "contact_id": one.contact_id,
        "email": one.email,
        "audience_id": run.audience_id or None,
        "data": run.data,
        "status": run.state.value,
        "reason": run.reason or None,
        "next_at": timestamp(run.due_at) if run.due_at else None,
        "created_at": timestamp(run.created_at),
        "ended_at": timestamp(run.ended_at) if run.ended_at else None,
    }


_READ, _WRITE = "automations:read", "automations:write"
_ALL = "/v1/automations/{id}/runs"
_ONE = f"{_ALL}/{{run_id}}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/automations/{id}/execute", execute, _WRITE, "Set an automation off"),
    Route("GET", _ALL, list_runs, _READ, "List the runs of an automation"),
    Route("GET", _ONE, get_run, _READ, "Look at a run"),
    Route("POST", f"{_ONE}/cancel", cancel_run, _WRITE, "End a run"),
    Route(
        "GET",
        "/v1/contacts/{id}/automation-runs",
        list_contact_runs,
        _READ,
        "List the runs of a contact",
    ),
)
