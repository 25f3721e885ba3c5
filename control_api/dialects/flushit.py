"""FlushIt: sending jobs with credits, below /api.

A job is a campaign to the addresses that it names. Ids are ours, whatever their prefix. Not here:
sending and tracking (flushit_jobs.py), templates (flushit_templates.py), webhooks
(flushit_webhooks.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from config.compat import Compat
from control_api.dialects import flushit_jobs, flushit_templates, flushit_webhooks
from control_api.dialects.base import (
    Ask,
    Asked,
    Dialect,
    KeyPlace,
    Limits,
    Operation,
    Refused,
    Reply,
    Steps,
    plain_error,
)
from control_api.dialects.flushit_shapes import (
    UNCOUNTED,
    deleted,
    fields_of,
    numbered,
    page_of,
)
from control_api.dialects.whole_lists import all_of
from control_api.errors import ApiError, FieldError, invalid
from mta.core.event import JsonValue

MAX_BATCH = 1000
"""Contacts that one native request takes."""
_STATUSES = {402: 403, 409: 400, 413: 400, 415: 400, 422: 400}
"""Those of the native API that the document has not -> those that it has."""
_TOLD_AS_IS = ("channel_not_configured",)


def _me(_: Asked) -> Steps:
    me = (yield Ask("GET", "/v1/me")).value
    balance = (yield Ask("GET", "/v1/credits")).value["balance"]
    user = me["user"] or _user_of_key(me["api_key"])
    return Reply(
        {
            "user": {
                "id": user["id"],
                "email": user["email"],
                "role": user["role"],
                "creditBalance": UNCOUNTED if balance is None else balance,
                "createdAt": user["created_at"],
            }
        }
    )


def _user_of_key(key: Any) -> dict[str, JsonValue]:
    """Return who asks with a key that is nobody's."""
    number = str(key["id"]).partition("_")[2]
    return {"id": f"usr_{number}", "email": "", "role": "user", "created_at": key["created_at"]}


def _balance(_: Asked) -> Steps:
    credit = (yield Ask("GET", "/v1/credits")).value
    if not credit["enabled"]:
        return Reply({"balance": UNCOUNTED, "reserved": 0, "available": UNCOUNTED})
    return Reply(fields_of(credit, "balance", "reserved", "available"))


def _transactions(asked: Asked) -> Steps:
    found = (yield Ask("GET", "/v1/credits/transactions", query=numbered(asked.query))).value
    shown = [
        fields_of(one, "id", "type", "amount", "description", createdAt="created_at")
        for one in found["data"]
    ]
    return Reply({"transactions": shown, "total": found["total"], "page": page_of(asked.query)})


def _contacts(asked: Asked) -> Steps:
    text = asked.query.get("search") or asked.query.get("q", "")
    query = {**numbered(asked.query), "q": text, "tag": asked.query.get("tag", "")}
    found = (yield Ask("GET", "/v1/contacts", query=query)).value
    shown = [fields_of(one, "id", "email", "tags", createdAt="created_at") for one in found["data"]]
    return Reply({"contacts": shown, "total": found["total"], "page": page_of(asked.query)})


def _add_contacts(asked: Asked) -> Steps:
    given = asked.fields.get("contacts", [asked.fields] if "email" in asked.fields else None)
    if not isinstance(given, list):
        raise ApiError(invalid([FieldError("contacts", "required", "Expected an array.")]))
    people = [_person(one) for one in given]
    counts = {"imported": 0, "duplicates": 0, "errors": 0}
    for start in range(0, max(1, len(people)), MAX_BATCH):
        body: JsonValue = {"contacts": people[start : start + MAX_BATCH]}
        made = (yield Ask("POST", "/v1/contacts/batch", body=body)).value
        counts["imported"] += made["imported"]
        counts["duplicates"] += made["duplicates"]
        counts["errors"] += len(made["errors"])
    return Reply(counts)


def _person(value: JsonValue) -> JsonValue:
    """Return one of the contacts given, as the native API takes it; what is no object stays so."""
    if not isinstance(value, dict):
        return value
    return {name: value[name] for name in ("email", "name", "tags") if name in value}


