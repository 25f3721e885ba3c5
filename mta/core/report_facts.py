"""What a report says and whose mail it is about, in few words: they cross from parser to engine.

A report names our mail by what only the holder of that mail can know: a sealed local part, the
token of an unsubscribe link, an email's id. They are looked for everywhere, because mail systems
put the returned header into all kinds of places. Not here: reading the report (report.py), whether
seals are right (return_path.py, unsubscribe.py), and what follows (storage/feedback.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from mta.core.bounce import BounceClass
from mta.core.dsn import Action
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.mime_reader import read_mail
from mta.core.report import Report, ReportKind
from mta.core.reported import ReportedRecipient

MAX_RECIPIENTS = 100
MAX_CLUES = 20
"""Different clues of a kind that are looked at."""
MAX_DIAGNOSTIC = 1000

_LOCAL = re.compile(r"(?<![A-Za-z0-9-])[bu]-[a-z2-7]{40}(?![A-Za-z0-9])", re.IGNORECASE)
_TOKEN = re.compile(r"/u/([A-Za-z0-9_-]{35,206})(?![A-Za-z0-9_-])")
_EMAIL_ID = re.compile(r"(?<![A-Za-z0-9_])em_([0-9A-HJKMNP-TV-Z]{26})(?![0-9A-Za-z])")
_ULID_MESSAGE_ID = re.compile(r"<(?:em_)?([0-9A-HJKMNP-TV-Z]{26})@[^<>@\s]{1,255}>")


@frozen
class ReportFacts:
    """A report, as far as anything follows from it.

    Attributes:
        kind: what it is.
        feedback_type: of a complaint, else "".
        is_auto_reply: its header says that a program answered (RFC 3834 5), whatever else it is.
        recipients: as in Report, at most MAX_RECIPIENTS.
        locals: what looks like our sealed local parts, lower case.
        tokens: what looks like tokens of our unsubscribe links.
        email_ids: what looks like ids of our emails, "em_...".
    """

    kind: ReportKind
    feedback_type: str = ""
    is_auto_reply: bool = False
    recipients: tuple[ReportedRecipient, ...] = ()
    locals: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    email_ids: tuple[str, ...] = ()


def facts_of(data: bytes, report: Report) -> ReportFacts:
    """Return the facts of a report that was read from `data`; linear in its size."""
    mail = read_mail(data)
    returned = "\n".join(value for _, value in report.returned.items)
    # The whole as it came too: notices quote the header in their text, in any wrapping of parts.
    text = f"{returned}\n{data.decode('latin-1')}"
    ids = [*_EMAIL_ID.findall(text), *_ULID_MESSAGE_ID.findall(report.original_id)]
    return ReportFacts(
        kind=report.kind,
        feedback_type=report.feedback_type,
        is_auto_reply=mail.fields.get("auto-submitted").lower().startswith("auto-replied"),
        recipients=report.recipients[:MAX_RECIPIENTS],
        locals=_first(match.lower() for match in _LOCAL.findall(text)),
        tokens=_first(_TOKEN.findall(text)),
        email_ids=_first(f"em_{one}" for one in ids),
    )


def _first(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found))[:MAX_CLUES]


def to_json(facts: ReportFacts) -> dict[str, JsonValue]:
    """Return the facts as JSON values; from_json reads them back."""
    return {
        "kind": facts.kind.value,
        "feedback_type": facts.feedback_type,
        "is_auto_reply": facts.is_auto_reply,
        "recipients": [_recipient_to_json(one) for one in facts.recipients],
        "locals": list(facts.locals),
        "tokens": list(facts.tokens),
        "email_ids": list(facts.email_ids),
    }


def from_json(value: JsonValue) -> ReportFacts:
    """Return the facts that to_json wrote.

    Raises:
        LookupError, TypeError, ValueError: somebody else wrote it.
    """
    fields = cast("dict[str, JsonValue]", value)
    recipients = cast("list[dict[str, JsonValue]]", fields["recipients"])
    return ReportFacts(
        kind=ReportKind(fields["kind"]),
        feedback_type=str(fields["feedback_type"]),
        is_auto_reply=bool(fields["is_auto_reply"]),
        recipients=tuple(_recipient_from_json(one) for one in recipients),
        locals=tuple(cast("list[str]", fields["locals"])),
        tokens=tuple(cast("list[str]", fields["tokens"])),
        email_ids=tuple(cast("list[str]", fields["email_ids"])),
    )


def _recipient_to_json(one: ReportedRecipient) -> dict[str, JsonValue]:
    return {
        "address": one.address[:320],
        "status": one.status,
        "class": one.bounce_class.value,
        "permanent": one.is_permanent,
        "hard": one.is_hard,
        "rule": one.rule,
        "action": one.action.value if one.action else "",
        "diagnostic": one.diagnostic[:MAX_DIAGNOSTIC],
    }


def _recipient_from_json(fields: dict[str, JsonValue]) -> ReportedRecipient:
    action = fields["action"]
    return ReportedRecipient(
        address=str(fields["address"]),
        status=str(fields["status"]),
        bounce_class=BounceClass(fields["class"]),
        is_permanent=cast("bool | None", fields["permanent"]),
        is_hard=cast("bool | None", fields["hard"]),
        rule=str(fields["rule"]),
        action=Action(action) if action else None,
        diagnostic=str(fields["diagnostic"]),
    )
