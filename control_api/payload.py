"""The body of POST /v1/emails: JSON in, a typed email out, or every error in it by field.

Not here: names and values that only a mail header restricts, which composing checks
(submissions.py), and the queue (storage).
"""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache

from control_api.errors import FieldError
from control_api.fields import Fields, json_error, line_error, parse_time, sentence
from control_api.template_field import TemplateUse, read_template
from control_api.tracking_field import read_tracking
from control_api.unsubscribe_field import read_offer
from mta.core.address import MAX_MAILBOX, AddressError, parse_address, parse_mailbox
from mta.core.envelope import Priority
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.mime import Attachment, Mailbox
from mta.core.tracking import NO_TRACKING, Tracking
from mta.core.unsubscribe import UnsubscribeOffer

MAX_RECIPIENTS = 100
"""Addresses in to, cc and bcc together."""
MAX_SUBJECT = 998
MAX_NAME = 256
MAX_HEADERS = 50
MAX_HEADER_VALUE = 8192
MAX_ATTACHMENTS = 100
MAX_TAGS = 20
MAX_TAG = 256
MAX_AHEAD = timedelta(days=30)
"""How far ahead send_at may lie."""

_IN_A_WHILE = re.compile(r"in (\d{1,6}) (min|hour|day)(?:ute)?s?", re.ASCII)
_UNITS = {"min": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_TYPES = mimetypes.MimeTypes()


@frozen
class Email:
    """A request to send one email, validated.

    Attributes:
        from_: sender as the From header shows it.
        to: at least one.
        reply_to: may be empty.
        text: plain text body, None when there is none; then there is html.
        html: HTML body, None when there is none; then there is text.
        headers: further header fields in the order given; their names are checked by composing.
        tags: names and values.
        metadata: free-form, echoed in events.
        send_at: not before this time (aware, UTC); None is now.
        unsubscribe: how its recipients get out; None adds nothing.
        tracking: what is noted of those who read the HTML.
        is_test: it goes to the sandbox, as with a test key.
        template: what text and html, and the subject unless there is one, are to be made of; then
            there is neither text nor html yet.
    """

    from_: Mailbox
    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    bcc: tuple[Mailbox, ...]
    reply_to: tuple[Mailbox, ...]
    subject: str
    text: str | None
    html: str | None
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[Attachment, ...]
    tags: tuple[tuple[str, str], ...]
    metadata: Mapping[str, JsonValue]
    send_at: datetime | None
    priority: Priority
    unsubscribe: UnsubscribeOffer | None = None
    tracking: Tracking = NO_TRACKING
    is_test: bool = False
    template: TemplateUse | None = None

    @property
    def recipients(self) -> tuple[Mailbox, ...]:
        """Everyone who gets it: to, cc and bcc."""
        return (*self.to, *self.cc, *self.bcc)


def parse_email(value: JsonValue, *, now: datetime) -> Email | tuple[FieldError, ...]:
    """Return the email that a JSON value asks for, or all that is wrong with it."""
    fields = Fields(value, [])
    email = Email(
        from_=_sender(fields),
        to=_required_mailboxes(fields, "to"),
        cc=read_mailboxes(fields, "cc"),
        bcc=read_mailboxes(fields, "bcc"),
        reply_to=read_mailboxes(fields, "reply_to"),
        subject=fields.text("subject", MAX_SUBJECT),
        text=fields.block("text") or None,
        html=fields.block("html") or None,
        headers=_headers(fields),
        attachments=_attachments(fields),
        tags=read_tags(fields),
        metadata=read_metadata(fields),
        send_at=read_send_at(fields, now),
        priority=read_priority(fields) or Priority.TRANSACTIONAL,
        unsubscribe=read_offer(fields),
        tracking=read_tracking(fields),
        is_test=_is_test(fields),
        template=read_template(fields),
    )
    fields.finish()
    if len(email.recipients) > MAX_RECIPIENTS:
        message = f"At most {MAX_RECIPIENTS} addresses are allowed in to, cc and bcc together."
        fields.fail("to", "too_many", message)
    _check_body(fields, email)
    return tuple(fields.errors) if fields.errors else email


def _check_body(fields: Fields, email: Email) -> None:
    if email.template is not None:
        for name, value in (("html", email.html), ("text", email.text)):
            if value is not None:
                fields.fail(name, "conflict", "Give template, or html and text, not both.")
    elif not fields.errors and email.text is None and email.html is None:
        fields.fail("html", "required", "Give html or text, or both.")


_NOBODY = Mailbox("", parse_address("nobody@localhost"))
"""Stands for a sender that was wrong; an Email that holds it is never returned."""


def _is_test(fields: Fields) -> bool:
    value = fields.take("test")
    if value is not None and not isinstance(value, bool):
        fields.fail("test", "invalid_type", "Expected true or false.")
    return value is True


def _sender(fields: Fields) -> Mailbox:
    value = fields.take("from")
    if value is None:
        fields.fail("from", "required", "This field is required.")
        return _NOBODY
    return read_mailbox(fields, "from", value) or _NOBODY


def read_mailboxes(fields: Fields, name: str) -> tuple[Mailbox, ...]:
    """Read one mailbox, or an array of them."""
    value = fields.take(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        value, paths = [value], [name]
    elif len(value) > MAX_RECIPIENTS:
        fields.fail(name, "too_many", f"At most {MAX_RECIPIENTS} addresses are allowed.")
        return ()
    else:
        paths = [f"{name}[{index}]" for index in range(len(value))]
    found = (read_mailbox(fields, path, item) for path, item in zip(paths, value, strict=True))
    return tuple(mailbox for mailbox in found if mailbox is not None)


def _required_mailboxes(fields: Fields, name: str) -> tuple[Mailbox, ...]:
    count = len(fields.errors)
    found = read_mailboxes(fields, name)
    if not found and len(fields.errors) == count:
        fields.fail(name, "required", "This field is required.")
    return found


def read_mailbox(fields: Fields, path: str, value: JsonValue) -> Mailbox | None:
    """Read 'Name <a@b.example>', 'a@b.example' or {"email": ..., "name": ...}."""
    try:
        match value:
            case str():
                return _mailbox(value)
            case dict():
                return _mailbox_object(Fields(value, fields.errors, path))
            case _:
                fields.fail(path, "invalid_type", "Expected an address.")
    except AddressError as error:
        fields.fail(path, "invalid_address", sentence(error))
    return None


@lru_cache(maxsize=1024)
def _mailbox(text: str) -> Mailbox:
    """Return the mailbox that text is; a sender is read once. Raises AddressError."""
    return Mailbox(*parse_mailbox(text))


def _mailbox_object(fields: Fields) -> Mailbox | None:
    name = fields.text("name", MAX_NAME)
    email = fields.required_text("email", MAX_MAILBOX)
    fields.finish()
    return Mailbox(name, parse_address(email)) if email else None


def _headers(fields: Fields) -> tuple[tuple[str, str], ...]:
    headers = fields.object("headers")
    if not headers:
        return ()
    if len(headers) > MAX_HEADERS:
        fields.fail("headers", "too_many", f"At most {MAX_HEADERS} headers are allowed.")
        return ()
    inside = Fields(headers, fields.errors, "headers")
    return tuple((name, inside.text(name, MAX_HEADER_VALUE)) for name in headers)


def _attachments(fields: Fields) -> tuple[Attachment, ...]:
    return tuple(
        _attachment(Fields(item, fields.errors, path))
        for path, item in fields.items("attachments", MAX_ATTACHMENTS)
    )


def _attachment(fields: Fields) -> Attachment:
    content_id = fields.text("content_id", MAX_NAME)
    read_name = fields.text if content_id else fields.required_text
    filename = read_name("filename", MAX_NAME)
    content = _content(fields)
    content_type = fields.text("content_type", MAX_NAME) or _guessed_type(filename)
    disposition = fields.text("disposition", MAX_NAME)
    fields.finish()
    default = "inline" if content_id else "attachment"
    return Attachment(filename, content, content_type, content_id, disposition or default)


def _guessed_type(filename: str) -> str:
    return _TYPES.guess_type(filename)[0] or "application/octet-stream"


def _content(fields: Fields) -> bytes:
    if fields.take("path") is not None:
        message = "Remote content is not fetched; send it in content."
        fields.fail("path", "unsupported", message)
        return b""
    value = fields.take("content")
    if isinstance(value, list):
        return _octets(fields, value)
    if not isinstance(value, str):
        fields.fail("content", "required", "Send the content in base64.")
        return b""
    return read_base64(fields, "content", value)


def _octets(fields: Fields, value: list[JsonValue]) -> bytes:
    """Read an array of octets, which some clients send in place of base64."""
    octets = [one for one in value if isinstance(one, int) and 0 <= one <= 255]
    if len(octets) < len(value):
        fields.fail("content", "invalid_value", "An array holds octets, 0 to 255.")
        return b""
    return bytes(octets)


def read_base64(fields: Fields, name: str, text: str) -> bytes:
    """Return what base64 text stands for; white space in it is ignored."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:  # binascii.Error is one; so is text that is not ASCII
        fields.fail(name, "invalid_base64", "This is not base64 (RFC 4648 4).")
        return b""


def read_tags(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Read [{"name": ..., "value": ...}] or {name: value}; when a name repeats, the last wins."""
    value = fields.take("tags")
    if value is None:
        return ()
    if isinstance(value, dict):
        tags = _named_tags(fields, value)
    else:
        listed = Fields({"tags": value}, fields.errors)
        tags = dict(
            _tag(Fields(item, fields.errors, path)) for path, item in listed.items("tags", MAX_TAGS)
        )
    if len(tags) > MAX_TAGS:
        fields.fail("tags", "too_many", f"At most {MAX_TAGS} tags are allowed.")
    return tuple(tags.items())


def _named_tags(fields: Fields, value: dict[str, JsonValue]) -> dict[str, str]:
    named = Fields(value, fields.errors, "tags")
    for name in value:
        if not name or line_error(name, MAX_TAG):
            fields.fail("tags", "invalid_text", f"A name is one line of 1 to {MAX_TAG} characters.")
    return {name: named.text(name, MAX_TAG) for name in value}


def _tag(fields: Fields) -> tuple[str, str]:
    found = fields.required_text("name", MAX_TAG), fields.text("value", MAX_TAG)
    fields.finish()
    return found


def read_metadata(fields: Fields) -> Mapping[str, JsonValue]:
    """Read a free-form object, an empty one when it is not there."""
    metadata = fields.object("metadata")
    problem = json_error(metadata) if metadata else ""
    if problem:
        fields.fail("metadata", "invalid_value", problem)
    return metadata


def read_send_at(fields: Fields, now: datetime) -> datetime | None:
    """Read send_at or its alias scheduled_at; a time that has passed is now, which is None."""
    moment = read_time(fields, now, "send_at", "scheduled_at")
    return moment if moment is not None and moment > now else None


def read_time(fields: Fields, now: datetime, *names: str) -> datetime | None:
    """Read a time at most MAX_AHEAD away, perhaps past, under one of several names.

    None when it is not there or wrong.
    """
    values = {name: fields.take(name) for name in names}
    given = [(name, value) for name, value in values.items() if value is not None]
    if len(given) > 1:
        fields.fail(given[-1][0], "conflict", f"Give {' or '.join(names)}, not both.")
    for name, value in given:
        moment = _moment(value, now) if isinstance(value, str) else None
        if moment is None:
            message = "Expected RFC 3339 with an offset, or 'in N minutes', 'hours' or 'days'."
            fields.fail(name, "invalid_time", message)
        elif moment > now + MAX_AHEAD:
            fields.fail(name, "too_far", f"At most {MAX_AHEAD.days} days ahead are allowed.")
        else:
            return moment
    return None


def _moment(text: str, now: datetime) -> datetime | None:
    relative = _IN_A_WHILE.fullmatch(text.strip().lower())
    return now + int(relative[1]) * _UNITS[relative[2]] if relative else parse_time(text)


def read_priority(fields: Fields) -> Priority | None:
    """Read a priority by its name; None when it is not there or wrong."""
    value = fields.text("priority", MAX_NAME)
    priority = Priority.named(value)
    if value and priority is None:
        fields.fail("priority", "invalid_value", "Expected transactional or bulk.")
    return priority
