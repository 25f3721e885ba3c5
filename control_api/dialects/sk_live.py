"""The API whose keys begin with sk_live: emails, contacts, domains, webhooks, campaigns, stats.

Lists and new domains it has no calls for; they come from the native API. Not here: mail
(sk_live_mail.py), campaigns and stats (sk_live_campaigns.py), what its webhooks look like
(sk_live_webhooks.py).
"""

from __future__ import annotations

from typing import Any

from config.compat import Compat
from control_api.dialects.base import (
    Ask,
    Asked,
    Dialect,
    Limits,
    Operation,
    Reply,
    Steps,
    plain_error,
)
from control_api.dialects.reading import native_events, picked, read_paging, required
from control_api.dialects.sk_live_campaigns import create_campaign, get_stats, launch_campaign
from control_api.dialects.sk_live_mail import (
    MAX_BATCH,
    get_email,
    list_emails,
    send,
    send_batch,
)
from control_api.dialects.sk_live_webhooks import FORMAT, NATIVE_NAMES, their_name
from control_api.dialects.whole_lists import all_of
from mta.core.event import JsonValue


def create_contact(asked: Asked) -> Steps:
    """POST /contacts: in a list, too, when it is named; a known contact is brought up to date."""
    fields = asked.fields
    person = picked(fields, {"email": "email", "name": "name", "tags": "tags"})
    if fields.get("listId") is None:
        made = yield Ask("PUT", "/v1/contacts", body=dict(person))
        contact = made.value | {"contact_id": made.value["id"], "status": "subscribed"}
    else:
        [list_id] = required(fields, "listId")
        place = "/v1/audiences/{id}/contacts"
        made = yield Ask("POST", place, {"id": list_id}, body=dict(person))
        contact = made.value
    return Reply(_shown_contact(contact))


def list_contacts(asked: Asked) -> Steps:
    """GET /contacts: of one list with their status in it, or all."""
    paging, list_id = read_paging(asked.query), asked.query.get("listId", "")
    if list_id:
        place = "/v1/audiences/{id}/contacts"
        found = yield Ask("GET", place, {"id": list_id}, query=paging.query)
        contacts = found.value["data"]
    else:
        found = yield Ask("GET", "/v1/contacts", query=paging.query)
        contacts = [
            one | {"contact_id": one["id"], "status": "subscribed"} for one in found.value["data"]
        ]
    return Reply(
        {
            "contacts": [_shown_contact(one) for one in contacts],
            "total": found.value["total"],
            "page": paging.page,
        }
    )


def _shown_contact(one: Any) -> dict[str, object]:
    return {
        "id": one["contact_id"],
        "email": one["email"],
        "name": one["name"],
        "status": one["status"],
        "createdAt": one["created_at"],
    }


def list_domains(_: Asked) -> Steps:
    """GET /domains: those that are verified."""
    found = yield from all_of("/v1/domains")
    return Reply({"domains": [_shown_domain(one) for one in found if one["verified"]]})


def verify_domain(asked: Asked) -> Steps:
    """POST /domains/:id/verify."""
    found = yield Ask("POST", "/v1/domains/{id}/verify", asked.path)
    return Reply(_shown_domain(found.value))


def _shown_domain(one: Any) -> dict[str, object]:
    return {"id": one["id"], "domain": one["name"], "status": one["status"]}


def create_webhook(asked: Asked) -> Steps:
    """POST /webhooks: posts are in the form of this API."""
    events = native_events(asked.fields.get("events"), NATIVE_NAMES)
    wish: JsonValue = {"url": asked.fields.get("url"), "events": events, "format": FORMAT.name}
    made = yield Ask("POST", "/v1/webhooks", body=wish)
    webhook = made.value
    return Reply({**_shown_webhook(webhook), "secret": webhook["secret"]})


def list_webhooks(_: Asked) -> Steps:
    """GET /webhooks."""
    found = yield Ask("GET", "/v1/webhooks")
    return Reply({"webhooks": [_shown_webhook(one) for one in found.value["data"]]})


def _shown_webhook(one: Any) -> dict[str, object]:
    return {
        "id": one["id"],
        "url": one["url"],
        "events": [their_name(event) for event in one["events"]],
        "isActive": one["status"] == "enabled",
    }


def _limits(compat: Compat) -> Limits:
    return {"": compat.limits.sk_live}


_V1 = "/api/v1"
DIALECT = Dialect(
    name="sk_live",
    title="sk_live",
    home="https://your-app.com",
    first_look="/api/v1/stats",
    operations=(
        Operation("S-01", "POST", f"{_V1}/emails", send, "Send an email"),
        Operation(
            "S-02",
            "POST",
            f"{_V1}/emails/batch",
            send_batch,
            f"Send up to {MAX_BATCH} emails",
            "An email that is wrong is told as failed; the others are sent.",
        ),
        Operation(
            "S-03",
            "GET",
            f"{_V1}/emails",
            list_emails,
            "List emails",
            "`page`, and `limit` up to 500. `status=sent` lists all mail that was taken.",
        ),
        Operation("S-04", "GET", f"{_V1}/emails/{{id}}", get_email, "Look at an email"),
        Operation(
            "S-05",
            "POST",
            f"{_V1}/contacts",
            create_contact,
            "Add a contact",
            "`listId` is the id or reference of an audience.",
        ),
        Operation(
            "S-06",
            "GET",
            f"{_V1}/contacts",
            list_contacts,
            "List contacts",
            "`page`, and `limit` up to 500.",
        ),
        Operation("S-07", "GET", f"{_V1}/domains", list_domains, "List verified domains"),
        Operation(
            "S-08", "POST", f"{_V1}/domains/{{id}}/verify", verify_domain, "Look at the DNS now"
        ),
        Operation(
            "S-08", "GET", f"{_V1}/domains/{{id}}/verify", verify_domain, "Look at the DNS now"
        ),
        Operation("S-09", "POST", f"{_V1}/webhooks", create_webhook, "Make a webhook"),
        Operation("S-10", "GET", f"{_V1}/webhooks", list_webhooks, "List webhooks"),
        Operation(
            "S-11",
            "POST",
            f"{_V1}/campaigns",
            create_campaign,
            "Make a campaign",
            "`listId` is the id or reference of an audience with a `from_email`, the sender.",
            marks=frozenset({"listId", "content"}),
        ),
        Operation(
            "S-12",
            "POST",
            f"{_V1}/campaigns/{{id}}/launch",
            launch_campaign,
            "Send a campaign",
        ),
        Operation("S-13", "GET", f"{_V1}/stats", get_stats, "Figures of the account"),
    ),
    render_error=plain_error,
    root=_V1,
    limits=_limits,
    webhooks=FORMAT,
    notes=(
        (
            "Mail that is queued here is called `sent`, because clients take another word for a"
            " failure; `compat.report_queued_as_sent = false` changes that."
        ),
        (
            "The event `email.sent` comes when mail is taken here, `email.delivered` when the"
            " recipient's server has taken it."
        ),
    ),
)
