"""Requests of every service that succeed, for tests that then change one thing in them.

What stands in braces, in paths and in bodies, is filled in: ids of what `Place.made` has made.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config.channels import Channels
from config.credits import Credits
from control_api.app import DIALECTS
from control_api.dialects.base import Dialect, Operation
from tests.control_api.conftest import EMAIL, Api
from tests.seeds.services import Service

_TEXT = base64.b64encode(b"hello").decode()
_POSTAL = {"line1": "1 Main St", "city": "Berlin", "postal_code": "10115", "country": "DE"}
_LETTER = {
    "text": "Hi",
    "type": "postcard",
    "to": {"name": "A", **_POSTAL},
    "from": {"name": "B", **_POSTAL},
}
_SUBSCRIBER = {"EMAIL": "new@example.net", "FIRST_NAME": "New", "AGE": 7, "tags": ["vip"]}
_CONTACT = {"email": "new@example.net", "name": "New", "tags": ["vip"]}
_MEMBER = {"language": "en", "firstName": "A", "lastName": "B", "vipLevel": 1, "amount": "1.00"}
_SENT = {"from": "you@sender.example", "to": "a@example.net", "subject": "Hi", "html": "<p>A</p>"}
_CAMPAIGN = {
    "list_uid": "{list}",
    "name": "Sale",
    "subject": "20% off",
    "from_email": "hi@sender.example",
    "from_name": "Acme",
    "track_open": "true",
    "html": "<p>Hello!</p>",
}
_JOB = {
    "type": "email",
    "from": "ant@sender.example",
    "subject": "Hello",
    "htmlContent": "<p>Hi</p>",
    "recipients": ["a@example.net"],
    "trackOpens": True,
}

BODIES: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "flushit": (
        ("POST /api/send", _JOB),
        ("POST /api/templates", {"name": "W", "type": "sendgrid", "htmlContent": "{{x}}"}),
        ("POST /api/contacts", {"contacts": [{"email": "new@example.net", "tags": ["imported"]}]}),
        ("POST /api/domains", {"domain": "new.example"}),
        ("POST /api/webhooks", {"url": "https://127.0.0.1/", "events": ["delivery.sent"]}),
    ),
    "sk_live": (
        ("POST /api/v1/emails", _SENT | {"tags": {"type": "welcome"}, "replyTo": "r@s.example"}),
        ("POST /api/v1/emails/batch", {"emails": [_SENT]}),
        ("POST /api/v1/contacts", {"email": "a@example.net", "name": "A", "listId": "{audience}"}),
        ("POST /api/v1/webhooks", {"url": "https://127.0.0.1/", "events": ["email.sent"]}),
        (
            "POST /api/v1/campaigns",
            {"name": "N", "subject": "S", "listId": "{audience}", "content": "<p>x</p>"},
        ),
    ),
    "mailsflux": (
        (
            "POST /v1/emails/send",
            EMAIL | {"attachments": [{"filename": "a.txt", "content": _TEXT}], "tags": {"a": "b"}},
        ),
        ("POST /v1/emails/batch", {"emails": [EMAIL]}),
        ("POST /v1/mail/send", _LETTER),
        ("POST /v1/mail/validate-address", _POSTAL),
        ("POST /v1/templates", {"name": "T", "subject": "S", "html": "<p>x</p>"}),
        ("PUT /v1/templates/{template}", {"name": "T", "subject": "S", "html": "<p>x</p>"}),
        ("POST /v1/audiences", {"name": "N", "from_email": "a@sender.example"}),
        ("POST /v1/audiences/{audience}/contacts", _CONTACT),
        ("POST /v1/suppressions", {"email": "no@example.net"}),
        ("POST /v1/webhooks", {"url": "https://127.0.0.1/", "events": ["email.delivered"]}),
        ("POST /v1/domains", {"name": "new.example"}),
    ),
    "sendflare": (
        ("POST /v1/send", {**_SENT, "body": "<p>x</p>"}),
        (
            "POST /v1/contact",
            {
                "appId": "{audience}",
                "emailAddress": "a@example.net",
                "status": "Confirmed",
                "data": _MEMBER,
            },
        ),
    ),
    "emailflow": (
        (
            "POST /api/v1/lists",
            {"name": "N", "from_name": "A", "from_email": "a@b.example", "contact": {"city": "x"}},
        ),
        ("POST /api/v1/lists/{list}/add-field", {"type": "text", "label": "X", "tag": "X"}),
        ("POST /api/v1/subscribers", {"list_uid": "{list}", "tag": "a,b", **_SUBSCRIBER}),
        ("PATCH /api/v1/subscribers/{subscriber}", {"FIRST_NAME": "X", "AGE": "7", "tag": "a,b"}),
        ("POST /api/v1/subscribers/{subscriber}/add-tag", {"tag": "a,b"}),
        ("POST /api/v1/subscribers/{subscriber}/remove-tag", {"tag": "a,b"}),
        (
            "POST /api/v1/lists/{list}/subscribers/bulk",
            {"mode": "overwrite", "subscribers": [_SUBSCRIBER]},
        ),
        ("POST /api/v1/lists/{list}/subscribers/bulk/async", {"subscribers": [_SUBSCRIBER]}),
        ("POST /api/v1/campaigns", _CAMPAIGN),
        ("PATCH /api/v1/campaigns/{campaign}", _CAMPAIGN),
        ("POST /api/v1/automations/{automation}/execute", {"EMAIL": "bee@example.net", "by": "x"}),
        ("POST /api/v1/notification/bounce", {"message_id": "{sent}", "description": "550"}),
        ("POST /api/v1/notification/feedback", {"message_id": "{sent}", "type": "spam"}),
    ),
}
"""Dialect -> its calls with a body, "METHOD path", and the body."""


SPELLED: dict[str, dict[str, str]] = {
    "/templates/{id}": {"id": "template"},
    "/contacts/{id}": {"id": "contact"},
    "/domains/{id}": {"id": "domain"},
    "/webhooks/{id}": {"id": "webhook"},
    "/emails/{id}": {"id": "sent"},
    "/audiences/{id}": {"id": "audience"},
    "/lists/{uid}": {"uid": "list"},
    "/lists/{list_uid}": {"list_uid": "list"},
    "/subscribers/{id}": {"id": "subscriber"},
    "/campaigns/{uid}": {"uid": "campaign"},
    "/campaigns/{id}": {"id": "job"},
    "/automations/{uid}": {"uid": "automation"},
    "/send/{jobId}": {"jobId": "job"},
    "/tracking/{jobId}": {"jobId": "job"},
}
"""What a parameter after these words names in `Place.ids`."""


@dataclass(frozen=True)
class Place:
    """All services of one application, and what is there.

    Attributes:
        service: sends with a key that every service takes.
        ids: name in braces -> id.
    """

    service: Service
    ids: Mapping[str, str]

    @classmethod
    async def made(cls, api: Api) -> Place:
        """Make one of everything."""
        settings = api.settings
        known = api.with_settings(
            api=replace(settings.api, public_url="https://mail.sender.example"),
            channels=Channels(mail="sandbox", sms="sandbox"),
            credits=Credits(enabled=False),
        )
        service = Service(known, "", keys(known.key))
        made = service.native_ok
        fields = {"name": "N", "from_email": "n@sender.example"}
        audience = (await made("POST", "/v1/audiences", fields))["id"]
        age = {"type": "number", "label": "Age", "tag": "AGE"}
        await made("POST", f"/v1/audiences/{audience}/fields", age)
        member = await made(
            "POST", f"/v1/audiences/{audience}/contacts", {"email": "bee@example.net"}
        )
        campaign = await made(
            "POST",
            "/v1/campaigns",
            {"name": "C", "audience_id": audience, "subject": "S", "html": "<p>x</p>"},
        )
        step = {"type": "tag", "add": ["ran"]}
        automation = await made(
            "POST",
            "/v1/automations",
            {
                "name": "A",
                "status": "active",
                "trigger": {"type": "api", "audience_id": audience},
                "steps": [step],
            },
        )
        template = await made("POST", "/v1/templates", {"name": "T", "subject": "S", "text": "x"})
        email = await made("POST", "/v1/emails", EMAIL)
        domain = await made("POST", "/v1/domains", {"name": "sender.example"})
        hook = {"url": "https://127.0.0.1:8443/", "events": ["*"]}
        webhook = await made("POST", "/v1/webhooks", hook)
        ids = {
            "audience": audience,
            "list": audience[4:],
            "subscriber": member["id"][4:],
            "contact": member["contact_id"],
            "campaign": campaign["id"][4:],
            "job": campaign["id"],
            "automation": automation["id"][4:],
            "template": template["id"],
            "sent": email["id"],
            "domain": domain["id"],
            "webhook": webhook["id"],
        }
        return cls(service, ids)

    async def is_whole(self) -> bool:
        """Tell whether everything that was made is still there, as it was."""
        audience = f"/v1/audiences/{self.ids['audience']}"
        paths = [f"{audience}/contacts/{self.ids['contact']}", f"/v1/emails/{self.ids['sent']}"]
        paths += [
            f"/v1/{kind}s/{self.ids[name]}"
            for kind, name in (
                *(("template", "template"), ("domain", "domain"), ("webhook", "webhook")),
                *(("contact", "contact"), ("campaign", "job")),
            )
        ]
        replies = [await self.service.native.get(path) for path in paths]
        return all(reply.status == 200 for reply in replies)

    def filled(self, value: Any) -> Any:
        """Return a path or a body with the ids in it."""
        match value:
            case str():
                for name, known in self.ids.items():
                    value = value.replace(f"{{{name}}}", known)
                return value
            case Mapping():
                return {name: self.filled(one) for name, one in value.items()}
            case list():
                return [self.filled(one) for one in value]
            case _:
                return value


def address(operation: Operation) -> str:
    """Return the path with the names that ids have in `Place`."""
    path = operation.path
    for words, names in SPELLED.items():
        for name, known in names.items():
            path = path.replace(words, words.replace(f"{{{name}}}", f"{{{known}}}"))
    return path.replace("{email}", "bee@example.net")


def keys(key: str) -> dict[str, str]:
    """Return the headers that carry a key for every service."""
    return {"Authorization": f"Bearer {key}", "X-API-Key": key}


def by_name(name: str) -> Dialect:
    """Return a dialect."""
    return next(one for one in DIALECTS if one.name == name)


def told_in_its_form(name: str, status: int, body: Any) -> bool:
    """Tell whether an error looks like those of a dialect."""
    match name, body:
        case "sendflare", {"requestId": str(), "code": code, "success": False, "data": None}:
            return bool(code == status * 100 + 1)
        case (
            ("flushit" | "sk_live"),
            {"error": {"code": str(), "status": told}, "message": str()},
        ):
            return bool(told == status) and body.keys() == {"error", "message"}
        case "mailsflux", {"error": {"code": str(), "message": str(), "status": told}}:
            return bool(told == status)
        case "emailflow", {"status": 0, "message": str(), "code": str()}:
            return status != 422
        case "emailflow", dict():
            return status == 403 and all(_sentences(one) for one in body.values())
        case _:
            return False


def _sentences(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def changed(body: Any, value: Any) -> Iterator[Any]:
    """Give a body once for each value in it, with another in that place."""
    inner: Iterator[tuple[Any, Any]] = iter(())
    match body:
        case dict():
            inner = iter(body.items())
        case list():
            inner = iter(enumerate(body))
    for key, one in inner:
        for other in (value, *changed(one, value)):
            copy = body.copy()
            copy[key] = other
            yield copy
