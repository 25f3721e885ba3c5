"""Complaints: feedback reports of any form -> kind of feedback and whose complaint it is.

Recipients are often left out or blackened; then the fields of the reported mail may still name
them. Not here: finding the entry by its return path (the engine knows its own addresses).
Follows RFC 5965 3 and RFC 6591 3.
"""

from __future__ import annotations

from mta.core.dsn import addresses_in
from mta.core.frozen import frozen
from mta.core.mime_reader import NO_FIELDS, Fields, Mail, Part, display_text, split_entity
from mta.core.phrases import Phrase, PhraseIndex, normal_form

TYPE = "message/feedback-report"
MAX_RECIPIENTS = 100

_RECIPIENT_FIELDS = (
    "original-rcpt-to",
    "removal-recipient",
    "original-recipient",
    "x-removal-recipient",
)
_MAIL_FIELDS = (
    "x-hmxmroriginalrecipient",
    "x-original-recipient",
    "to",
    "x-envelope-to",
    "x-failed-recipients",
    "original-recipient",
    "x-original-to",
    "envelope-to",
    "delivered-to",
    "x-delivered-to",
    "x-rcpt-to",
)
"""Fields of a reported mail that may name who got it, most certain first."""


def _index(*phrases: str) -> PhraseIndex:
    return PhraseIndex((0, Phrase.parse(phrase)) for phrase in phrases)


_SUBJECTS = _index(
    "complaint about message from",
    "email feedback report",
    "abuse report",
    "spam complaint",
    "spam report",
    "feedback report",
    "feedback loop",
    "complaint report",
    "opt out",
    "unsubscribe request",
    "junk report",
)
_BODIES = _index(
    "this is an email abuse report",
    "email abuse report for an email message",
    "this is a * email abuse report",
    "abuse report for an email message received from",
    "this is an authentication failure report",
    "authentication failure report for an email",
    "this is a spf dkim authentication failure report",
    "failed the published dmarc policy",
    "dmarc forensic report",
    "reported as spam by",
    "marked * as spam by",
    "this is an opt out",
    "opt out report",
)


@frozen
class Feedback:
    """A complaint.

    Attributes:
        feedback_type: "abuse", "auth-failure", "opt-out", ... as sent, lower case (RFC 5965 7.3).
        recipients: who complains, as far as anything tells; may be empty.
    """

    feedback_type: str
    recipients: tuple[str, ...]


def read_feedback(mail: Mail, subject: str | None = None) -> Feedback | None:
    """Return the complaint that a mail is; None where it is none.

    `subject` is what counts of its subject, in normal form; None for all. What it quotes of the
    reported mail, such as "unsubscribe request", does not.
    """
    if subject is None:
        subject = normal_form(display_text(mail.fields.get("subject")))
    machine = _machine_part(mail)
    enclosed = _enclosed(mail)
    if machine is None and not _is_informal(mail, enclosed, subject):
        return None
    fields = machine or NO_FIELDS
    kind = fields.get("feedback-type") or fields.get("abuse-type")
    kind = "".join(c for c in kind.strip().lower() if c.isalnum() or c in "-_")[:40]
    return Feedback(_kind(kind, mail, subject), _recipients(fields, enclosed))


def _kind(given: str, mail: Mail, subject: str) -> str:
    if given and given != "complaint":
        return given
    if " opt out " in subject or " unsubscribe " in subject:
        return "opt-out"
    form = f"{subject}{normal_form(_first_text(mail))}"
    is_auth = any(word in form for word in (" authentication failure ", " dmarc "))
    return "auth-failure" if is_auth else "abuse"


def _machine_part(mail: Mail) -> Fields | None:
    """Return the fields of the feedback part, also of one that is declared as plain text."""
    for part in mail.parts:
        if part.content_type == TYPE:
            return _all_fields(part)
    for part in mail.parts:
        if part.content_type.startswith("text/") and "feedback-type:" in part.text[:20_000].lower():
            offset = part.text.lower().index("feedback-type:")
            start = part.text.rfind("\n\n", 0, offset)
            return split_entity(part.text[max(start, 0) :].lstrip("\n").encode())[0]
    return None


def _all_fields(part: Part) -> Fields:
    """Return the fields of a part, blank lines between them or not."""
    items: list[tuple[str, str]] = []
    rest = part.octets[:100_000]
    for _ in range(20):
        fields, rest = split_entity(rest.lstrip(b"\n"))
        items += fields.items
        if not rest.strip():
            break
    return Fields(tuple(items))


def _enclosed(mail: Mail) -> Fields:
    """Return the header of the reported mail; no fields where it is not there."""
    for part in mail.parts:
        if part.content_type in {
            "message/rfc822",
            "text/rfc822-headers",
            "message/rfc822-headers",
            "text/rfc822-header",
            "message/global",
        }:
            return split_entity(part.octets.lstrip(b"\n"))[0]
    return NO_FIELDS


def _is_informal(mail: Mail, enclosed: Fields, subject: str) -> bool:
    if mail.report_type == "feedback-report" or enclosed.has("x-hmxmroriginalrecipient"):
        return True
    says_so = bool(_BODIES.owners(normal_form(_first_text(mail))))
    return says_so or (bool(_SUBJECTS.owners(subject)) and bool(enclosed.items))


def _first_text(mail: Mail) -> str:
    return next((part.text[:4000] for part in mail.parts if part.content_type == "text/plain"), "")


def _recipients(fields: Fields, enclosed: Fields) -> tuple[str, ...]:
    for source, names in ((fields, _RECIPIENT_FIELDS), (enclosed, _MAIL_FIELDS)):
        for name in names:
            found: dict[str, str] = {}
            for value in source.all(name)[:MAX_RECIPIENTS]:
                for _, address in addresses_in(display_text(value)):
                    found.setdefault(address.lower(), address)
            if found:
                return tuple(found.values())[:MAX_RECIPIENTS]
    return ()
