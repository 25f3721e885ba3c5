"""Amazon SES notifications that arrive as mail: JSON in the body, by way of SNS.

Follows "Amazon SNS notification contents for Amazon SES" of the SES developer guide. Not here: the
same notifications by HTTP.
"""

from __future__ import annotations

from mta.core.dsn import MAX_DIAGNOSTIC, MAX_RECIPIENTS, Action, RecipientStatus, addresses_in
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.json_text import JsonError, decode

_MARKS = ('"notificationType"', '"eventType"')
_ACTIONS = {"bounce": Action.FAILED, "delivery": Action.DELIVERED}


@frozen
class CloudNotice:
    """One notification.

    Attributes:
        statuses: of each recipient that bounced or was reached.
        complainers: addresses that complain; empty where it is no complaint.
        feedback_type: of a complaint, else "".
    """

    statuses: tuple[RecipientStatus, ...] = ()
    complainers: tuple[str, ...] = ()
    feedback_type: str = ""


def read_cloud_notice(text: str) -> CloudNotice | None:
    """Return the notification in a text, None where there is none."""
    start = text.lstrip()[:4000]
    if not start.startswith("{") or not any(name in start for name in _MARKS):
        return None
    # Mail systems fold the one long line, also inside of strings, where JSON has no line ends.
    document = text.strip().partition("\n--\n")[0].replace("\n", "")
    try:
        value = decode(document)
    except JsonError:
        return None
    return _notice(value) if isinstance(value, dict) else None


def _notice(value: dict[str, JsonValue]) -> CloudNotice | None:
    kind = str(value.get("notificationType") or value.get("eventType")).lower()
    details = value.get(kind)
    if not isinstance(details, dict):
        return None
    if kind == "complaint":
        found = tuple(_address(item) for item in _items(details, "complainedRecipients"))
        feedback = details.get("complaintFeedbackType")
        feedback_type = feedback if isinstance(feedback, str) else "abuse"
        return CloudNotice((), tuple(filter(None, found)), feedback_type.lower()[:40])
    if kind not in _ACTIONS:
        return None
    items = _items(details, "bouncedRecipients") or _items(details, "recipients")
    statuses = (_status(item, _ACTIONS[kind]) for item in items)
    return CloudNotice(tuple(status for status in statuses if status.address))


def _items(details: dict[str, JsonValue], name: str) -> list[JsonValue]:
    items = details.get(name)
    return items[:MAX_RECIPIENTS] if isinstance(items, list) else []


def _address(item: JsonValue) -> str:
    text = item.get("emailAddress") if isinstance(item, dict) else item
    found = addresses_in(text[:1000]) if isinstance(text, str) else []
    return found[0][1] if found else ""


def _status(item: JsonValue, action: Action) -> RecipientStatus:
    fields = item if isinstance(item, dict) else {}
    status, diagnostic = fields.get("status"), fields.get("diagnosticCode")
    text = diagnostic if isinstance(diagnostic, str) else ""
    return RecipientStatus(
        _address(item),
        "",
        action,
        status if isinstance(status, str) and len(status) < 12 else "",
        text.partition(";")[2].strip()[:MAX_DIAGNOSTIC]
        if ";" in text[:10]
        else text[:MAX_DIAGNOSTIC],
        "",
    )
