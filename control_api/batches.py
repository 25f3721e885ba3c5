"""POST /v1/emails/batch: up to a thousand emails in one transaction.

Strict (the default) is all or nothing; permissive accepts what can be accepted and lists the rest.
Errors name their place as "emails[3].to", for a bare array of emails too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from starlette.responses import Response

from control_api.credit_errors import credit_error, credit_problem
from control_api.emails import (
    aside,
    body_of,
    domain_error,
    domain_problem,
    origin_of,
    policy_of,
    prepare,
    submit,
    templates_of,
)
from control_api.errors import ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.routes import Call, timestamp
from control_api.submissions import Origin
from control_api.template_field import Loaded
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.submission import Submission
from storage.credits import Account, InsufficientCredits, account
from storage.database import Connection
from storage.submissions import (
    Acceptance,
    AcceptedEmail,
    AcceptPolicy,
    DomainNotAllowed,
    accept_batch,
    check,
)

MAX_BATCH = 1000
"""Emails in one batch."""
MAX_BATCH_RECIPIENTS = 10_000
"""Recipients of all emails of one batch: all other writing waits for its transaction."""
VALIDATION = "X-Batch-Validation"
"""Request header, "strict" or "permissive"."""

Errors = tuple[FieldError, ...]


@frozen
class _Batch:
    """A batch as read from the body.

    Attributes:
        id: "bt_...".
        submissions: emails that became submissions, by their index in the body.
        refused: what is wrong with the others, by index.
    """

    id: str
    submissions: Mapping[int, Submission]
    refused: Mapping[int, Errors]


async def send_batch(call: Call) -> Response:
    """POST /v1/emails/batch."""
    is_strict = _is_strict(call)
    body = await body_of(call)
    origin, policy = origin_of(call), policy_of(call)
    with once(call, body) as request:
        emails = await aside(body, lambda: _emails(read_json(body)))
        loaded = await templates_of(call, emails)
        batch = await aside(
            body, lambda: _read(emails, call, origin, loaded), takes_long=bool(loaded.sources)
        )
        submissions = tuple(batch.submissions.values())

        def act(connection: Connection) -> Written | Problem:
            problem = _too_many(submissions)
            if is_strict and problem is None:
                problem = _anything_wrong(connection, batch, policy)
            if problem is not None:
                return problem
            before = account(connection, call.tenant_id) if policy.takes_credits else None
            found = accept_batch(connection, submissions, policy=policy, now=origin.at)
            if is_strict and before is not None:
                _require_credits(connection, call.tenant_id, found, before)
            return _written(batch, found)

        return await submit(call, request, submissions, act)


def _is_strict(call: Call) -> bool:
    value = call.request.headers.get(VALIDATION, "strict").strip().lower()
    if value not in ("strict", "permissive"):
        raise ApiError(
            invalid([FieldError(VALIDATION, "invalid_value", "Expected strict or permissive.")])
        )
    return value == "strict"


def _read(emails: Sequence[JsonValue], call: Call, origin: Origin, loaded: Loaded) -> _Batch:
    services = call.services
    batch_id, spool = services.new_id("bt"), services.database.spool
    submissions: dict[int, Submission] = {}
    refused: dict[int, Errors] = {}
    for index, public_id in enumerate(services.new_ids("em", len(emails))):
        found = prepare(
            emails[index], origin, loaded, spool, public_id=public_id, batch_id=batch_id
        )
        if isinstance(found, Submission):
            submissions[index] = found
        else:
            refused[index] = found
    return _Batch(batch_id, submissions, refused)


def _emails(value: JsonValue) -> list[JsonValue]:
    """Return the emails in [...] or {"emails": [...]}, at least one."""
    errors: list[FieldError] = []
    fields = Fields({"emails": value} if isinstance(value, list) else value, errors)
    emails = [email for _, email in fields.items("emails", MAX_BATCH)]
    fields.finish()
    if not emails and not errors:
        fields.fail("emails", "required", "Give at least one email.")
    if errors:
        raise ApiError(invalid(errors))
    return emails


def _too_many(submissions: Sequence[Submission]) -> Problem | None:
    if sum(len(one.envelope.recipients) for one in submissions) <= MAX_BATCH_RECIPIENTS:
        return None
    message = f"At most {MAX_BATCH_RECIPIENTS} recipients are allowed in a batch."
    return invalid([FieldError("emails", "too_many", message)])


def _anything_wrong(connection: Connection, batch: _Batch, policy: AcceptPolicy) -> Problem | None:
    """Return why a strict batch is refused: malformed emails first, then what policy forbids."""
    if batch.refused:
        return invalid(_located(batch.refused))
    forbidden = {
        index: (domain_error(refusal),)
        for index, one in batch.submissions.items()
        if (refusal := check(connection, one, policy)) is not None
    }
    return domain_problem(_located(forbidden)) if forbidden else None


def _located(refused: Mapping[int, Errors]) -> list[FieldError]:
    return [
        error.inside(f"emails[{index}]") for index, errors in refused.items() for error in errors
    ]


def _written(batch: _Batch, found: Sequence[Acceptance]) -> Written:
    """Return the answer to a batch, what storage found included."""
    data: list[dict[str, object]] = []
    refused = dict(batch.refused)
    for (index, submission), acceptance in zip(batch.submissions.items(), found, strict=True):
        if isinstance(acceptance, AcceptedEmail):
            data.append(_sent(index, submission, acceptance))
        else:
            refused[index] = (_refusal_of(acceptance),)
    answer = {
        "object": "batch",
        "id": batch.id,
        "data": data,
        "errors": [_refusal(index, refused[index]) for index in sorted(refused)],
        "total": len(data) + len(refused),
        "sent": len(data),
        "failed": len(refused),
    }
    return Written(answer, frozenset(str(one["id"]) for one in data))


def _refusal_of(refusal: DomainNotAllowed | InsufficientCredits) -> FieldError:
    if isinstance(refusal, InsufficientCredits):
        return credit_error(refusal)
    return domain_error(refusal)


def _require_credits(
    connection: Connection, tenant_id: int, found: Sequence[Acceptance], before: Account
) -> None:
    """Undo the whole batch when there are not enough credits for all of it.

    Raises:
        ApiError: 402, which takes back what this piece of work has written.
    """
    missing = sum(one.needed for one in found if isinstance(one, InsufficientCredits))
    if missing:
        taken = account(connection, tenant_id).reserved - before.reserved
        lacking = InsufficientCredits(taken + missing, before.available)
        raise ApiError(credit_problem(lacking))


def _sent(index: int, submission: Submission, accepted: AcceptedEmail) -> dict[str, object]:
    return {
        "index": index,
        "id": accepted.public_id,
        "to": submission.header.to,
        "status": accepted.status,
        "queued_at": timestamp(accepted.queued_at),
        "message_id": submission.header.message_id,
    }


def _refusal(index: int, errors: Errors) -> dict[str, object]:
    first = errors[0]
    return {
        "index": index,
        "code": first.code,
        "message": first.message,
        "errors": [asdict(error) for error in errors],
    }
