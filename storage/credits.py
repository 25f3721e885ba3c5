"""Credits: reserved when mail is accepted, charged when it is delivered, given back otherwise.

A recipient that is to be tried takes one credit. Everything here happens in the transaction that
accepts or settles the mail, for all of it together, so that no crash can come in between: what is
reserved is what the queue holds and campaigns under way will send. The ledger has a row for each
email (or campaign) and type, not one for each recipient.

Where credits are off nothing is reserved, and settling pays one look into an empty table. Not here:
buying, adjusting and listing (credit_ledger.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from mta.core.submission import Submission
from storage.database import Connection
from storage.sql import given, insert


@frozen
class Account:
    """What a tenant has.

    Attributes:
        balance: credits bought and not spent.
        reserved: part of them that is spoken for.
    """

    balance: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        """What new mail may take."""
        return self.balance - self.reserved


@frozen
class InsufficientCredits:
    """Nothing was written: so many credits are needed, and so many are there."""

    needed: int
    available: int


def account(connection: Connection, tenant_id: int) -> Account:
    """Return what a tenant has; nothing of both when it never had any."""
    row = connection.execute(
        "SELECT balance, reserved FROM credit_accounts WHERE tenant_id = ?", (tenant_id,)
    ).fetchone()
    return Account(*row) if row else Account()


_TRANSACTION = (
    *("tenant_id", "type", "amount", "description", "reserve_id", "email_id", "campaign_id"),
    "created_at",
)
_HOLD = ("message_id", "reserve_id", "held")
_PURSE = ("campaign", "reserve_id", "held")
_RESERVE = """
UPDATE credit_accounts SET reserved = reserved + ?
WHERE tenant_id = ? AND balance - reserved >= ?
"""


class Reservations:
    """What the messages of one transaction take, written once they have their rows."""

    def __init__(self, connection: Connection) -> None:
        """Take the connection of a write."""
        self._connection = connection
        self._available: dict[int, int] = {}
        self._taken: Counter[int] = Counter()
        self._held: dict[str, int] = {}
        self._drawn: dict[str, _Drawn] = {}

    def take(self, submission: Submission, count: int) -> InsufficientCredits | None:
        """Reserve credits for a message that is going to be written; or return what is missing.

        Those of a campaign come out of what was reserved when it started, as far as that goes.
        """
        if not count:
            return None
        drawn = _draw(self._connection, submission.campaign, count)
        needed = count - (drawn.count if drawn else 0)
        tenant_id, available = submission.tenant_id, self._left(submission.tenant_id)
        if needed > available:
            if drawn:
                _put_back(self._connection, submission.campaign, drawn.count)
            return InsufficientCredits(needed, available)
        self._available[tenant_id] = available - needed
        self._taken[tenant_id] += needed
        self._held[submission.public_id] = count
        if drawn:
            self._drawn[submission.public_id] = drawn
        return None

    def record(self, written: Iterable[tuple[int, Submission]], now: datetime) -> None:
        """Write down what was taken for messages, given with their row ids (now: aware)."""
        if not self._held:
            return
        kept = [(row, one) for row, one in written if one.public_id in self._held]
        own = [pair for pair in kept if pair[1].public_id not in self._drawn]
        at_ms = ids.milliseconds(now)
        first = insert(
            self._connection,
            "credit_transactions",
            _TRANSACTION,
            [
                (one.tenant_id, "reserve", -self._held[one.public_id], *_of(one), at_ms)
                for _, one in own
            ],
        )
        reserves = {one.public_id: first + place for place, (_, one) in enumerate(own)}
        reserves |= {name: drawn.reserve_id for name, drawn in self._drawn.items()}
        holds = [(row, reserves[one.public_id], self._held[one.public_id]) for row, one in kept]
        insert(self._connection, "credit_holds", _HOLD, holds)
        self._extend_drawn()
        for tenant_id, count in (+self._taken).items():
            self._connection.execute(_RESERVE, (count, tenant_id, count))

    def _left(self, tenant_id: int) -> int:
        if tenant_id not in self._available:
            self._available[tenant_id] = account(self._connection, tenant_id).available
        return self._available[tenant_id]

    def _extend_drawn(self) -> None:
        """Let reservations of campaigns tell what they turned out too small by."""
        for name, drawn in self._drawn.items():
            if more := self._held[name] - drawn.count:
                _grow(self._connection, drawn.reserve_id, more)


@frozen
class _Drawn:
    """Credits out of a campaign's reservation."""

    reserve_id: int
    count: int


