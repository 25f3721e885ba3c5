"""POST /v1/feedback/bounce, /complaint and /raw: what the app learned about its mail elsewhere.

It counts like a report that came back by itself, for mail of the key's tenant only. Not here:
reading raw reports (mta/report_intake.py), and what follows (storage/feedback.py).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence

from starlette.responses import Response

from control_api.errors import NOT_FOUND, ApiError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.routes import Call, Route, json_response
from mta.core.bounce import HARD, BounceClass, class_of_status
from mta.core.findings import Failure, is_same
from mta.core.report_address import digest_of
from storage import correlation, feedback, reports
from storage.database import Connection
from storage.feedback import EntryRef
from storage.reports import NewReport

MAX_TEXT = 1000
MAX_ADDRESS = 320
MAX_RAW = 5 * 2**20
"""Bytes of a raw report, as many as its reader looks at."""

_EMAIL_ID = re.compile(r"<?(?:em_)?([0-9A-HJKMNP-TV-Z]{26})(?:@[^<>@\s]{1,255}>?)?")
_STATUS = re.compile(r"[45]\.\d{1,3}\.\d{1,3}")
_SOFT = frozenset({"soft", "transient", "temporary", "undetermined"})
_TYPES = _SOFT | {"hard", "permanent"}
_AMBIGUOUS = Problem(422, "recipient_required", "The email has several recipients: say which.")


async def report_bounce(call: Call) -> Response:
    """POST /v1/feedback/bounce."""
    body = await call.request.body()
    fields = Fields(read_json(body), [])
    email_id, recipient = _email_id(fields), fields.text("recipient", MAX_ADDRESS)
    failure = _failure(fields, recipient)
    _finish(fields)
    settings = call.services.settings

    def record(connection: Connection, entry: EntryRef) -> bool:
        return feedback.record_failure(
            connection,
            entry,
            failure,
            policy=settings.suppression_policy,
            tells=settings.dsn.enabled,
            now=call.services.now(),
        )

    return await _record(call, body, email_id, recipient, record)


async def report_complaint(call: Call) -> Response:
    """POST /v1/feedback/complaint."""
    body = await call.request.body()
    fields = Fields(read_json(body), [])
    email_id, recipient = _email_id(fields), fields.text("recipient", MAX_ADDRESS)
    kind = fields.text("type", 40) or fields.text("feedback_type", 40) or "abuse"
    fields.text("description", MAX_TEXT)
    _finish(fields)

    def record(connection: Connection, entry: EntryRef) -> bool:
        now = call.services.now()
        return feedback.record_complaint(connection, entry, kind, now=now)

    return await _record(call, body, email_id, recipient, record)


async def report_raw(call: Call) -> Response:
    """POST /v1/feedback/raw: a whole report as message/rfc822, or in {"raw": base64}."""
    body = await call.request.body()
    media = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data = body if media == "message/rfc822" else _raw(body)
    if not data or len(data) > MAX_RAW:
        raise ApiError(Problem(422, "validation_error", f"A report has 1 to {MAX_RAW} bytes."))
    services = call.services
    report = NewReport(
        data=data,
        recipients=(),
        digest=digest_of([f"tenant {call.tenant_id}"], hashlib.sha256(data).digest()),
        source="api",
        tenant_id=call.tenant_id,
    )

    def add(connection: Connection) -> str | Problem | None:
        if not reports.has_room(connection):
            return Problem(503, "too_many_reports", "Too many reports wait; try again later.")
        return reports.add(connection, report, services.now())

    found = await services.database.write(add)
    if isinstance(found, Problem):
        raise ApiError(found)
    services.wake_reports()
    status = "known" if found is None else "queued"
    return json_response({"object": "report", "id": found, "status": status}, 202)


def _raw(body: bytes) -> bytes:
    fields = Fields(read_json(body), [])
    text = fields.block("raw") or ""
    _finish(fields)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        fields.fail("raw", "invalid_base64", "Send the report in base64 (RFC 4648 4).")
        raise ApiError(invalid(fields.errors)) from None


async def _record(
    call: Call,
    body: bytes,
    email_id: str,
    recipient: str,
    record: Callable[[Connection, EntryRef], bool],
) -> Response:
    """Find the entry, write down what was reported, and answer with what that changed."""
    tenant_id = call.tenant_id

    def act(connection: Connection) -> Written | Problem:
        entries = correlation.entries_of_email(connection, email_id, tenant_id)
        entry = _meant(entries, recipient)
        if isinstance(entry, Problem):
            return entry
        is_new = record(connection, entry)
        return Written(
            {
                "object": "feedback",
                "email_id": entry.email_id,
                "recipient": entry.recipient,
                "status": "recorded" if is_new else "known",
            }
        )

    with once(call, body) as request:
        outcome = await request.run(act)
    if outcome.written:
        call.services.kick()
        call.services.wake_reports()
    return outcome.response()


def _meant(entries: Sequence[EntryRef], recipient: str) -> EntryRef | Problem:
    if not recipient and len(entries) > 1:
        return _AMBIGUOUS
    meant = (one for one in entries if not recipient or is_same(recipient, one.recipient))
    return next(meant, NOT_FOUND)


def _email_id(fields: Fields) -> str:
    """Read the id of an email, or a Message-ID of our making, which holds it."""
    text = fields.required_text("message_id", 500)
    match = _EMAIL_ID.fullmatch(text)
    if text and match is None:
        message = "Expected the id of an email (em_...), or the Message-ID that it was given here."
        fields.fail("message_id", "invalid_value", message)
    return f"em_{match[1]}" if match else ""


def _failure(fields: Fields, recipient: str) -> Failure:
    status = fields.text("status", 20)
    if status and not _STATUS.fullmatch(status):
        fields.fail("status", "invalid_value", "Expected an enhanced status such as 5.1.1.")
    kind = fields.text("type", 40).lower()
    if kind and kind not in _TYPES:
        fields.fail("type", "invalid_value", "Expected hard or soft.")
    name = fields.text("class", 40)
    try:
        given = BounceClass(name) if name else None
    except ValueError:
        fields.fail("class", "invalid_value", "Expected a class of failure such as bad_mailbox.")
        given = None
    is_permanent = kind not in _SOFT and not status.startswith("4")
    default = BounceClass.BAD_MAILBOX if kind in {"hard", "permanent"} else BounceClass.UNKNOWN
    bounce_class = given or class_of_status(status) or default
    return Failure(
        recipient=recipient,
        bounce_class=bounce_class,
        status=status,
        diagnostic=fields.text("description", MAX_TEXT),
        is_permanent=is_permanent,
        is_hard=is_permanent and bounce_class in HARD,
        rule="api",
    )


def _finish(fields: Fields) -> None:
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/feedback/bounce", report_bounce, "feedback:write", "Report a bounce"),
    Route(
        "POST", "/v1/feedback/complaint", report_complaint, "feedback:write", "Report a complaint"
    ),
    Route("POST", "/v1/feedback/raw", report_raw, "feedback:write", "Hand in a report as it came"),
)
