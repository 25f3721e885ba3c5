"""The ledger of credits: buying and adjusting, listing, and folding what is long over.

Balance and ledger change together, here and in credits.py, so that the amounts always sum up to the
accounts. Not here: what mail takes (credits.py).
"""

from __future__ import annotations

import enum
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage.credits import Account, InsufficientCredits, account
from storage.database import Connection
from storage.sql import given

DAY_MS = 86_400_000
_PREFIX = "txn"


class Movement(enum.Enum):
    """Why credits moved."""

    PURCHASE = "purchase"
    ADJUST = "adjust"
    RESERVE = "reserve"
    CHARGE = "charge"
    REFUND = "refund"


@frozen
class Transaction:
    """One line of the ledger.

    Attributes:
        id: "txn_...".
        type: why.
        amount: credits; negative where there are fewer for new mail, or fewer at all.
        description: for people.
        email_id, campaign_id: what mail it is about, None for none, or for that of a whole day.
        created_at: when the first of these credits moved (aware, UTC).
    """

    id: str
    type: Movement
    amount: int
    description: str
    email_id: str | None
    campaign_id: str | None
    created_at: datetime


def adjust(
    connection: Connection,
    tenant_id: int,
    amount: int,
    *,
    kind: Movement,
    description: str,
    now: datetime,
) -> Transaction | InsufficientCredits:
    """Give a tenant credits, or take some back.

    Args:
        connection: of a write.
        tenant_id: whose account.
        amount: credits; negative to take back, but never what is reserved.
        kind: PURCHASE or ADJUST.
        description: for people.
        now: aware, UTC.
    """
    available = account(connection, tenant_id).available
    if amount < 0 and -amount > available:
        return InsufficientCredits(-amount, available)
    connection.execute(
        "INSERT INTO credit_accounts (tenant_id, balance, reserved) VALUES (?, 0, 0)"
        " ON CONFLICT (tenant_id) DO NOTHING",
        (tenant_id,),
    )
    connection.execute(
        "UPDATE credit_accounts SET balance = balance + ? WHERE tenant_id = ?", (amount, tenant_id)
    )
    row = connection.execute(
        "INSERT INTO credit_transactions (tenant_id, type, amount, description, email_id,"
        " campaign_id, created_at) VALUES (?, ?, ?, ?, '', '', ?) RETURNING id",
        (tenant_id, kind.value, amount, description, ids.milliseconds(now)),
    ).fetchone()
    return _transaction((row[0], kind.value, amount, description, "", "", ids.milliseconds(now)))


_LIST = """
SELECT t.id, t.type, t.amount, COALESCE(r.description, t.description),
    COALESCE(r.email_id, t.email_id), COALESCE(r.campaign_id, t.campaign_id), t.created_at
FROM credit_transactions t LEFT JOIN credit_transactions r ON r.id = t.reserve_id
WHERE t.tenant_id = ? AND t.id {} ? ORDER BY t.id {} LIMIT ? OFFSET ?
"""
_OLDER = _LIST.format("<", "DESC")
_NEWER = _LIST.format(">", "ASC")
_MAX_ROW = 2**63 - 1


def list_(
    connection: Connection,
    tenant_id: int,
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
) -> list[Transaction]:
    """Return transactions of a tenant, newest first.

    Args:
        connection: any.
        tenant_id: whose.
        limit: at most so many.
        after: only those older than the one with this id; "" is the start.
        before: only those just newer than the one with this id; "" for no such wish.
        skip: how many to leave out in front.
    """
    if before:
        row = ids.number_of(before, _PREFIX)
        newer = (tenant_id, _MAX_ROW if row is None else row, limit, skip)
        found = connection.execute(_NEWER, newer).fetchall()[::-1]
    else:
        row = ids.number_of(after, _PREFIX) if after else _MAX_ROW
        older = (tenant_id, 0 if row is None else row, limit, skip)
        found = connection.execute(_OLDER, older).fetchall()
    return [_transaction(one) for one in found]