def _draw(connection: Connection, campaign: int, count: int) -> _Drawn | None:
    """Take up to so many credits out of a campaign's reservation; None when it has none."""
    if not campaign:
        return None
    row = connection.execute(
        "SELECT reserve_id, held FROM credit_purses WHERE campaign = ?", (campaign,)
    ).fetchone()
    if row is None:
        return None
    drawn = _Drawn(row[0], min(count, row[1]))
    _put_back(connection, campaign, -drawn.count)
    return drawn


def _put_back(connection: Connection, campaign: int, count: int) -> None:
    connection.execute(
        "UPDATE credit_purses SET held = held + ? WHERE campaign = ?", (count, campaign)
    )


def _grow(connection: Connection, reserve_id: int, count: int) -> None:
    connection.execute(
        "UPDATE credit_transactions SET amount = amount - ? WHERE id = ?", (count, reserve_id)
    )


def _of(submission: Submission) -> tuple[str, None, str, str]:
    """Return description, reserve_id, email_id and campaign_id of an email's reservation."""
    return "", None, submission.public_id, ""


def reserve_again(
    connection: Connection, tenant_id: int, message_row: int, count: int, *, now: datetime
) -> InsufficientCredits | None:
    """Reserve credits for recipients of a message that are tried anew; or return what is missing.

    Mail of test keys takes none.

    Args:
        connection: of a write.
        tenant_id: whose message.
        message_row: its row id.
        count: recipients, at least one.
        now: aware, UTC.
    """
    [(email_id, is_test)] = connection.execute(
        "SELECT public_id, is_test FROM messages WHERE id = ?", (message_row,)
    ).fetchall()
    if is_test:
        return None
    if lacking := _take(connection, tenant_id, count):
        return lacking
    hold = connection.execute(
        "UPDATE credit_holds SET held = held + ? WHERE message_id = ? RETURNING reserve_id",
        (count, message_row),
    ).fetchone()
    if hold is not None:
        _grow(connection, hold[0], count)
        return None
    columns = (tenant_id, "reserve", -count, "", None, email_id, "", ids.milliseconds(now))
    row = insert(connection, "credit_transactions", _TRANSACTION, [columns])
    insert(connection, "credit_holds", _HOLD, [(message_row, row, count)])
    return None


@frozen
class Purse:
    """Whom a campaign's reservation is for.

    Attributes:
        campaign: row id.
        tenant_id: whose campaign.
        campaign_id: "cmp_...".
        description: for people.
    """

    campaign: int
    tenant_id: int
    campaign_id: str
    description: str = ""


def reserve_campaign(
    connection: Connection, purse: Purse, count: int, *, now: datetime
) -> InsufficientCredits | None:
    """Reserve credits for all that a campaign is going to send; or return what is missing.

    Its mail then takes them out of this reservation. A campaign that has one already keeps it.
    """
    if connection.execute(
        "SELECT 1 FROM credit_purses WHERE campaign = ?", (purse.campaign,)
    ).fetchone():
        return None
    if count and (lacking := _take(connection, purse.tenant_id, count)):
        return lacking
    columns = (purse.tenant_id, "reserve", -count, purse.description, None, "", purse.campaign_id)
    row = insert(
        connection, "credit_transactions", _TRANSACTION, [(*columns, ids.milliseconds(now))]
    )
    insert(connection, "credit_purses", _PURSE, [(purse.campaign, row, count)])
    return None


def shortage(
    connection: Connection, tenant_id: int, campaign: int, count: int
) -> InsufficientCredits | None:
    """Return what is missing for so much more mail of a campaign (row id); None: nothing is."""
    row = connection.execute(
        "SELECT held FROM credit_purses WHERE campaign = ?", (campaign,)
    ).fetchone()
    needed = max(0, count - (row[0] if row else 0))
    available = account(connection, tenant_id).available
    return InsufficientCredits(needed, available) if needed > available else None


