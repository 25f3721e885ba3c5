"""Random histories of mail that costs credits, of two tenants: three books that always agree.

The account, the sum of the ledger, and what the queue and the campaigns still hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import (
    credit_ledger,
    operators,
    queue,
    retention,
    retries,
    submissions,
    suppressed_entries,
)
from storage.credit_ledger import Movement, Transaction
from storage.credits import (
    Account,
    InsufficientCredits,
    Purse,
    account,
    release_campaign,
    reserve_campaign,
)
from storage.database import Connection
from storage.operators import Selection
from storage.submissions import AcceptedEmail, AcceptPolicy
from storage.suppressions import NewSuppression
from tests.storage.builders import NOW, OUTCOMES, claim, settlement, submission
from tests.storage.test_stats import count_up
from tests.storage.test_stats_invariant import undone

PAID = AcceptPolicy(require_verified_domain=False, takes_credits=True)
TENANTS = (1, 2)
STEP = timedelta(minutes=10)


@dataclass
class Shop:
    """What has happened, as somebody outside knows it.

    Attributes:
        bought: tenant -> credits given and not taken back.
        spent: tenant -> recipients delivered whose mail cost something.
    """

    connection: Connection
    bought: dict[int, int]
    spent: dict[int, int]
    now: datetime = NOW

    def check(self) -> None:
        for tenant in TENANTS:
            found = account(self.connection, tenant)
            assert found == credit_ledger.summed(self.connection, tenant)
            assert found == Account(self.bought[tenant] - self.spent[tenant], self._held(tenant))
            assert 0 <= found.reserved <= found.balance

    def _held(self, tenant: int) -> int:
        """Return the recipients of paid mail that wait, and what campaigns have left."""
        [(waiting, left)] = self.connection.execute(
            "SELECT (SELECT COUNT(*) FROM entries e JOIN messages m ON m.id = e.message_id"
            " WHERE e.state < 10 AND NOT m.is_test AND m.tenant_id = ?1),"
            " (SELECT COALESCE(SUM(held), 0) FROM credit_purses WHERE campaign = ?1)",
            (tenant,),
        ).fetchall()
        return int(waiting) + int(left)


def give(shop: Shop, tenant: int, choice: int) -> None:
    amount = choice * 3 - 4
    if amount:
        made = credit_ledger.adjust(
            shop.connection, tenant, amount, kind=Movement.ADJUST, description="", now=shop.now
        )
        assert isinstance(made, Transaction | InsufficientCredits)
        shop.bought[tenant] += amount if isinstance(made, Transaction) else 0


def send(shop: Shop, tenant: int, choice: int) -> None:
    people = [f"p{number}@example.net" for number in range(1 + choice % 3)]
    submissions.accept(
        shop.connection,
        submission(*people, tenant_id=tenant, is_test=choice == 4, campaign=tenant * (choice % 2)),
        policy=PAID,
        now=shop.now,
    )


def send_many(shop: Shop, tenant: int, choice: int) -> None:
    made = [submission(tenant_id=one) for one in (tenant, *TENANTS, tenant)[: choice + 1]]
    wishes = [submissions.Wish(one, PAID) for one in made]
    found = submissions.accept_all(shop.connection, wishes, now=shop.now)
    assert all(isinstance(one, AcceptedEmail | InsufficientCredits) for one in found)


def attempt(shop: Shop, _: int, choice: int) -> None:
    result = tuple(OUTCOMES)[choice % len(OUTCOMES)]
    claimed = claim(shop.connection, limit=3, at=shop.now)
    if result == "delivered":
        for tenant, is_test in shop.connection.execute(
            "SELECT m.tenant_id, m.is_test FROM entries e JOIN messages m ON m.id = e.message_id"
            " WHERE e.id IN (SELECT value FROM json_each(?))",
            (json.dumps([one.id for one in claimed]),),
        ).fetchall():
            shop.spent[tenant] += not is_test
    queue.settle(shop.connection, [settlement(one, result) for one in claimed])


def crash(shop: Shop, _: int, choice: int) -> None:
    claim(shop.connection, limit=choice + 1, at=shop.now)
    queue.free_claims(shop.connection, shop.now)


def cancel(shop: Shop, tenant: int, choice: int) -> None:
    if choice % 2:
        claim(shop.connection, limit=2, at=shop.now)  # what is under way is a wish
    operators.cancel(shop.connection, Selection(is_all=True), now=shop.now, tenant_id=tenant)
    queue.free_claims(shop.connection, shop.now)


def suppress(shop: Shop, tenant: int, choice: int) -> None:
    address = f"p{choice}@example.net"
    listed = [NewSuppression(address, address, "manual")]
    suppressed_entries.add_and_settle(shop.connection, tenant, listed, now=shop.now)


def try_anew(shop: Shop, tenant: int, choice: int) -> None:
    rows = shop.connection.execute(
        "SELECT id FROM messages WHERE tenant_id = ? ORDER BY id LIMIT 5", (tenant,)
    ).fetchall()
    if rows:
        [row] = rows[choice % len(rows)]
        retries.retry_failed(
            shop.connection, tenant, row, at=shop.now, now=shop.now, takes_credits=True
        )


def begin_campaign(shop: Shop, tenant: int, choice: int) -> None:
    purse = Purse(tenant, tenant, f"cmp_{tenant}")
    reserve_campaign(shop.connection, purse, choice, now=shop.now)


def end_campaign(shop: Shop, tenant: int, _: int) -> None:
    release_campaign(shop.connection, tenant, now=shop.now)


def tidy(shop: Shop, _: int, choice: int) -> None:
    count_up(shop.connection)
    before = shop.now - STEP * (choice % 2)
    retention.prune(shop.connection, bodies_before=before, events_before=before, limit=9)
    credit_ledger.fold(shop.connection, before, limit=1 + choice)


STEPS: tuple[Callable[[Shop, int, int], None], ...] = (
    *(give, send, send, send_many, attempt, attempt, crash, cancel, suppress, try_anew),
    *(begin_campaign, end_campaign, tidy),
)
MOVES = st.tuples(st.sampled_from(STEPS), st.sampled_from(TENANTS), st.integers(0, 4))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, min_size=10, max_size=40))
def test_account_ledger_and_queue_agree(
    connection: Connection, moves: list[tuple[Callable[[Shop, int, int], None], int, int]]
) -> None:
    with undone(connection):
        shop = Shop(connection, dict.fromkeys(TENANTS, 0), dict.fromkeys(TENANTS, 0))
        connection.execute("INSERT INTO tenants (id, name, created_at) VALUES (2, 'two', 0)")
        for tenant in TENANTS:
            give(shop, tenant, 4)
        for move, tenant, choice in moves:
            shop.now += STEP
            move(shop, tenant, choice)
            shop.check()
        for tenant in TENANTS:
            end_campaign(shop, tenant, 0)
            cancel(shop, tenant, 1)
        shop.check()
        assert all(account(connection, tenant).reserved == 0 for tenant in TENANTS)
