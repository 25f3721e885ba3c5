"""Things of every kind for schemathesis to ask about, and the file that tells it their ids.

Made-up ids find nothing, and so nothing but 404. Not here: the run itself (fuzz_api.py).
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.engine import Engine

OFTEN = 0.8
"""Share of the requests that name a thing which there is."""
_SENDER = "shop@sender.test"
_PERSON = {"email": "ant@dest.test"}
_EMAIL = {"from": _SENDER, "to": ["ant@dest.test"], "subject": "x", "text": "x"}
_CAMPAIGN = {"name": "Spring", "from": _SENDER, "subject": "x", "text": "x"}
_LETTER = {"line1": "Oak Street 1", "city": "Bonn", "postal_code": "53111", "country": "DE"}


async def prepare(engine: Engine, key: str) -> dict[str, list[str]]:
    """Make things; return their ids by the part of the path behind /v1/, and further names."""

    async def made(path: str, body: Any) -> str:
        headers = {"Authorization": f"Bearer {key}"}
        answer = await engine.call("POST", path, body, headers)
        assert answer.status in (200, 202), (path, answer.body)
        return str(answer.body.get("id", ""))

    await made("/v1/credits/adjust", {"amount": 10**9})
    template = await made("/v1/templates", {"name": "a", "subject": "x", "text": "{{ name }}"})
    await made(f"/v1/templates/{template}/publish", None)
    audience = await made("/v1/audiences", {"name": "News"})
    automation = {
        "name": "a",
        "trigger": {"type": "api"},
        "steps": [{"type": "wait", "days": 1}],
    }
    run_of = await made("/v1/automations", automation)
    ids = {
        "templates": [template],
        "audiences": [audience],
        "automations": [run_of],
        "contacts": [await made("/v1/contacts", _PERSON)],
        "memberships": [await made(f"/v1/audiences/{audience}/contacts", _PERSON)],
        "runs": [await made(f"/v1/automations/{run_of}/execute", _PERSON)],
        "batches": [await made("/v1/emails/batch", [_EMAIL, _EMAIL])],
        "imports": [await made(f"/v1/audiences/{audience}/imports", {"contacts": [_PERSON]})],
        "webhooks": [await made("/v1/webhooks", {"url": "https://127.0.0.1:8443/"})],
        "domains": [await made("/v1/domains", {"name": "sender.test"})],
        "api-keys": [await made("/v1/api-keys", {"name": "spare"})],
        "tenants": [await made("/v1/tenants", {"name": "spare"})],
        "users": [await made("/v1/users", {"email": "elk@shop.example"})],
        "campaigns": [
            await made("/v1/campaigns", {**_CAMPAIGN, "audience_id": audience}),
            await made("/v1/campaigns", {**_CAMPAIGN, "recipients": ["bee@dest.test"]}),
        ],
        "emails": [
            await made("/v1/emails", _EMAIL),
            await made("/v1/emails", {**_EMAIL, "send_at": "in 2 hours"}),
        ],
        "mail": [await made("/v1/mail", {"to": _LETTER, "text": "x", "type": "envelope"})],
        "sms": [await made("/v1/sms", {"to": "+491700000000", "text": "x"})],
    }
    await made("/v1/suppressions", {"email": "bee@dest.test"})
    events = await engine.call("GET", f"/v1/emails/{ids['emails'][0]}/events")
    return {
        **ids,
        "events": [one["id"] for one in events.body["data"]],
        "suppressions": ["bee@dest.test"],
        "logs": ["tracking", "open", "click", "bounce", "feedback", "unsubscribe"],
    }


def settings(things: dict[str, list[str]], document: Any) -> str:
    """Return a schemathesis.toml that has paths and bodies name these things mostly.

    What is deleted is made up: the next request would find nothing.
    """
    lines = [
        f"[dictionaries.{name}]\nvalues = {json.dumps(values)}" for name, values in things.items()
    ]
    for path, operations in document["paths"].items():
        names = _names(path, things)
        kept = sorted({method.upper() for method in operations} - {"DELETE"})
        if names and kept:
            bound = ", ".join(f'"{where}" = {_bound(name)}' for where, name in names.items())
            lines.append(
                f'[[operations]]\ninclude-path = "{path}"\ninclude-method = {json.dumps(kept)}\n'
                f"parameters = {{ {bound} }}"
            )
    return "\n".join(lines) + "\n"


def _names(path: str, things: dict[str, list[str]]) -> dict[str, str]:
    """Return which dictionary is for which parameter of a path, or field of its bodies."""
    area = path.removeprefix("/v1/").partition("/")[0]
    by_place = {
        "event_id": "events",
        "run_id": "runs",
        "contact": "contacts",
        "email": "suppressions",
        "log": "logs",
    }
    names = {f"path.{place}": name for place, name in by_place.items() if f"{{{place}}}" in path}
    if "{id}" in path and area in things:
        names["path.id"] = area
    return names


def _bound(name: str) -> str:
    return f'{{ dictionary = "{name}", probability = {OFTEN} }}'