def count(connection: Connection, tenant_id: int) -> int:
    """Return how many transactions a tenant has."""
    [(number,)] = connection.execute(
        "SELECT COUNT(*) FROM credit_transactions WHERE tenant_id = ?", (tenant_id,)
    ).fetchall()
    return int(number)


_SUMS = """
SELECT COALESCE(SUM(amount) FILTER (WHERE type IN ('purchase', 'adjust', 'charge')), 0),
    COALESCE(SUM(CASE type WHEN 'charge' THEN amount WHEN 'reserve' THEN -amount
        WHEN 'refund' THEN -amount END), 0)
FROM credit_transactions WHERE tenant_id = ?
"""


def summed(connection: Connection, tenant_id: int) -> Account:
    """Return what the ledger says a tenant has, for comparing with the account: reads all of it."""
    return Account(*connection.execute(_SUMS, (tenant_id,)).fetchone())


_OVER = f"""
SELECT r.id, r.tenant_id, r.created_at / {DAY_MS} FROM credit_transactions r
LEFT JOIN credit_transactions c ON c.reserve_id = r.id AND c.type = 'charge'
LEFT JOIN credit_transactions f ON f.reserve_id = r.id AND f.type = 'refund'
WHERE r.email_id <> '' AND r.created_at < ?
    AND r.amount = COALESCE(c.amount, 0) - COALESCE(f.amount, 0)
ORDER BY r.created_at LIMIT ?
"""  # noqa: S608 - put together from constants


def fold(connection: Connection, before: datetime, *, limit: int) -> int:
    """Make one line a day and type of those of emails that are settled; return how many emails.

    Args:
        connection: of a write.
        before: emails accepted before then (aware).
        limit: at most so many emails; what is left of a day makes lines of its own.
    """
    rows = connection.execute(_OVER, (ids.milliseconds(before), limit)).fetchall()
    days: dict[tuple[int, int], list[int]] = {}
    for row, tenant_id, day in rows:
        days.setdefault((tenant_id, day), []).append(row)
    for (_, day), reserves in days.items():
        _fold_day(connection, reserves[0], reserves[1:], f"Mail of {ids.moment(day * DAY_MS):%F}")
    return len(rows)


_MOVE = """
INSERT INTO credit_transactions
    (tenant_id, type, amount, description, reserve_id, email_id, campaign_id, created_at)
SELECT tenant_id, type, SUM(amount), '', ?, '', '', MIN(created_at) FROM credit_transactions
WHERE reserve_id IN (SELECT value FROM json_each(?)) GROUP BY tenant_id, type
ON CONFLICT (reserve_id, type) WHERE reserve_id IS NOT NULL
DO UPDATE SET amount = amount + excluded.amount
"""
_SWALLOW = """
UPDATE credit_transactions SET email_id = '', description = ?, amount = amount + (
    SELECT COALESCE(SUM(amount), 0) FROM credit_transactions
    WHERE id IN (SELECT value FROM json_each(?))
) WHERE id = ?
"""


def _fold_day(connection: Connection, kept: int, others: list[int], description: str) -> None:
    """Let the lines of one reservation stand for those of others too."""
    connection.execute(_MOVE, (kept, given(others)))
    connection.execute(_SWALLOW, (description, given(others), kept))
    for column in ("reserve_id", "id"):
        connection.execute(
            f"DELETE FROM credit_transactions WHERE {column} IN (SELECT value FROM json_each(?))",  # noqa: S608
            (given(others),),
        )


def _transaction(row: tuple[int, str, int, str, str, str, int]) -> Transaction:
    number, kind, amount, description, email_id, campaign_id, created_at = row
    return Transaction(
        id=ids.numbered_id(_PREFIX, created_at, number),
        type=Movement(kind),
        amount=amount,
        description=description,
        email_id=email_id or None,
        campaign_id=campaign_id or None,
        created_at=ids.moment(created_at),
    )
