"""Turns: whoever is next in a campaign gets an email or is skipped, and never has another turn.

The place up to which turns were taken moves in the transaction that accepts their emails, so a
crash leaves both done or neither. Not here: composing (control_api/campaign_expansion.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from mta.core import ids, json_text
from mta.core.campaign import CampaignStatus
from mta.core.contact import Status
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.submission import Submission
from storage import campaigns, memberships
from storage.campaigns import CampaignRecord, Recipient
from storage.credits import InsufficientCredits, shortage
from storage.database import Connection
from storage.memberships import MemberFilter, MemberRecord
from storage.sql import chunks, insert, marks
from storage.submissions import AcceptPolicy, DomainNotAllowed, Wish, accept_all


@frozen
class Turn:
    """Somebody whose turn it is, at a place of the campaign."""

    place: int
    person: MemberRecord | Recipient


@frozen
class Turns:
    """Whose turn it is now.

    Attributes:
        turns: in order, perhaps none.
        place: up to where these reach.
        is_last: nobody comes after them.
    """

    turns: tuple[Turn, ...]
    place: int
    is_last: bool


@frozen
class Made:
    """An email for somebody whose turn it is; key is what addresses are compared by."""

    place: int
    key: str
    submission: Submission


@frozen
class Skip:
    """A turn without an email: a word for why, and a sentence or ""."""

    place: int
    email: str
    reason: str
    detail: str = ""


@frozen
class Taken:
    """What taking turns came to.

    Attributes:
        accepted: ids of the emails in the queue.
        refusal: why there are none and nothing was written; None: they were accepted.
    """

    accepted: frozenset[str]
    refusal: DomainNotAllowed | InsufficientCredits | None = None


def next_turns(connection: Connection, campaign: CampaignRecord, *, limit: int) -> Turns:
    """Return whose turn it is, at most `limit` of those who were there when it started."""
    audience_row = campaign.plan.audience_row
    if audience_row is None:
        found = [Turn(*one) for one in _given(connection, campaign, limit)]
    else:
        segment = campaign.plan.segment
        filters = MemberFilter(None, segment.tag, segment.has_opened, segment.has_clicked)
        members = memberships.members_after(
            connection, audience_row, campaign.place, limit, filters
        )
        found = [Turn(one.row, one) for one in members]
    turns = tuple(turn for turn in found if turn.place <= campaign.last_place)
    is_last = len(turns) < limit
    return Turns(turns, turns[-1].place if turns else campaign.place, is_last)


def first_members(connection: Connection, campaign: CampaignRecord, *, limit: int) -> list[Turn]:
    """Return some of those who would get a campaign that has not started."""
    if campaign.plan.audience_row is None:
        return [Turn(*one) for one in _given(connection, campaign, limit)]
    segment = campaign.plan.segment
    filters = MemberFilter(Status.SUBSCRIBED, segment.tag, segment.has_opened, segment.has_clicked)
    members = memberships.members_after(connection, campaign.plan.audience_row, 0, limit, filters)
    return [Turn(one.row, one) for one in members]


def _given(
    connection: Connection, campaign: CampaignRecord, limit: int
) -> list[tuple[int, Recipient]]:
    rows = connection.execute(
        "SELECT number, key, email, name, variables FROM campaign_recipients"
        " WHERE campaign_id = ? AND number > ? ORDER BY number LIMIT ?",
        (campaign.row, campaign.place, limit),
    )
    return [
        (number, Recipient(key, email, name, _object(variables)))
        for number, key, email, name, variables in rows
    ]


def _object(text: str) -> Mapping[str, JsonValue]:
    return cast("dict[str, JsonValue]", json_text.decode(text))


def take(  # noqa: PLR0913 - what a step is made of
    connection: Connection,
    campaign: CampaignRecord,
    turns: Turns,
    made: Sequence[Made],
    skips: Sequence[Skip],
    *,
    policy: AcceptPolicy,
    now: datetime,
) -> Taken | None:
    """Accept the emails of those whose turn it is, and move on.

    Args:
        connection: of a write.
        campaign: as it was when the turns were read.
        turns: whose they are.
        made: emails, with every turn either here or among the skips, or of no account.
        skips: turns without an email.
        policy: what must hold for mail.
        now: aware, UTC.

    Returns:
        None, and nothing was written, when the campaign has changed since it was read.
    """
    current = campaigns.by_row(connection, campaign.row)
    if current is None or current.status is not CampaignStatus.SENDING:
        return None
    if (current.place, current.updated_at) != (campaign.place, campaign.updated_at):
        return None
    made, left = _still_members(connection, campaign, made)
    skips = [*skips, *left]
    had = _had_before(connection, campaign, made)
    wishes = [Wish(one.submission, policy) for one in made if one.key not in had]
    if policy.takes_credits and not campaign.is_test:
        lacking = shortage(connection, campaign.tenant_id, campaign.row, len(wishes))
        if lacking is not None:
            return Taken(frozenset(), lacking)
    answers = accept_all(connection, wishes, now=now) if wishes else []
    refusal = next((one for one in answers if isinstance(one, DomainNotAllowed)), None)
    if refusal is not None:
        return Taken(frozenset(), refusal)
    _note_keys(connection, campaign, made, had)
    repeated = [Skip(one.place, _address(one), "sent_before") for one in made if one.key in had]
    _note_skips(connection, campaign.row, [*skips, *repeated], now)
    connection.execute(
        "UPDATE campaigns SET place = ?, is_expanded = ?, accepted = accepted + ?,"
        " skipped = skipped + ? WHERE id = ?",
        (turns.place, turns.is_last, len(wishes), len(skips) + len(repeated), campaign.row),
    )
    return Taken(frozenset(wish.submission.public_id for wish in wishes))


def _still_members(
    connection: Connection, campaign: CampaignRecord, made: Sequence[Made]
) -> tuple[list[Made], list[Skip]]:
    """Return the emails without those of members who left while they were composed, and the turns
    of those who are still known; what leaves later finds its mail in the queue.
    """
    if campaign.plan.audience_row is None:
        return list(made), []
    status = memberships.statuses(connection, [one.place for one in made])
    stay = [one for one in made if status.get(one.place) is Status.SUBSCRIBED]
    left = [
        Skip(one.place, _address(one), status[one.place].value)
        for one in made
        if status.get(one.place, Status.SUBSCRIBED) is not Status.SUBSCRIBED
    ]
    return stay, left


def _address(made: Made) -> str:
    return str(made.submission.envelope.recipients[0].address)


def _had_before(
    connection: Connection, campaign: CampaignRecord, made: Sequence[Made]
) -> frozenset[str]:
    """Return the keys of those who got a mail with the campaign's send_once_key."""
    once_key = campaign.plan.once_key
    if not once_key:
        return frozenset()
    had: set[str] = set()
    keys = [one.key for one in made]
    for some in chunks(keys):
        rows = connection.execute(
            "SELECT key FROM campaign_keys WHERE tenant_id = ? AND once_key = ?"
            f" AND key IN ({marks(some)})",
            (campaign.tenant_id, once_key, *some),
        )
        had.update(key for (key,) in rows)
    return frozenset(had)


def _note_keys(
    connection: Connection, campaign: CampaignRecord, made: Sequence[Made], had: frozenset[str]
) -> None:
    once_key = campaign.plan.once_key
    new = [(campaign.tenant_id, once_key, one.key) for one in made if one.key not in had]
    if once_key and new:
        insert(connection, "campaign_keys", ("tenant_id", "once_key", "key"), new)


def _note_skips(connection: Connection, row: int, skips: Sequence[Skip], now: datetime) -> None:
    if not skips:
        return
    at = ids.milliseconds(now)
    columns = ("campaign_id", "place", "email", "reason", "detail", "at")
    insert(
        connection,
        "campaign_skips",
        columns,
        [(row, one.place, one.email, one.reason, one.detail, at) for one in skips],
    )
