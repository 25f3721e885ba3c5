"""POST /v1/emails/raw: a message that the client has composed, as JSON or as message/rfc822.

Not here: what becomes of the message (raw_messages.py).
"""

from __future__ import annotations

from starlette.responses import Response

from control_api.emails import aside, body_of, domain_problem, origin_of, submit_one
from control_api.errors import ApiError, FieldError, invalid
from control_api.fields import Fields, read_json, sentence
from control_api.idempotency import once
from control_api.payload import (
    read_base64,
    read_metadata,
    read_priority,
    read_send_at,
    read_tags,
)
from control_api.raw_messages import RawEmail, build_raw
from control_api.routes import Call
from control_api.submissions import Origin
from mta.core.access import may_send_from
from mta.core.address import MAX_MAILBOX, Address, AddressError, parse_address
from mta.core.event import JsonValue
from mta.core.submission import Submission

MESSAGE = "message/rfc822"
"""Media type of a body that is the message itself; the query then says what JSON would."""


async def send_raw(call: Call) -> Response:
    """POST /v1/emails/raw."""
    body = await body_of(call)
    origin = origin_of(call)
    with once(call, body) as request:
        submission = await aside(body, lambda: _read(body, call, origin))
        return await submit_one(call, request, submission, origin)


def _read(body: bytes, call: Call, origin: Origin) -> Submission:
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    errors: list[FieldError] = []
    limit = call.services.settings.submission.max_recipients
    if media_type == MESSAGE:
        raw = _parse(Fields(_query(call), errors), body, origin, limit)
    else:
        raw = _parse(Fields(read_json(body), errors), None, origin, limit)
    found: Submission | FieldError | None = None
    if not errors:
        services = call.services
        found = build_raw(
            raw,
            origin,
            services.database.spool,
            public_id=services.new_id("em"),
            max_recipients=limit,
        )
    if not isinstance(found, Submission):
        raise ApiError(invalid(errors if found is None else [found]))
    if raw.has_return_path and raw.return_path is not None:
        _check_return_path(raw.return_path.domain, call)
    return found


def _check_return_path(domain: str, call: Call) -> None:
    denial = may_send_from(call.key.access.domains, domain)
    if denial is not None:
        raise ApiError(domain_problem([FieldError("mail_from", "forbidden", denial.message)]))


def _query(call: Call) -> JsonValue:
    """Return the query as the JSON object that it stands for; rcpt_to may be repeated."""
    query = call.request.query_params
    found: dict[str, JsonValue] = dict(query)
    if "rcpt_to" in query:
        found["rcpt_to"] = list[JsonValue](query.getlist("rcpt_to"))
    return found


def _parse(fields: Fields, message: bytes | None, origin: Origin, limit: int) -> RawEmail:
    """Read a request; the message is in its field `raw` unless it is given."""
    mail_from = fields.take("mail_from")
    raw = RawEmail(
        return_path=_return_path(fields, mail_from),
        has_return_path=mail_from is not None,
        recipients=tuple(
            address
            for path, value in fields.items("rcpt_to", limit)
            if (address := _address(fields, path, value)) is not None
        ),
        data=_message(fields) if message is None else message,
        tags=read_tags(fields),
        metadata=read_metadata(fields),
        send_at=read_send_at(fields, origin.at),
        priority=read_priority(fields),
    )
    fields.finish()
    return raw


def _return_path(fields: Fields, value: JsonValue) -> Address | None:
    return None if value in (None, "", "<>") else _address(fields, "mail_from", value)


def _address(fields: Fields, path: str, value: JsonValue) -> Address | None:
    try:
        if isinstance(value, str) and len(value) <= MAX_MAILBOX:
            return parse_address(value)
        fields.fail(path, "invalid_address", "Expected an address, without a name.")
    except AddressError as error:
        fields.fail(path, "invalid_address", sentence(error))
    return None


def _message(fields: Fields) -> bytes:
    """Read the message as text or in base64: a message has a colon, base64 never does."""
    text = fields.block("raw")
    if not text:
        fields.fail("raw", "required", "This field is required.")
        return b""
    return text.encode() if ":" in text else read_base64(fields, "raw", text)
