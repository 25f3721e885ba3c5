"""Campaigns change their status: each change in one transaction with the event that tells of it.

Not here: whether it is allowed (core/campaign.py), and what becomes of emails that are queued
(campaign_queue.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mta.core import ids
from mta.core.campaign import BRAKED, CampaignStatus, Segment, Todo
from mta.core.contact import Status
from mta.core.event import EventKind, JsonValue
from storage import events, memberships
from storage.campaigns import CampaignRecord, renewed
from storage.credits import InsufficientCredits, Purse, release_campaign, reserve_campaign
from storage.database import Connection
from storage.memberships import MemberFilter


def schedule(connection: Connection, campaign: CampaignRecord, *, now: datetime) -> CampaignRecord:
    """Let a campaign wait for its time."""
    return _move(connection, campaign, CampaignStatus.SCHEDULED, now)


def start(
    connection: Connection, campaign: CampaignRecord, template_version: int | None, *, now: datetime
) -> CampaignRecord:
    """Begin to send: from now on its recipients have their turn, as many as there are now.

    This is the one place where a campaign starts, whether it was sent or its time has come.

    Args:
        connection: of a write.
        campaign: a draft, or one that was scheduled.
        template_version: the one to make it of; None without a template.
        now: aware, UTC.
    """
    total, last_place = _size(connection, campaign)
    now_ms = ids.milliseconds(now)
    connection.execute(
        "UPDATE campaigns SET status = 'sending', pause_reason = '', total = ?, last_place = ?,"
        " template_version = ?, started_at = ?, updated_at = ? WHERE id = ?",
        (total, last_place, template_version, now_ms, now_ms, campaign.row),
    )
    _tell(connection, campaign, EventKind.CAMPAIGN_STARTED, {"recipients": total}, now)
    return renewed(connection, campaign.row)


def reserve(
    connection: Connection, campaign: CampaignRecord, *, now: datetime
) -> InsufficientCredits | None:
    """Reserve credits for all that a campaign is going to send; or return what is missing.

    For a campaign that is about to start, where mail takes credits; that of tests takes none. They
    are given back when it ends.
    """
    if campaign.is_test:
        return None
    purse = Purse(campaign.row, campaign.tenant_id, campaign.id, campaign.plan.name)
    return reserve_campaign(connection, purse, size(connection, campaign), now=now)


def _size(connection: Connection, campaign: CampaignRecord) -> tuple[int, int]:
    """Return how many get it as things are, and the place of the last one."""
    plan = campaign.plan
    if plan.audience_row is None:
        return campaign.total or 0, campaign.total or 0
    total = memberships.total(connection, plan.audience_row, wanted(plan.segment))
    [(last,)] = connection.execute(
        "SELECT COALESCE(MAX(id), 0) FROM memberships WHERE audience_id = ?", (plan.audience_row,)
    ).fetchall()
    return total, last


def size(connection: Connection, campaign: CampaignRecord) -> int:
    """Return how many people a campaign would go to as things are."""
    return _size(connection, campaign)[0]


def wanted(segment: Segment) -> MemberFilter:
    """Return the filter for the members who get it."""
    return MemberFilter(Status.SUBSCRIBED, segment.tag, segment.has_opened, segment.has_clicked)


def pause(
    connection: Connection, campaign: CampaignRecord, reason: str, *, now: datetime
) -> CampaignRecord:
    """Let nobody have a turn; what is queued is to be held (campaign_queue.py).

    Args:
        connection: of a write.
        campaign: scheduled or sending.
        reason: a word, such as "requested" or "bounce_rate".
        now: aware, UTC.
    """
    _want(connection, campaign, Todo.HOLD)
    moved = _move(connection, campaign, CampaignStatus.PAUSED, now, reason=reason)
    _tell(connection, campaign, EventKind.CAMPAIGN_PAUSED, {"reason": reason}, now)
    return moved


def resume(connection: Connection, campaign: CampaignRecord, *, now: datetime) -> CampaignRecord:
    """Go on sending a campaign that has started; what is held is to be released.

    After an automatic pause it does not pause itself again: whoever resumed it knows its rates.
    """
    _want(connection, campaign, Todo.RELEASE)
    if campaign.pause_reason in BRAKED:
        connection.execute("UPDATE campaigns SET is_unbraked = 1 WHERE id = ?", (campaign.row,))
    return _move(connection, campaign, CampaignStatus.SENDING, now)


def cancel(connection: Connection, campaign: CampaignRecord, *, now: datetime) -> CampaignRecord:
    """Let nobody have a turn any more; what is queued is to be canceled."""
    _want(connection, campaign, Todo.CANCEL)
    return _move(connection, campaign, CampaignStatus.CANCELED, now)


def _want(connection: Connection, campaign: CampaignRecord, todo: Todo) -> None:
    connection.execute("UPDATE campaigns SET todo = ? WHERE id = ?", (todo.value, campaign.row))


def complete(connection: Connection, campaign: CampaignRecord, *, now: datetime) -> CampaignRecord:
    """Note that everything was tried; by now it is known how many recipients there were."""
    connection.execute(
        "UPDATE campaigns SET total = accepted + skipped WHERE id = ?", (campaign.row,)
    )
    moved = _move(connection, campaign, CampaignStatus.COMPLETED, now)
    _tell(connection, campaign, EventKind.CAMPAIGN_COMPLETED, {"recipients": moved.total}, now)
    return moved


_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELED)


def _move(
    connection: Connection,
    campaign: CampaignRecord,
    status: CampaignStatus,
    now: datetime,
    *,
    reason: str = "",
) -> CampaignRecord:
    now_ms = ids.milliseconds(now)
    connection.execute(
        "UPDATE campaigns SET status = ?, pause_reason = ?, updated_at = ?, completed_at = ?"
        " WHERE id = ?",
        (status.value, reason, now_ms, now_ms if status in _ENDED else None, campaign.row),
    )
    if status in _ENDED:
        release_campaign(connection, campaign.row, now=now)
    return renewed(connection, campaign.row)


def _tell(
    connection: Connection,
    campaign: CampaignRecord,
    kind: EventKind,
    details: Mapping[str, JsonValue],
    now: datetime,
) -> None:
    data: dict[str, JsonValue] = {
        "campaign": {"id": campaign.id, "name": campaign.plan.name},
        **details,
    }
    none, now_ms = events.NO_ROW, ids.milliseconds(now)
    row = (none, none, campaign.tenant_id, kind.value, now_ms, events.json_data(data))
    events.append(connection, [row])
