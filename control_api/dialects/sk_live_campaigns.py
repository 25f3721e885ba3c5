"""Campaigns of sk_live, and the figures that count them.

A campaign's sender is that of its list: the service has no field for one.
"""

from __future__ import annotations

from control_api.dialects.base import Ask, Asked, Reply, Steps
from control_api.dialects.reading import required
from control_api.routes import timestamp

_RENAMED = {"audience_id": "listId", "html": "content", "from": "listId"}
_ONE = {"limit": "1", "page": "1", "include": "total"}


def create_campaign(asked: Asked) -> Steps:
    """POST /campaigns: a draft."""
    name, subject, list_id, content = required(asked.fields, "name", "subject", "listId", "content")
    made = yield Ask(
        "POST",
        "/v1/campaigns",
        body={"name": name, "subject": subject, "audience_id": list_id, "html": content},
        renamed=_RENAMED,
    )
    campaign = made.value
    return Reply({name: campaign[name] for name in ("id", "name", "status")})


def launch_campaign(asked: Asked) -> Steps:
    """POST /campaigns/:id/launch."""
    sent = yield Ask("POST", "/v1/campaigns/{id}/send", asked.path)
    return Reply({"success": True, "status": sent.value["status"]})


def get_stats(asked: Asked) -> Steps:
    """GET /stats."""
    contacts = yield Ask("GET", "/v1/contacts", query=_ONE)
    domains = yield Ask("GET", "/v1/domains", query=_ONE)
    campaigns = {}
    for name, status in (("total", ""), ("sending", "sending"), ("completed", "completed")):
        found = yield Ask("GET", "/v1/campaigns", query={**_ONE, "status": status})
        campaigns[name] = found.value["total"]
    month = asked.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    mail = yield Ask("GET", "/v1/stats", query={"since": timestamp(month)})
    return Reply(
        {
            "contacts": contacts.value["total"],
            "campaigns": campaigns,
            "emailsThisMonth": mail.value["counts"]["accepted"],
            "domains": domains.value["total"],
        }
    )
