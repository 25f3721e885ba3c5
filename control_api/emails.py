"""POST /v1/emails, and what the other ways to send share with it: body in, one transaction, answer.

Not here: reading emails back (email_views.py), what a body may hold (payload.py), how it becomes a
message (submissions.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar, assert_never

from starlette.responses import Response

from control_api.credit_errors import credit_problem
from control_api.errors import ApiError, FieldError, Problem, invalid
from control_api.fields import read_json
from control_api.idempotency import Act, Once, Written, once
from control_api.payload import Email, parse_email
from control_api.routes import Call, timestamp
from control_api.submissions import Origin, build, discard
from control_api.template_field import Loaded, filled, load
from mta.core.envelope import Priority
from mta.core.event import JsonValue
from mta.core.submission import Submission
from mta.core.template import Rendered
from storage import faults
from storage.credits import InsufficientCredits
from storage.database import Connection
from storage.spool import Spool
from storage.submissions import AcceptedEmail, AcceptPolicy, DomainNotAllowed, accept

_WORTH_A_THREAD = 65_536
"""Bytes of a body from which composing would hold up the event loop."""

T = TypeVar("T")


async def send_email(call: Call) -> Response:
    """POST /v1/emails."""
    body = await body_of(call)
    origin = origin_of(call)
    with once(call, body) as request:
        value = await aside(body, lambda: read_json(body))
        loaded = await templates_of(call, [value])
        try:
            submission = await aside(
                body, lambda: _read(value, call, origin, loaded), takes_long=bool(loaded.sources)
            )
        except ApiError as refusal:
            return await request.repeat(refusal)
        return await submit_one(call, request, submission, origin)


async def body_of(call: Call) -> bytes:
    """Return the body of a request that brings mail.

    Raises:
        StorageFull: there is no room for it.
    """
    body = await call.request.body()
    call.services.database.require_room(len(body))
    return body


async def submit_one(call: Call, request: Once, submission: Submission, origin: Origin) -> Response:
    """Accept one submission and answer."""

    def act(connection: Connection) -> Written | Problem:
        match accept(connection, submission, policy=policy_of(call), now=origin.at):
            case AcceptedEmail() as accepted:
                return Written(_answer(submission, accepted), frozenset({accepted.public_id}))
            case DomainNotAllowed() as refusal:
                return domain_problem([domain_error(refusal)])
            case InsufficientCredits() as lacking:
                return credit_problem(lacking)
            case other:
                assert_never(other)

    return await submit(call, request, [submission], act)


def _read(value: JsonValue, call: Call, origin: Origin, loaded: Loaded) -> Submission:
    services = call.services
    found = prepare(value, origin, loaded, services.database.spool, public_id=services.new_id("em"))
    if isinstance(found, Submission):
        return found
    raise ApiError(invalid(found))


def _answer(submission: Submission, accepted: AcceptedEmail) -> dict[str, object]:
    return {
        "object": "email",
        "id": accepted.public_id,
        "status": accepted.status,
        "queued_at": timestamp(accepted.queued_at),
        "message_id": submission.header.message_id,
    }


async def templates_of(call: Call, values: Sequence[JsonValue]) -> Loaded:
    """Return the templates that the emails of a request name."""
    services = call.services
    return await load(services.database, services.templates, call.tenant_id, values)


def prepare(
    value: JsonValue,
    origin: Origin,
    loaded: Loaded,
    spool: Spool,
    *,
    public_id: str,
    batch_id: str = "",
) -> Submission | tuple[FieldError, ...]:
    """Turn one email of a request body into a submission, or return all that is wrong with it.

    Raises:
        StorageError: the spool cannot be written.
    """
    email = parse_email(value, now=origin.at)
    if isinstance(email, Email) and email.template is not None:
        email = _filled(email, loaded)
    if isinstance(email, tuple):
        return email
    found = build(email, origin, spool, public_id=public_id, batch_id=batch_id)
    return (found,) if isinstance(found, FieldError) else found


def _filled(email: Email, loaded: Loaded) -> Email | tuple[FieldError, ...]:
    """Return an email with what its template makes of its variables."""
    if email.template is None:
        return email
    made = filled(email.template, email.subject, loaded)
    if not isinstance(made, Rendered):
        return made
    html = made.html or None
    text = None if html and not made.text else made.text
    return replace(email, subject=made.subject, html=html, text=text)


async def submit(
    call: Call, request: Once, submissions: Sequence[Submission], act: Act
) -> Response:
    """Run the transaction that may accept submissions, wake the engine, tidy the spool, answer.

    Raises:
        ApiError: the transaction refused.
        StorageError: what is in the spool stays, because the transaction may have been committed.
    """
    if any(one.priority is Priority.TRANSACTIONAL for one in submissions):
        call.services.expect_urgent()
    try:
        outcome = await request.run(act)
    except ApiError:  # all of it was undone
        await _discard(call, submissions)
        raise
    accepted = outcome.written.email_ids if outcome.written else frozenset()
    if accepted:
        faults.reach("after_accept")
        call.services.kick()
    await _discard(call, [one for one in submissions if one.public_id not in accepted])
    return outcome.response()


async def _discard(call: Call, refused: Sequence[Submission]) -> None:
    if any(one.message.file for one in refused):
        await asyncio.to_thread(discard, refused, call.services.database.spool)


async def aside(body: bytes, work: Callable[[], T], *, takes_long: bool = False) -> T:
    """Return what `work` makes of a body; in a thread when that takes long, as with a large one."""
    is_worth_it = takes_long or len(body) > _WORTH_A_THREAD
    return await asyncio.to_thread(work) if is_worth_it else work()


def origin_of(call: Call) -> Origin:
    """Return what holds for all emails of a request."""
    settings = call.services.settings
    return Origin(
        tenant_id=call.tenant_id,
        tenant=call.key.tenant_name,
        is_test=call.key.access.is_test,
        hostname=settings.server.hostname,
        bounce_domain=settings.reports.domain,
        can_unsubscribe=bool(settings.api.public_url or settings.reports.domain),
        max_size=settings.submission.max_message_size,
        at=call.services.now(),
        tracking_url=partial(call.services.tracker.base_url, call.tenant_id),
        entropy=call.services.entropy,
    )


def policy_of(call: Call) -> AcceptPolicy:
    """Return what the operator demands of mail."""
    settings = call.services.settings
    return AcceptPolicy(
        require_verified_domain=settings.policy.require_verified_domain,
        sender_domains=call.key.access.domains,
        bounce_domain=settings.reports.domain,
        quota=settings.quota.core,
        sandbox_domain=settings.api.sandbox_domain,
        takes_credits=settings.credits.enabled,
    )


def domain_error(refusal: DomainNotAllowed) -> FieldError:
    """Return the error for a sender domain that the tenant, or the key, may not use."""
    if refusal.denial is not None:
        return FieldError("from", "forbidden", refusal.denial.message)
    message = f"The domain {refusal.domain} is not a verified domain of yours."
    return FieldError("from", "domain_not_verified", message)


def domain_problem(errors: Sequence[FieldError]) -> Problem:
    """Return the 403 for sender domains that the tenant may not use."""
    return Problem(403, errors[0].code, errors[0].message, tuple(errors))
