"""POST /v1/campaigns/{id}/send, pause, resume, cancel, test: what is asked of a campaign.

The status changes in one transaction, in which the request is also noted as carried out; what that
means for emails that are queued follows in steps. Sending is a background task's
(campaign_expansion.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from starlette.responses import Response

from control_api import campaign_letter, filters
from control_api.campaign_letter import CampaignLetter, Material
from control_api.campaign_payload import read_start, read_test
from control_api.campaign_work import work_off
from control_api.campaigns import find, shown, wrong_state
from control_api.credit_errors import credit_problem
from control_api.emails import domain_error, domain_problem, policy_of
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.personal_mail import Composer
from control_api.routes import Call, Handler, Route
from control_api.submissions import discard
from mta.core.address import parse_address
from mta.core.campaign import Action, Todo, is_allowed
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.mime import Mailbox
from mta.core.submission import Submission
from storage import campaign_moves, campaign_turns, campaigns
from storage.campaign_turns import Turn
from storage.campaigns import CampaignRecord
from storage.credits import InsufficientCredits
from storage.database import Connection
from storage.submissions import AcceptedEmail, accept, may_send_as

SAMPLE = 20
"""Recipients for whom the text is tried before a campaign is sent."""


@frozen
class _Ready:
    """A campaign with what it takes to send it."""

    campaign: CampaignRecord
    material: Material
    letter: CampaignLetter
    sample: Sequence[Turn]


async def send_campaign(call: Call) -> Response:
    """POST /v1/campaigns/{id}/send: begin, or wait for its time."""
    body = await call.request.body()
    now = call.services.now()
    with once(call, body) as request:
        fields = Fields(read_json(body) if body else {}, [])
        send_at = read_start(fields, now)
        filters.finish(fields)
        if await request.is_done():
            return (await request.run(lambda _: NOT_FOUND)).response()
        ready = await _ready(call, Action.SEND, "sent")
        await asyncio.to_thread(_try_out, ready, now, call)

        def act(connection: Connection) -> Written | Problem:
            found = find(connection, call)
            if found is None:
                return NOT_FOUND
            if not is_allowed(Action.SEND, found.status):
                return wrong_state(found, "sent")
            refusal = _sender_problem(connection, call, found)
            refusal = refusal or _reserve(connection, call, found, send_at)
            return refusal or Written(
                shown(connection, _begin(connection, call, found, ready, send_at))
            )

        outcome = await request.run(act)
    call.services.wake_campaigns()
    call.services.kick()
    return outcome.response()


def _begin(
    connection: Connection,
    call: Call,
    campaign: CampaignRecord,
    ready: _Ready,
    send_at: datetime | None,
) -> CampaignRecord:
    now = call.services.now()
    if call.key.access.is_test:
        campaigns.make_test(connection, campaign)
    if send_at is not None:
        plan = replace(campaign.plan, send_at=send_at)
        campaign = campaigns.change(connection, campaign, plan, now=now)
    due = campaign.plan.send_at
    if due is not None and due > now:
        return campaign_moves.schedule(connection, campaign, now=now)
    version = ready.material.template_version
    return campaign_moves.start(connection, campaign, version, now=now)


def _reserve(
    connection: Connection, call: Call, campaign: CampaignRecord, send_at: datetime | None
) -> Problem | None:
    """Reserve credits for a campaign that is going to start now, where mail takes any."""
    now, due = call.services.now(), send_at or campaign.plan.send_at
    is_free = call.key.access.is_test or not call.services.settings.credits.enabled
    if is_free or (due is not None and due > now):
        return None
    lacking = campaign_moves.reserve(connection, campaign, now=now)
    return None if lacking is None else credit_problem(lacking)


def _sender_problem(connection: Connection, call: Call, campaign: CampaignRecord) -> Problem | None:
    domain = parse_address(campaign.plan.content.from_email).domain
    refusal = may_send_as(connection, call.tenant_id, domain, policy_of(call))
    return None if refusal is None else domain_problem([domain_error(refusal)])


async def _ready(call: Call, action: Action | None, done: str) -> _Ready:
    """Return the campaign that the path names, ready to be sent.

    Raises:
        ApiError: there is none, it does not take the action, or something is missing or wrong.
    """

    def look(connection: Connection) -> tuple[CampaignRecord, Material, list[Turn]] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        if action is not None and not is_allowed(action, found.status):
            return wrong_state(found, done)
        made_of = campaign_letter.material(connection, found)
        if isinstance(made_of, FieldError):
            return invalid([made_of])
        return found, made_of, campaign_turns.first_members(connection, found, limit=SAMPLE)

    found = await call.services.database.read(look)
    if isinstance(found, Problem):
        raise ApiError(found)
    campaign, made_of, sample = found
    composer = composer_of(call)
    is_trial = action is None
    if is_trial:
        campaign = replace(campaign, is_test=campaign.is_test or call.key.access.is_test)
    letter = await asyncio.to_thread(
        campaign_letter.read, composer, campaign, made_of, is_trial=is_trial
    )
    if isinstance(letter, FieldError):
        raise ApiError(invalid([letter]))
    return _Ready(campaign, made_of, letter, sample)


def composer_of(call: Call) -> Composer:
    """Return what makes letters."""
    services = call.services
    return Composer(
        services.settings,
        services.tracker,
        services.database.spool,
        now=services.now,
        entropy=services.entropy,
    )


def _try_out(ready: _Ready, now: datetime, call: Call) -> None:
    """Refuse a campaign that nobody of the first recipients could get.

    Raises:
        ApiError: 422 with what keeps the first one from getting it.
    """
    first: tuple[FieldError, ...] = ()
    for turn in ready.sample:
        made = ready.letter.to(turn, now)
        if isinstance(made, Submission):
            discard([made], call.services.database.spool)
            return
        first = first or made
    if first:
        raise ApiError(invalid(first))


async def send_test(call: Call) -> Response:
    """POST /v1/campaigns/{id}/test: mail for those who want to see it first."""
    body = await call.request.body()
    now = call.services.now()
    with once(call, body) as request:
        to, given = read_test(read_json(body))
        ready = await _ready(call, None, "tested")
        variables = _variables(ready, given)
        made = await asyncio.to_thread(_compose_tests, ready, to, variables, now)

        def act(connection: Connection) -> Written | Problem:
            refusal = _sender_problem(connection, call, ready.campaign)
            if refusal is not None:
                return refusal
            answers = [accept(connection, one, policy=policy_of(call), now=now) for one in made]
            for one in answers:
                if isinstance(one, InsufficientCredits):
                    raise ApiError(credit_problem(one))  # which undoes the others
            accepted = [one.public_id for one in answers if isinstance(one, AcceptedEmail)]
            emails = [
                {"id": public_id, "to": str(mailbox.address)}
                for public_id, mailbox in zip(accepted, to, strict=True)
            ]
            shown_as = {"object": "campaign_test", "id": ready.campaign.id, "emails": emails}
            return Written(shown_as, frozenset(accepted))

        spool = call.services.database.spool
        try:
            outcome = await request.run(act)
        except ApiError:  # all of it was undone
            await asyncio.to_thread(discard, made, spool)
            raise
    if outcome.written is None:
        await asyncio.to_thread(discard, made, spool)
    call.services.kick()
    return outcome.response()


def _variables(ready: _Ready, given: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return what is known of the first recipient, with what is given before it."""
    known = ready.letter.variables(ready.sample[0]) if ready.sample else {}
    return {**known, **given}