def _domains(_: Asked) -> Steps:
    found = yield from all_of("/v1/domains")
    shown = [
        fields_of(
            one,
            "id",
            "verified",
            domain="name",
            dkimConfigured="dkim_configured",
            createdAt="created_at",
        )
        for one in found
    ]
    return Reply({"domains": shown})


def _add_domain(asked: Asked) -> Steps:
    body = {"name": asked.fields.get("domain")}
    made = (yield Ask("POST", "/v1/domains", body=body, renamed={"name": "domain"})).value
    records = [fields_of(one, "type", "value", host="name") for one in made["records"]]
    shown = fields_of(made, "id", "verified", domain="name", createdAt="created_at")
    return Reply({"domain": {**shown, "dnsRecords": records}})


def _verify_domain(asked: Asked) -> Steps:
    found = (yield Ask("POST", "/v1/domains/{id}/verify", asked.path)).value
    return Reply(fields_of(found, "verified", dkimConfigured="dkim_configured"))


def render_error(refused: Refused) -> Reply:
    """Return an error with a status that the document has."""
    problem = refused.problem
    if problem.code not in _TOLD_AS_IS:
        problem = replace(problem, status=_STATUSES.get(problem.status, problem.status))
    return plain_error(replace(refused, problem=problem))


def _limits(compat: Compat) -> Limits:
    return {"": compat.limits.flushit}


_VERIFY = "/api/domains/{id}/verify"

DIALECT = Dialect(
    name="flushit",
    title="FlushIt",
    home="https://flushit.app",
    first_look="/api/credits/balance",
    operations=(
        Operation("F-01", "GET", "/api/auth/me", _me, "Who the key is"),
        Operation("F-02", "GET", "/api/credits/balance", _balance, "How many credits there are"),
        Operation(
            "F-03",
            "GET",
            "/api/credits/transactions",
            _transactions,
            "What became of credits",
            "`page`, and `limit` up to 500.",
        ),
        *flushit_jobs.OPERATIONS,
        *flushit_templates.OPERATIONS,
        Operation(
            "F-09",
            "GET",
            "/api/contacts",
            _contacts,
            "List contacts",
            "`search` or `q`, `tag`, `page`, and `limit` up to 500.",
        ),
        Operation(
            "F-10",
            "POST",
            "/api/contacts",
            _add_contacts,
            "Add contacts",
            "One `{email, tags}` does too. Duplicates keep what they have and get the new tags.",
        ),
        Operation(
            "F-11", "DELETE", "/api/contacts/{id}", deleted("/v1/contacts/{id}"), "Forget a contact"
        ),
        Operation("F-12", "GET", "/api/domains", _domains, "List sender domains"),
        Operation(
            "F-13",
            "POST",
            "/api/domains",
            _add_domain,
            "Add a sender domain",
            "`dnsRecords` are all that the domain needs, not one token.",
        ),
        Operation("F-14", "POST", _VERIFY, _verify_domain, "Look at the DNS now"),
        Operation("F-14", "GET", _VERIFY, _verify_domain, "Look at the DNS now"),
        *flushit_webhooks.OPERATIONS,
    ),
    render_error=render_error,
    root="/api",
    keys=(KeyPlace.X_API_KEY,),
    limits=_limits,
    webhooks=flushit_webhooks.FORMAT,
    notes=(
        "Ids of jobs begin with `cmp_`: a job is a campaign of the native API.",
        "While credits are off, balances are 1,000,000,000, and jobs tell what they would cost.",
        "A key that belongs to no user has an empty `email`.",
        "The document shows no errors: they are `{error: {code, message, status}, message}`.",
        "Too few credits are a 403 with the code `insufficient_credits`.",
        "Webhook posts are `{id, event, createdAt, data}` with the headers of Standard Webhooks.",
        "`X-Webhook-Signature` is the HMAC-SHA256 of the body in hex; its key is the whole secret.",
        "Clients in networks that [api.limits] exempts are told the limits and not held to them.",
    ),
)