def release_campaign(connection: Connection, campaign: int, *, now: datetime) -> None:
    """Give back what a campaign (row id) that is over has not used; nothing when it has none."""
    row = connection.execute(
        "DELETE FROM credit_purses WHERE campaign = ? RETURNING reserve_id, held", (campaign,)
    ).fetchone()
    if row is not None:
        _end(connection, {row[0]: (0, row[1])}, ids.milliseconds(now))


def _take(connection: Connection, tenant_id: int, count: int) -> InsufficientCredits | None:
    if connection.execute(_RESERVE, (count, tenant_id, count)).rowcount:
        return None
    return InsufficientCredits(count, account(connection, tenant_id).available)


_IS_ANY = "SELECT 1 FROM credit_holds WHERE message_id > 0 LIMIT 1"
_HELD = """
SELECT message_id, reserve_id, held FROM credit_holds
WHERE message_id IN (SELECT value ->> 0 FROM json_each(?))
"""


def end_holds(connection: Connection, ended: Sequence[tuple[int, int, int, int]]) -> None:
    """Charge what was delivered and give back what will not be.

    Args:
        connection: of a write.
        ended: message row id, how many of its recipients were delivered, how many ended otherwise,
            and when (ms).
    """
    if not (ended and connection.execute(_IS_ANY).fetchone()):
        return
    fates = {row: (delivered, failed) for row, delivered, failed, _ in ended}
    moved: dict[int, tuple[int, int]] = {}
    left: list[tuple[int, int]] = []
    for row, reserve_id, held in connection.execute(_HELD, (given(ended),)).fetchall():
        charged = min(held, fates[row][0])
        refunded = min(held - charged, fates[row][1])
        before = moved.get(reserve_id, (0, 0))
        moved[reserve_id] = (before[0] + charged, before[1] + refunded)
        left.append((row, held - charged - refunded))
    _keep(connection, left)
    _end(connection, moved, max(at_ms for *_, at_ms in ended))


def _keep(connection: Connection, left: Sequence[tuple[int, int]]) -> None:
    """Write down what messages still hold; those that hold nothing are gone."""
    if some := [one for one in left if one[1]]:
        connection.execute(
            "UPDATE credit_holds SET held = given.value ->> 1 FROM json_each(?) AS given"
            " WHERE message_id = given.value ->> 0",
            (given(some),),
        )
    if none := [row for row, held in left if not held]:
        connection.execute(
            "DELETE FROM credit_holds WHERE message_id IN (SELECT value FROM json_each(?))",
            (given(none),),
        )


_WRITE = """
INSERT INTO credit_transactions
    (tenant_id, type, amount, description, reserve_id, email_id, campaign_id, created_at)
SELECT t.tenant_id, given.value ->> 1, given.value ->> 2, '', t.id, '', '', ?
FROM json_each(?) AS given JOIN credit_transactions t ON t.id = given.value ->> 0
WHERE TRUE
ON CONFLICT (reserve_id, type) WHERE reserve_id IS NOT NULL
DO UPDATE SET amount = amount + excluded.amount
RETURNING tenant_id, reserve_id, type
"""
_SPEND = """
UPDATE credit_accounts SET
    balance = balance - (given.value ->> 1),
    reserved = reserved - (given.value ->> 1) - (given.value ->> 2)
FROM json_each(?) AS given WHERE tenant_id = given.value ->> 0
"""


def _end(connection: Connection, moved: Mapping[int, tuple[int, int]], at_ms: int) -> None:
    """Turn parts of reservations, by their rows, into charges and refunds."""
    rows = [
        (reserve_id, kind, amount)
        for reserve_id, (charged, refunded) in moved.items()
        for kind, amount in (("charge", -charged), ("refund", refunded))
        if amount
    ]
    if not rows:
        return
    by_tenant: dict[int, list[int]] = {}
    for tenant_id, reserve_id, kind in connection.execute(_WRITE, (at_ms, given(rows))).fetchall():
        sums = by_tenant.setdefault(tenant_id, [0, 0])
        sums[kind == "refund"] += moved[reserve_id][kind == "refund"]
    spent = [(tenant_id, *sums) for tenant_id, sums in by_tenant.items()]
    connection.execute(_SPEND, (given(spent),))