def _compose_tests(
    ready: _Ready, to: Sequence[Mailbox], variables: Mapping[str, JsonValue], now: datetime
) -> list[Submission]:
    made: list[Submission] = []
    for mailbox in to:
        found = ready.letter.test(mailbox, variables, now)
        if not isinstance(found, Submission):
            raise ApiError(invalid(found))
        made.append(found)
    return made


# Pausing, resuming, canceling.


@frozen
class _Move:
    """What a request does.

    Attributes:
        action: what is asked.
        done: the word for it in messages.
        todo: what becomes of emails that are queued.
        move: changes the status.
    """

    action: Action
    done: str
    todo: Todo
    move: Callable[[Connection, CampaignRecord, Call], CampaignRecord | Problem]


def _handler(wanted: _Move, doc: str) -> Handler:
    async def handle(call: Call) -> Response:
        body = await call.request.body()
        with once(call, body) as request:

            def act(connection: Connection) -> Written | Problem:
                found = find(connection, call)
                if found is None:
                    return NOT_FOUND
                if not is_allowed(wanted.action, found.status):
                    return wrong_state(found, wanted.done)
                moved = wanted.move(connection, found, call)
                return moved if isinstance(moved, Problem) else Written(shown(connection, moved))

            outcome = await request.run(act)
        if outcome.written is not None:
            await _follow(call, wanted.todo)
        return outcome.response()

    handle.__doc__ = doc
    return handle


async def _follow(call: Call, todo: Todo) -> None:
    """Do to the queue what was done to the campaign, and wake who has to know."""
    database = call.services.database
    found = await database.read(lambda db: find(db, call))
    if found is not None:
        await work_off(database, found.row, todo, call.services.now)
    call.services.kick()
    call.services.wake_campaigns()


def _pause(connection: Connection, campaign: CampaignRecord, call: Call) -> CampaignRecord:
    return campaign_moves.pause(connection, campaign, "requested", now=call.services.now())


def _resume(
    connection: Connection, campaign: CampaignRecord, call: Call
) -> CampaignRecord | Problem:
    now = call.services.now()
    refusal = _sender_problem(connection, call, campaign)
    if refusal is not None:
        return refusal
    made_of = campaign_letter.material(connection, campaign)
    if isinstance(made_of, FieldError):
        return invalid([made_of])
    if campaign.started_at is not None:
        return campaign_moves.resume(connection, campaign, now=now)
    return campaign_moves.schedule(connection, campaign, now=now)


def _cancel(connection: Connection, campaign: CampaignRecord, call: Call) -> CampaignRecord:
    return campaign_moves.cancel(connection, campaign, now=call.services.now())


_ONE = "/v1/campaigns/{id}"
_SEND = "campaigns:send"
_MOVES: Mapping[str, tuple[_Move, str]] = {
    "pause": (_Move(Action.PAUSE, "paused", Todo.HOLD, _pause), "Let nothing more of it go out"),
    "resume": (_Move(Action.RESUME, "resumed", Todo.RELEASE, _resume), "Go on where it paused"),
    "cancel": (_Move(Action.CANCEL, "canceled", Todo.CANCEL, _cancel), "End it for good"),
}

ROUTES: tuple[Route, ...] = (
    Route("POST", f"{_ONE}/send", send_campaign, _SEND, "Send a campaign, now or at its time"),
    Route("POST", f"{_ONE}/launch", send_campaign, _SEND, "The same by another name"),
    Route("POST", f"{_ONE}/run", send_campaign, _SEND, "The same by a third name"),
    *(
        Route("POST", f"{_ONE}/{name}", _handler(move, doc), _SEND, doc)
        for name, (move, doc) in _MOVES.items()
    ),
    Route("POST", f"{_ONE}/test", send_test, _SEND, "Send it to those who look at it first"),
)
