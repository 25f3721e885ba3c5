"""The recipients of a campaign: those with an email and how it fares, and those who were skipped.

Not here: whose turn it is (campaign_turns.py).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from storage import messages
from storage.campaigns import CampaignRecord
from storage.database import Connection
from storage.entries import EntryState


@frozen
class RecipientRecord:
    """Somebody who has had a turn.

    Attributes:
        id: cursor for pages: that of the email, or "skp_..." of a turn without one.
        email: the address.
        email_id: "em_..."; "" without an email.
        status: of the email, "skipped" without one; what a report says later counts.
        reason: why there is no email, or none was tried; "" otherwise.
        detail: a sentence about that, or "".
        at: when the turn was (aware, UTC).
        opens, clicks: by the person.
        opened_at, clicked_at: the first times (aware, UTC); None: never.
    """

    id: str
    email: str
    email_id: str
    status: str
    reason: str
    detail: str
    at: datetime
    opens: int = 0
    clicks: int = 0
    opened_at: datetime | None = None
    clicked_at: datetime | None = None


_EMAILS = """
SELECT m.public_id, m.created_at, e.recipient, e.state, e.reported, m.status, e.reply, g.opens,
    g.clicks, g.first_opened_at, g.first_clicked_at
FROM messages m INDEXED BY messages_by_campaign
CROSS JOIN entries e ON e.message_id = m.id
LEFT JOIN engagement g ON g.entry_id = e.id
WHERE m.tenant_id = ? AND m.campaign = ? AND (m.created_at, m.id) {} (?, ?)
ORDER BY m.created_at {}, m.id {} LIMIT ? OFFSET ?
"""


def with_email(
    connection: Connection,
    campaign: CampaignRecord,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[RecipientRecord]:
    """Return those with an email that is still kept, the last ones first.

    Args:
        connection: any.
        campaign: which.
        limit: at most so many.
        after: go on after the one whose email has this "em_..." id; an unknown one gives none.
        before: instead, those just before this one.
        skip: leave out so many at the start.
    """
    start = _start(connection, campaign, after or before)
    if start is None:
        return []
    is_back = bool(before and not after)
    sign, order = (">", "ASC") if is_back else ("<", "DESC")
    rows = connection.execute(
        _EMAILS.format(sign, order, order),
        (campaign.tenant_id, campaign.row, *start, limit, skip),
    )
    found = [_with_email(row) for row in rows]
    return found[::-1] if is_back else found


def _start(connection: Connection, campaign: CampaignRecord, cursor: str) -> tuple[int, int] | None:
    if not cursor:
        return 2**63 - 1, 0
    found = messages.row_of(connection, campaign.tenant_id, cursor)
    if found is None:
        return None
    [(created_at,)] = connection.execute(
        "SELECT created_at FROM messages WHERE id = ?", (found[0],)
    ).fetchall()
    return created_at, found[0]


def _with_email(row: tuple[Any, ...]) -> RecipientRecord:
    public_id, at, email, state, reported, status, reply, opens, clicks, opened, clicked = row
    is_suppressed = EntryState(state) is EntryState.SUPPRESSED
    return RecipientRecord(
        id=public_id,
        email=email,
        email_id=public_id,
        status=next((word for bit, word in _REPORTED if reported & bit), status),
        reason=(reply or "") if is_suppressed else "",
        detail="",
        at=ids.moment(at),
        opens=opens or 0,
        clicks=clicks or 0,
        opened_at=None if opened is None else ids.moment(opened),
        clicked_at=None if clicked is None else ids.moment(clicked),
    )


_REPORTED = ((2, "complained"), (1, "bounced"))
"""Bits of entries.reported."""


def skipped(
    connection: Connection,
    campaign: CampaignRecord,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[RecipientRecord]:
    """Return those who were skipped, the last ones first; arguments as of with_email()."""
    cursor = ids.number_of(after or before, "skp")
    is_back = bool(before and not after)
    if cursor is None:
        cursor = 2**63 - 1 if not (after or is_back) else (0 if after else 2**63 - 1)
    sign, order = (">", "ASC") if is_back else ("<", "DESC")
    rows = connection.execute(
        "SELECT place, email, reason, detail, at FROM campaign_skips"
        f" WHERE campaign_id = ? AND place {sign} ? ORDER BY place {order} LIMIT ? OFFSET ?",
        (campaign.row, cursor, limit, skip),
    )
    found = [
        RecipientRecord(
            ids.numbered_id("skp", at, place), email, "", "skipped", reason, detail, ids.moment(at)
        )
        for place, email, reason, detail, at in rows
    ]
    return found[::-1] if is_back else found


def forget(connection: Connection, tenant_id: int, key: str, email: str) -> None:
    """Delete what campaigns of a tenant know of a person: as recipient, as skipped, as sent to.

    Who has not had a turn in a campaign to given recipients gets none.

    Args:
        connection: of a write.
        tenant_id: whose campaigns.
        key: what addresses are compared by.
        email: the address.
    """
    ours = "campaign_id IN (SELECT id FROM campaigns WHERE tenant_id = ?)"
    connection.execute(
        f"DELETE FROM campaign_recipients WHERE key = ? AND {ours}", (key, tenant_id)
    )
    connection.execute(
        f"DELETE FROM campaign_skips WHERE email IN (?, ?) AND {ours}", (email, key, tenant_id)
    )
    connection.execute(
        "DELETE FROM campaign_keys WHERE tenant_id = ? AND key = ?", (tenant_id, key)
    )
