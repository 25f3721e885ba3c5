"""Campaigns as they are kept: what they say, to whom, where they stand.

Not here: changes of status (campaign_moves.py), whose turn it is (campaign_turns.py), figures
(campaign_counts.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.campaign import EVERYBODY, CampaignStatus, Content, Segment
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.tracking import Tracking
from storage import events
from storage.database import Connection
from storage.readable import readable
from storage.sql import insert


@frozen
class Recipient:
    """Somebody whom a campaign without an audience goes to.

    Attributes:
        key: what addresses are compared by.
        email, name: "" where no name is known.
        variables: for this one only.
    """

    key: str
    email: str
    name: str
    variables: Mapping[str, JsonValue]


@frozen
class Plan:
    """What can be changed of a campaign.

    Attributes:
        name: for people.
        content: what it says.
        audience_row, audience_id: whose members get it; None and "": the recipients given.
        segment: which of them.
        send_at: when it is to start (aware, UTC); None: when it is sent.
        once_key: nobody gets two mails with the same key; "" for none.
    """

    name: str
    content: Content
    audience_row: int | None = None
    audience_id: str = ""
    segment: Segment = EVERYBODY
    send_at: datetime | None = None
    once_key: str = ""


@frozen
class CampaignRecord:
    """One campaign.

    Attributes:
        row: its row number.
        id: "cmp_...".
        tenant_id: whose it is.
        plan: what it says to whom.
        status: where it stands; pause_reason is "" unless that is paused.
        is_test: it goes to the sandbox.
        is_unbraked: it was resumed in spite of its rates and pauses no more by itself.
        template_version: the one it is made of since it started; None: none.
        total: recipients; None: not counted yet.
        place: whoever is behind it has not had a turn, up to last_place.
        is_expanded: everybody has had a turn.
        accepted, skipped: turns with an email, and without.
        created_at, updated_at: aware, UTC.
        started_at, completed_at: aware, UTC; None: not yet.
    """

    row: int
    id: str
    tenant_id: int
    plan: Plan
    status: CampaignStatus
    pause_reason: str
    is_test: bool
    is_unbraked: bool
    template_version: int | None
    total: int | None
    place: int
    last_place: int
    is_expanded: bool
    accepted: int
    skipped: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


def create(
    connection: Connection,
    tenant_id: int,
    plan: Plan,
    recipients: Sequence[Recipient] = (),
    *,
    is_test: bool,
    now: datetime,
) -> CampaignRecord:
    """Make a draft; of recipients with one address the first counts."""
    distinct: dict[str, Recipient] = {}
    for one in recipients:
        distinct.setdefault(one.key, one)
    now_ms = ids.milliseconds(now)
    total = len(distinct) if plan.audience_row is None else None
    row = connection.execute(
        "INSERT INTO campaigns (tenant_id, name, status, audience_id, audience, segment, content,"
        " once_key, is_test, send_at, pause_reason, is_unbraked, todo, total, place, last_place,"
        " is_expanded, accepted, skipped, created_at, updated_at) VALUES"
        " (?, ?, 'draft', ?, ?, ?, ?, ?, ?, ?, '', 0, '', ?, 0, 0, 0, 0, 0, ?, ?) RETURNING id",
        (tenant_id, *_columns(plan, is_test=is_test), total, now_ms, now_ms),
    ).fetchone()[0]
    _keep_recipients(connection, row, list(distinct.values()))
    return renewed(connection, row)


def _columns(plan: Plan, *, is_test: bool) -> tuple[object, ...]:
    return (
        plan.name,
        plan.audience_row,
        plan.audience_id,
        json_text.encode(asdict(plan.segment)).decode(),
        json_text.encode(asdict(plan.content)).decode(),
        plan.once_key,
        is_test,
        None if plan.send_at is None else ids.milliseconds(plan.send_at),
    )


def _keep_recipients(connection: Connection, row: int, recipients: Sequence[Recipient]) -> None:
    columns = ("campaign_id", "number", "key", "email", "name", "variables")
    rows = [
        (row, number, one.key, one.email, one.name, events.json_data(one.variables))
        for number, one in enumerate(recipients, 1)
    ]
    if rows:
        insert(connection, "campaign_recipients", columns, rows)


_SELECT = """
SELECT id, tenant_id, name, status, audience_id, audience, segment, content, template_version,
    once_key, is_test, send_at, pause_reason, is_unbraked, total, place, last_place, is_expanded,
    accepted, skipped, created_at, updated_at, started_at, completed_at
FROM campaigns
"""


def get(connection: Connection, tenant_id: int, campaign_id: str) -> CampaignRecord | None:
    """Return the campaign with this "cmp_..." id; None when the tenant has none."""
    number = ids.number_of(campaign_id, "cmp")
    if number is None:
        return None
    row = connection.execute(
        f"{_SELECT} WHERE tenant_id = ? AND id = ?", (tenant_id, number)
    ).fetchone()
    return _record(row) if row else None


def by_row(connection: Connection, number: int) -> CampaignRecord | None:
    """Return the campaign with this row number; None when it is gone."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone()
    return _record(row) if row else None


def renewed(connection: Connection, number: int) -> CampaignRecord:
    """Return a campaign that is there as it is now."""
    return _record(connection.execute(f"{_SELECT} WHERE id = ?", (number,)).fetchone())


