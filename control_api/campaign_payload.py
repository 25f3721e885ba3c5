"""The body of a campaign: JSON in, what it says to whom, or every error in it by field.

Not here: the routes (campaigns.py), audiences, which storage knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from control_api.errors import ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, sentence
from control_api.payload import (
    MAX_NAME,
    MAX_SUBJECT,
    read_mailbox,
    read_mailboxes,
    read_tags,
    read_time,
)
from control_api.routes import timestamp
from control_api.template_field import TemplateUse, read_block, read_template, read_variables
from control_api.tracking_field import read_tracking
from mta.core.address import MAX_MAILBOX, AddressError, parse_address
from mta.core.campaign import Content, Segment
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.mime import Mailbox
from mta.core.tracking import Tracking
from storage.campaigns import CampaignRecord, Plan, Recipient

MAX_RECIPIENTS = 10_000
"""Recipients in a body; an audience may have as many members as it likes."""
MAX_KEY = 100
SMS = "sms"
CHANNELS = ("email", SMS)
_NO_SMS = Problem(
    422,
    "channel_not_configured",
    "Campaigns go out as mail only; POST /v1/sms sends a text message.",
    (FieldError("channel", "channel_not_configured", "Campaigns go out as mail only."),),
)


@frozen
class Wish:
    """What a body asks for.

    Attributes:
        name: for people.
        from_: None: what the audience says.
        reply_to: may be empty.
        subject: "" leaves it to the template, or to the audience.
        html, text: Liquid, None for none.
        template: in their place.
        variables: for everybody.
        tracking: what is noted of its readers.
        tags: names and values.
        audience_id: "aud_..."; "" when recipients are given.
        recipients: None when they are not given.
        segment: which members.
        send_at: aware, UTC; None: at once.
        once_key: "" for none.
    """

    name: str
    from_: Mailbox | None
    reply_to: tuple[Mailbox, ...]
    subject: str
    html: str | None
    text: str | None
    template: TemplateUse | None
    variables: Mapping[str, JsonValue]
    tracking: Tracking
    tags: tuple[tuple[str, str], ...]
    audience_id: str
    recipients: tuple[Recipient, ...] | None
    segment: Segment
    send_at: datetime | None
    once_key: str

    def content(self, from_: Mailbox, subject: str, reply_to: tuple[Mailbox, ...]) -> Content:
        """Return what it says, with what the audience says where this says nothing."""
        used = self.template
        return Content(
            from_name=from_.name,
            from_email=str(from_.address),
            reply_to=tuple((one.name, str(one.address)) for one in reply_to),
            subject=subject,
            html=self.html,
            text=self.text,
            template_id=used.id if used else "",
            variables={**self.variables, **(used.variables if used else {})},
            tracking=self.tracking,
            tags=self.tags,
        )


def read_wish(
    value: JsonValue, *, now: datetime, has_recipients: bool = False, is_draft: bool = True
) -> Wish:
    """Return what a body asks for.

    Args:
        value: the body.
        now: aware, UTC.
        has_recipients: there are some already, so that none need be given.
        is_draft: what it says may still be missing.

    Raises:
        ApiError: 422 with all that is wrong.
    """
    fields = Fields(value, [])
    channel = fields.text("channel", 20)
    if channel == SMS:  # whatever else is in it is not about mail
        raise ApiError(_NO_SMS)
    wish = Wish(
        name=fields.required_text("name", MAX_NAME),
        from_=_from(fields),
        reply_to=read_mailboxes(fields, "reply_to"),
        subject=fields.text("subject", MAX_SUBJECT),
        html=read_block(fields, "html"),
        text=read_block(fields, "text"),
        template=read_template(fields),
        variables=read_variables(fields),
        tracking=read_tracking(fields),
        tags=read_tags(fields),
        audience_id=fields.text("audience_id", 64),
        recipients=_recipients(fields),
        segment=_segment(fields),
        send_at=read_start(fields, now),
        once_key=fields.text("send_once_key", MAX_KEY),
    )
    fields.finish()
    _check(fields, wish, has_recipients=has_recipients, is_draft=is_draft)
    if channel not in ("", *CHANNELS):
        fields.fail("channel", "invalid_value", f"Expected one of {', '.join(CHANNELS)}.")
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return wish


def _check(fields: Fields, wish: Wish, *, has_recipients: bool, is_draft: bool) -> None:
    if wish.template is not None:
        for name, given in (("html", wish.html), ("text", wish.text)):
            if given is not None:
                fields.fail(name, "conflict", "Give template, or html and text, not both.")
    elif not is_draft and wish.html is None and wish.text is None and not _says(fields):
        fields.fail("html", "required", "Give html or text, or both, or template.")
    if wish.audience_id and wish.recipients is not None:
        fields.fail("recipients", "conflict", "Give audience_id or recipients, not both.")
    has_sender = wish.from_ is not None or wish.audience_id or fields.is_wrong("audience_id")
    if not has_sender and not fields.is_wrong("from"):
        fields.fail("from", "required", "This field is required.")
    is_addressed = wish.audience_id or wish.recipients or has_recipients
    if not is_addressed and not (fields.is_wrong("audience_id") or fields.is_wrong("recipients")):
        fields.fail("audience_id", "required", "Give audience_id or recipients.")
    if wish.segment != Segment() and not wish.audience_id:
        fields.fail("segment", "conflict", "Only an audience has segments.")


def _says(fields: Fields) -> bool:
    """Tell whether something was given to say, if in a wrong form."""
    return any(fields.is_wrong(name) for name in ("html", "text", "template"))


def _from(fields: Fields) -> Mailbox | None:
    value = fields.take("from")
    return None if value is None else read_mailbox(fields, "from", value)


def _segment(fields: Fields) -> Segment:
    value = fields.take("segment")
    if value is None:
        return Segment()
    inside = Fields(value, fields.errors, "segment")
    found = Segment(inside.text("tag", MAX_KEY), _flag(inside, "opened"), _flag(inside, "clicked"))
    inside.finish()
    return found


def read_start(fields: Fields, now: datetime) -> datetime | None:
    """Read when a campaign is to start; a time that has passed is now, which is None."""
    moment = read_time(fields, now, "send_at")
    return moment if moment is not None and moment > now else None


def _flag(fields: Fields, name: str) -> bool | None:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
        return None
    return value


def _recipients(fields: Fields) -> tuple[Recipient, ...] | None:
    found = [
        one
        for path, value in fields.items("recipients", MAX_RECIPIENTS)
        if (one := _recipient(fields, path, value)) is not None
    ]
    return tuple(found) or None


def _recipient(fields: Fields, path: str, value: JsonValue) -> Recipient | None:
    """Read an address, or {"email", "name", "variables"}."""
    if not isinstance(value, dict):
        mailbox = read_mailbox(fields, path, value)
        return None if mailbox is None else _addressed(mailbox, {})
    inside = Fields(value, fields.errors, path)
    name, variables = inside.text("name", MAX_NAME), read_variables(inside)
    email = inside.required_text("email", MAX_MAILBOX)
    inside.finish()
    try:
        return _addressed(Mailbox(name, parse_address(email)), variables) if email else None
    except AddressError as error:
        inside.fail("email", "invalid_address", sentence(error))
        return None


def _addressed(mailbox: Mailbox, variables: Mapping[str, JsonValue]) -> Recipient:
    return Recipient(mailbox.address.key, str(mailbox.address), mailbox.name, variables)


def merged(campaign: CampaignRecord, change: JsonValue) -> JsonValue:
    """Return the body that a campaign would have been made with, changed by another.

    Text takes the place of a template, a template that of text, recipients that of an audience.
    """
    if not isinstance(change, dict):
        return change
    body = _body_of(campaign.plan)
    if change.get("template") is not None:
        body = {**body, "html": None, "text": None, "variables": None}
    if change.get("html") is not None or change.get("text") is not None:
        body = {**body, "template": None}
    if change.get("recipients") is not None:
        body = {**body, "audience_id": None, "segment": None}
    return {**body, **change}


def _body_of(plan: Plan) -> dict[str, JsonValue]:
    content = plan.content
    variables = dict(content.variables)
    used: JsonValue = None
    if content.template_id:
        used, variables = {"id": content.template_id, "variables": variables}, {}
    segment = plan.segment
    return {
        "name": plan.name,
        "audience_id": plan.audience_id or None,
        "segment": None if segment == Segment() else _segment_json(segment),
        "from": mailbox_json(content.from_name, content.from_email),
        "reply_to": [mailbox_json(*one) for one in content.reply_to],
        "subject": content.subject or None,
        "html": content.html,
        "text": content.text,
        "template": used,
        "variables": variables or None,
        "tracking": dict(asdict(content.tracking)),
        "tags": dict(content.tags),
        "send_at": None if plan.send_at is None else timestamp(plan.send_at),
        "send_once_key": plan.once_key or None,
    }


def _segment_json(segment: Segment) -> dict[str, JsonValue]:
    return {
        "tag": segment.tag or None,
        "opened": segment.has_opened,
        "clicked": segment.has_clicked,
    }


def mailbox_json(name: str, email: str) -> dict[str, JsonValue]:
    """Return a mailbox as it is shown, and can be given."""
    return {"email": email, "name": name or None}


def plan_json(plan: Plan) -> dict[str, JsonValue]:
    """Return what a campaign says to whom, as it is shown."""
    return {**_body_of(plan), "variables": dict(plan.content.variables)}


def read_test(value: JsonValue) -> tuple[tuple[Mailbox, ...], Mapping[str, JsonValue]]:
    """Return who gets a test mail, and variables for it.

    Raises:
        ApiError: 422 with all that is wrong.
    """
    fields = Fields(value, [])
    to, variables = read_mailboxes(fields, "to"), read_variables(fields)
    fields.finish()
    if not to and not fields.is_wrong("to"):
        fields.fail("to", "required", "This field is required.")
    if len(to) > MAX_TESTS:
        fields.fail("to", "too_many", f"At most {MAX_TESTS} addresses are allowed.")
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return to, variables


MAX_TESTS = 10
"""Addresses that one request sends test mail to."""
