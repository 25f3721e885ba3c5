"""All that is kept of one person, for whoever asks what that is.

Not here: what mails said (email_content.py), single resources (contacts.py, memberships.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api.contacts import answer, contact_json, find, member_json
from control_api.errors import NOT_FOUND, Problem
from control_api.routes import Call, Route, timestamp
from control_api.webhook_message import content_of
from storage import (
    automation_history,
    contact_events,
    memberships,
    recipient_history,
    suppressions,
)
from storage.automation_history import RunFilter, ShownRun
from storage.database import Connection
from storage.recipient_history import SentMail

MAX_TOLD = 1000
"""Events, mails, and runs of automations, the newest of each."""


async def export_contact(call: Call) -> Response:
    """GET /v1/contacts/{id}/export."""
    now = call.services.now()

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        suppressed = suppressions.get(connection, call.tenant_id, found.key, now=now)
        members = memberships.of_contact(connection, found.row)
        told = contact_events.of_contact(connection, found.id, limit=MAX_TOLD)
        wanted = RunFilter(contact_row=found.row)
        sent = recipient_history.of_address(connection, call.tenant_id, found.email, limit=MAX_TOLD)
        runs = automation_history.list_(connection, call.tenant_id, wanted, limit=MAX_TOLD)
        return {
            "object": "contact_export",
            "contact": contact_json(found),
            "memberships": [member_json(one) for one in members],
            "suppression": suppressed.reason if suppressed else None,
            "events": [{"id": one.id, **content_of(one)} for one in told],
            "emails": [_mail_json(one) for one in sent],
            "automation_runs": [_run_json(one) for one in runs],
        }

    return answer(await call.services.database.read(look))


def _mail_json(one: SentMail) -> dict[str, object]:
    return {
        "id": one.email_id,
        "subject": one.subject,
        "status": one.status,
        "created_at": timestamp(one.created_at),
        "events": [{"id": each.id, **content_of(each)} for each in one.readings],
    }


def _run_json(one: ShownRun) -> dict[str, object]:
    return {
        "id": one.run.id,
        "automation_id": one.automation_id,
        "status": one.run.state.value,
        "data": one.run.data,
        "created_at": timestamp(one.run.created_at),
    }


ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/v1/contacts/{id}/export",
        export_contact,
        "contacts:read",
        "All that is known of a person",
    ),
)
