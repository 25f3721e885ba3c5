"""Campaigns: one mail to many people, made, read, changed and deleted.

Not here: bodies (campaign_payload.py), sending and stopping them (campaign_actions.py), figures and
logs (campaign_figures.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from starlette.responses import Response

from control_api import filters
from control_api.campaign_payload import Wish, merged, plan_json, read_wish
from control_api.campaign_work import work_off
from control_api.contacts import answer
from control_api.emails import domain_error, domain_problem
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page, wants_total
from control_api.routes import Call, Route, json_response, timestamp
from control_api.template_field import unreadable
from mta.core.access import may_send_from
from mta.core.address import parse_address
from mta.core.campaign import Action, CampaignStatus, Counts, Todo, is_allowed
from mta.core.event import JsonValue
from mta.core.mime import Mailbox
from mta.core.template import MAX_SOURCE, Source
from storage import audiences, campaign_counts, campaign_moves, campaigns, stats, templates
from storage.audiences import AudienceRecord
from storage.campaigns import CampaignRecord, Plan
from storage.database import Connection
from storage.submissions import DomainNotAllowed

_STATUSES = tuple(status.value for status in CampaignStatus)


async def create_campaign(call: Call) -> Response:
    """POST /v1/campaigns: a draft."""
    body = await call.request.body()
    now = call.services.now()
    with once(call, body) as request:
        wish = read_wish(read_json(body), now=now)
        await _require_readable(
            call, {"subject": wish.subject, "html": wish.html, "text": wish.text}
        )

        def act(connection: Connection) -> Written | Problem:
            plan = plan_of(connection, call, wish)
            if isinstance(plan, Problem):
                return plan
            made = campaigns.create(
                connection,
                call.tenant_id,
                plan,
                wish.recipients or (),
                is_test=call.key.access.is_test,
                now=now,
            )
            return Written(shown(connection, made))

        return (await request.run(act)).response()


async def _require_readable(call: Call, body: JsonValue) -> None:
    """Refuse a body with something in it that is not Liquid; what else is wrong is told elsewhere.

    Raises:
        ApiError: 422.
    """
    given = body if isinstance(body, dict) else {}
    texts = [given.get(name) for name in ("subject", "html", "text")]
    subject, html, text = (one if isinstance(one, str) else None for one in texts)
    if max(len(one or "") for one in (subject, html, text)) > MAX_SOURCE:
        return
    source = Source(subject or "", html, "" if html is None and text is None else text)
    errors = await asyncio.to_thread(unreadable, call.services.templates, source)
    if errors:
        raise ApiError(invalid(errors))


def plan_of(connection: Connection, call: Call, wish: Wish) -> Plan | Problem:
    """Return what a wish comes to, with what the audience says where it says nothing."""
    audience: AudienceRecord | None = None
    if wish.audience_id:
        audience = audiences.get(connection, call.tenant_id, wish.audience_id)
        if audience is None:
            return invalid([FieldError("audience_id", "not_found", "There is no such audience.")])
    if wish.template and templates.get(connection, call.tenant_id, wish.template.id) is None:
        return invalid([FieldError("template.id", "not_found", "There is no such template.")])
    from_ = wish.from_ or _sender(audience)
    if from_ is None:
        return invalid([FieldError("from", "required", "This field is required.")])
    denial = may_send_from(call.key.access.domains, from_.address.domain)
    if denial is not None:
        return domain_problem([domain_error(DomainNotAllowed(from_.address.domain, denial))])
    content = wish.content(from_, _subject(wish, audience), wish.reply_to or _answers_to(audience))
    return Plan(
        wish.name,
        content,
        None if audience is None else audience.row,
        "" if audience is None else audience.id,
        wish.segment,
        wish.send_at,
        wish.once_key,
    )


def _sender(audience: AudienceRecord | None) -> Mailbox | None:
    if audience is None or not audience.identity.from_email:
        return None
    return Mailbox(audience.identity.from_name, parse_address(audience.identity.from_email))


def _subject(wish: Wish, audience: AudienceRecord | None) -> str:
    is_open = not wish.subject and wish.template is None and audience is not None
    return audience.identity.default_subject if is_open and audience else wish.subject


def _answers_to(audience: AudienceRecord | None) -> tuple[Mailbox, ...]:
    if audience is None or not audience.identity.reply_to:
        return ()
    return (Mailbox("", parse_address(audience.identity.reply_to)),)


async def list_campaigns(call: Call) -> Response:
    """GET /v1/campaigns: newest first."""
    fields = filters.query_fields(call.request)
    page, with_total, status = read_page(fields), wants_total(fields), _status(fields)
    filters.finish(fields)
    await stats.catch_up(call.services.database)

    def look(connection: Connection) -> dict[str, object]:
        found = campaigns.list_(
            connection,
            call.tenant_id,
            limit=page.reach_skipped,
            status=status,
            after=page.after,
            before=page.before,
            skip=page.skip,
        )
        listed = page.render(found, lambda one: shown(connection, one), skipped=page.skip)
        if with_total:
            listed["total"] = campaigns.count(connection, call.tenant_id, status)
        return listed

    return json_response(await call.services.database.read(look))


def _status(fields: Fields) -> CampaignStatus | None:
    word = fields.text("status", 20)
    if word and word not in _STATUSES:
        fields.fail("status", "invalid_value", f"Expected one of {', '.join(_STATUSES)}.")
        return None
    return CampaignStatus(word) if word else None


def find(connection: Connection, call: Call) -> CampaignRecord | None:
    """Return the campaign that the path names."""
    return campaigns.get(connection, call.tenant_id, call.request.path_params["id"])


async def get_campaign(call: Call) -> Response:
    """GET /v1/campaigns/{id}."""
    await stats.catch_up(call.services.database)

    def look(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        return NOT_FOUND if found is None else shown(connection, found)

    return answer(await call.services.database.read(look))


async def change_campaign(call: Call) -> Response:
    """PATCH /v1/campaigns/{id}: what is given changes, for those who have not had a turn."""
    body, now = read_json(await call.request.body()), call.services.now()
    await _require_readable(call, body)

    def act(connection: Connection) -> dict[str, object] | Problem:
        found = find(connection, call)
        if found is None:
            return NOT_FOUND
        if not is_allowed(Action.EDIT, found.status):
            return wrong_state(found, "changed")
        wish = read_wish(
            merged(found, body),
            now=now,
            has_recipients=_has_recipients(found),
            is_draft=found.status is CampaignStatus.DRAFT,
        )
        plan = plan_of(connection, call, wish)
        if isinstance(plan, Problem):
            return plan
        if found.started_at is not None and _is_addressed_anew(found, plan, wish):
            message = "Whom it goes to, and when, cannot change once it has started."
            return Problem(409, "invalid_state", message)
        return shown(
            connection, campaigns.change(connection, found, plan, wish.recipients, now=now)
        )

    changed = await call.services.database.write(act)
    call.services.wake_campaigns()
    return answer(changed)


def _has_recipients(campaign: CampaignRecord) -> bool:
    return campaign.plan.audience_row is None


def _is_addressed_anew(campaign: CampaignRecord, plan: Plan, wish: Wish) -> bool:
    old = campaign.plan
    is_same = (plan.audience_row, plan.segment) == (old.audience_row, old.segment)
    is_later = wish.send_at not in (None, old.send_at)
    return wish.recipients is not None or is_later or not is_same


def wrong_state(campaign: CampaignRecord, done: str) -> Problem:
    """Return the 409 for a campaign that cannot be `done`, such as "paused", where it stands."""
    message = f"A campaign that is {campaign.status.value} cannot be {done}."
    return Problem(409, "invalid_state", message)


async def delete_campaign(call: Call) -> Response:
    """DELETE /v1/campaigns/{id}: with its figures; what is held of it is canceled."""
    database, now = call.services.database, call.services.now()

    def act(connection: Connection) -> CampaignRecord | Problem | None:
        found = find(connection, call)
        if found is None:
            return None
        if not is_allowed(Action.DELETE, found.status):
            return replace(wrong_state(found, "deleted"), code="conflict")
        if found.status is CampaignStatus.PAUSED:
            campaign_moves.cancel(connection, found, now=now)
        return found

    found = await database.write(act)
    if isinstance(found, Problem):
        raise ApiError(found)
    if found is not None:
        await work_off(database, found.row, Todo.CANCEL, call.services.now)
        await database.write(lambda db: campaigns.delete(db, found))
        call.services.kick()
    return json_response(
        {"object": "campaign", "id": call.request.path_params["id"], "deleted": True}
    )


def shown(connection: Connection, campaign: CampaignRecord) -> dict[str, object]:
    """Return a campaign as it is shown, with its figures as far as they are counted."""
    counts, _ = campaign_counts.counts(connection, campaign)
    return {
        "object": "campaign",
        "id": campaign.id,
        **plan_json(campaign.plan),
        "status": campaign.status.value,
        "channel": "email",
        "total_recipients": campaign.total,
        "pause_reason": campaign.pause_reason or None,
        "test": campaign.is_test,
        "created_at": timestamp(campaign.created_at),
        "updated_at": timestamp(campaign.updated_at),
        "started_at": timestamp(campaign.started_at) if campaign.started_at else None,
        "completed_at": timestamp(campaign.completed_at) if campaign.completed_at else None,
        "counts": counts_json(counts),
    }


def counts_json(counts: Counts) -> dict[str, int]:
    """Return the figures of a campaign as they are shown."""
    return asdict(counts)


_READ, _WRITE = "campaigns:read", "campaigns:write"
_ALL, _ONE = "/v1/campaigns", "/v1/campaigns/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", _ALL, create_campaign, _WRITE, "Make a campaign"),
    Route("GET", _ALL, list_campaigns, _READ, "List campaigns"),
    Route("GET", _ONE, get_campaign, _READ, "Look at a campaign"),
    Route("PATCH", _ONE, change_campaign, _WRITE, "Change a campaign"),
    Route("DELETE", _ONE, delete_campaign, _WRITE, "Delete a campaign"),
)