def list_(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    status: CampaignStatus | None = None,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[CampaignRecord]:
    """Return campaigns, newest first; the cursors as of contacts.list_, `skip` left out."""
    where = "tenant_id = ?" if status is None else "tenant_id = ? AND status = ?"
    values = (tenant_id,) if status is None else (tenant_id, status.value)
    cursor = ids.number_of(after or before, "cmp")
    if before and not after:
        number = 2**63 - 1 if cursor is None else cursor
        sql = f"{_SELECT} WHERE {where} AND id > ? ORDER BY id LIMIT ?"
        return [_record(row) for row in connection.execute(sql, (*values, number, limit))][::-1]
    number = (0 if after else 2**63 - 1) if cursor is None else cursor
    sql = f"{_SELECT} WHERE {where} AND id < ? ORDER BY id DESC LIMIT ? OFFSET ?"
    return [_record(row) for row in connection.execute(sql, (*values, number, limit, skip))]


def count(connection: Connection, tenant_id: int, status: CampaignStatus | None = None) -> int:
    """Return how many campaigns a tenant has, all or those that stand there."""
    return int(
        connection.execute(
            "SELECT COUNT(*) FROM campaigns WHERE tenant_id = ?1 AND (?2 IS NULL OR status = ?2)",
            (tenant_id, None if status is None else status.value),
        ).fetchone()[0]
    )


def at_work(connection: Connection) -> list[CampaignRecord]:
    """Return all that are scheduled or sending, oldest first, but for damaged ones."""
    return [
        one
        for status in (CampaignStatus.SCHEDULED, CampaignStatus.SENDING)
        for one in readable(
            "campaign",
            connection.execute(
                f"{_SELECT} WHERE status IN ('scheduled', 'sending') AND status = ? ORDER BY id",
                (status.value,),
            ),
            _record,
        )
    ]


def is_sent_to(connection: Connection, audience_row: int) -> bool:
    """Tell whether a campaign that is scheduled or sending goes to an audience."""
    row = connection.execute(
        "SELECT 1 FROM campaigns WHERE status IN ('scheduled', 'sending') AND audience_id = ?",
        (audience_row,),
    ).fetchone()
    return row is not None


def change(
    connection: Connection,
    campaign: CampaignRecord,
    plan: Plan,
    recipients: Sequence[Recipient] | None = None,
    *,
    now: datetime,
) -> CampaignRecord:
    """Change what a campaign says to whom; None leaves the recipients as they are."""
    total, version = campaign.total, campaign.template_version
    is_same = plan.content.template_id == campaign.plan.content.template_id
    if recipients is not None:
        connection.execute("DELETE FROM campaign_recipients WHERE campaign_id = ?", (campaign.row,))
        distinct = list({one.key: one for one in reversed(recipients)}.values())[::-1]
        _keep_recipients(connection, campaign.row, distinct)
        total = len(distinct)
    elif plan.audience_row is not None and campaign.started_at is None:
        total = None
    connection.execute(
        "UPDATE campaigns SET name = ?, audience_id = ?, audience = ?, segment = ?, content = ?,"
        " once_key = ?, is_test = ?, send_at = ?, template_version = ?, total = ?, updated_at = ?"
        " WHERE id = ?",
        (
            *_columns(plan, is_test=campaign.is_test),
            *(version if is_same else None, total, ids.milliseconds(now), campaign.row),
        ),
    )
    return renewed(connection, campaign.row)


def make_test(connection: Connection, campaign: CampaignRecord) -> None:
    """Let a campaign go to the sandbox."""
    connection.execute("UPDATE campaigns SET is_test = 1 WHERE id = ?", (campaign.row,))


_PARTS = (
    *("campaign_recipients", "campaign_skips", "campaign_counts", "campaign_links"),
    "campaign_log",
)


def delete(connection: Connection, campaign: CampaignRecord) -> None:
    """Delete a campaign with its figures; its emails stay."""
    for table in _PARTS:
        connection.execute(f"DELETE FROM {table} WHERE campaign_id = ?", (campaign.row,))
    connection.execute("DELETE FROM campaigns WHERE id = ?", (campaign.row,))


def _record(row: tuple[Any, ...]) -> CampaignRecord:
    number, tenant_id, name, status, audience_row, audience_id, segment, content = row[:8]
    version, once_key, is_test, send_at, reason, is_unbraked, total, place = row[8:16]
    last_place, is_expanded, accepted, skipped, created_at, updated_at = row[16:22]
    started_at, completed_at = row[22:]
    plan = Plan(
        name,
        _content(content),
        audience_row,
        audience_id,
        Segment(**cast("dict[str, Any]", json_text.decode(segment))),
        _moment(send_at),
        once_key,
    )
    return CampaignRecord(
        row=number,
        id=ids.numbered_id("cmp", created_at, number),
        tenant_id=tenant_id,
        plan=plan,
        status=CampaignStatus(status),
        pause_reason=reason,
        is_test=bool(is_test),
        is_unbraked=bool(is_unbraked),
        template_version=version,
        total=total,
        place=place,
        last_place=last_place,
        is_expanded=bool(is_expanded),
        accepted=accepted,
        skipped=skipped,
        created_at=ids.moment(created_at),
        updated_at=ids.moment(updated_at),
        started_at=_moment(started_at),
        completed_at=_moment(completed_at),
    )


def _content(text: str) -> Content:
    kept = cast("dict[str, Any]", json_text.decode(text))
    for name in ("reply_to", "tags"):
        kept[name] = tuple((first, second) for first, second in kept[name])
    return Content(**{**kept, "tracking": Tracking(**kept["tracking"])})


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else ids.moment(at_ms)
