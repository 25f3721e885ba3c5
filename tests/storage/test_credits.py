"""Credits: whatever happens to mail, the ledger sums up to the account, and nobody overspends."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from pysqlite3.dbapi2 import IntegrityError

from storage import (
    credit_ledger,
    operators,
    queue,
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
from storage.submissions import AcceptedEmail, AcceptPolicy, DomainNotAllowed
from storage.suppressions import NewSuppression
from tests.storage.builders import NOW, claim, settle_all, settlement, submission

PAID = AcceptPolicy(require_verified_domain=False, takes_credits=True)
DAY = timedelta(days=1)


def give(connection: Connection, amount: int, kind: Movement = Movement.PURCHASE) -> Transaction:
    made = credit_ledger.adjust(connection, 1, amount, kind=kind, description="Invoice 7", now=NOW)
    assert isinstance(made, Transaction)
    return made


def send(
    connection: Connection, *recipients: str, **changes: object
) -> AcceptedEmail | DomainNotAllowed | InsufficientCredits:
    return submissions.accept(connection, submission(*recipients, **changes), policy=PAID, now=NOW)


def count(connection: Connection, table: str) -> int:
    sql = f"SELECT COUNT(*) FROM {table}"  # noqa: S608 - tests name tables
    return int(connection.execute(sql).fetchone()[0])


def people(number: int) -> list[str]:
    return [f"p{one}@example.net" for one in range(number)]


def lines(connection: Connection) -> list[tuple[str, int]]:
    found = credit_ledger.list_(connection, 1, limit=100)
    return [(one.type.value, one.amount) for one in reversed(found)]


def assert_sums_up(connection: Connection) -> Account:
    """Return the account, which the ledger and what is held must agree with."""
    found = account(connection, 1)
    assert credit_ledger.summed(connection, 1) == found
    [(held,)] = connection.execute(
        "SELECT (SELECT COALESCE(SUM(held), 0) FROM credit_holds)"
        " + (SELECT COALESCE(SUM(held), 0) FROM credit_purses)"
    ).fetchall()
    assert held == found.reserved
    assert 0 <= found.reserved <= found.balance
    return found


def test_a_recipient_takes_a_credit_when_it_is_delivered(connection: Connection) -> None:
    give(connection, 5)
    assert isinstance(send(connection, *people(3)), AcceptedEmail)
    assert assert_sums_up(connection) == Account(5, 3)
    first, *others = claim(connection)
    settle_all(connection, [first])
    assert assert_sums_up(connection) == Account(4, 2)
    settle_all(connection, others[:1], "bounced")
    settle_all(connection, others[1:], "expired")
    assert assert_sums_up(connection) == Account(4, 0)
    assert lines(connection) == [("purchase", 5), ("reserve", -3), ("charge", -1), ("refund", 2)]
    assert count(connection, "credit_holds") == 0


def test_a_deferral_moves_nothing(connection: Connection) -> None:
    give(connection, 1)
    send(connection)
    settle_all(connection, claim(connection), "deferred")
    assert assert_sums_up(connection) == Account(1, 1)


def test_too_few_credits_write_nothing(connection: Connection) -> None:
    give(connection, 2)
    assert send(connection, *people(3)) == InsufficientCredits(3, 2)
    assert send(connection, tenant_id=2) == InsufficientCredits(1, 0)
    assert assert_sums_up(connection) == Account(2, 0)
    for table in ("messages", "entries", "bodies", "events"):
        assert count(connection, table) == 0


def test_the_file_itself_keeps_anybody_from_overspending(connection: Connection) -> None:
    give(connection, 2)
    for change in ("reserved = 3", "reserved = -1", "balance = -1"):
        with pytest.raises(IntegrityError):
            connection.execute(f"UPDATE credit_accounts SET {change}")  # noqa: S608


def test_a_batch_gets_as_far_as_the_credits_go(connection: Connection) -> None:
    give(connection, 3)
    made = [submission(*people(2)), submission(*people(2)), submission()]
    found = submissions.accept_batch(connection, made, policy=PAID, now=NOW)
    assert [type(one) for one in found] == [AcceptedEmail, InsufficientCredits, AcceptedEmail]
    assert found[1] == InsufficientCredits(2, 1)
    assert assert_sums_up(connection) == Account(3, 3)


def test_tenants_in_one_batch_pay_for_themselves(connection: Connection) -> None:
    give(connection, 1)
    wishes = [
        submissions.Wish(submission(tenant_id=tenant), policy)
        for tenant, policy in ((2, PAID), (1, PAID), (2, replace(PAID, takes_credits=False)))
    ]
    found = submissions.accept_all(connection, wishes, now=NOW)
    assert [type(one) for one in found] == [InsufficientCredits, AcceptedEmail, AcceptedEmail]
    assert assert_sums_up(connection) == Account(1, 1)


def test_suppressed_recipients_and_test_mail_take_none(connection: Connection) -> None:
    give(connection, 1)
    suppressed_entries.add_and_settle(
        connection, 1, [NewSuppression("p0@example.net", "p0@example.net", "manual")], now=NOW
    )
    assert isinstance(send(connection, *people(2)), AcceptedEmail)
    assert assert_sums_up(connection) == Account(1, 1)
    assert isinstance(send(connection, *people(9), is_test=True), AcceptedEmail)
    assert assert_sums_up(connection) == Account(1, 1)


def test_canceling_and_suppressing_give_back(connection: Connection) -> None:
    give(connection, 3)
    send(connection, *people(3))
    suppressed_entries.add_and_settle(
        connection, 1, [NewSuppression("p0@example.net", "p0@example.net", "manual")], now=NOW
    )
    assert assert_sums_up(connection) == Account(3, 2)
    operators.cancel(connection, Selection(is_all=True), now=NOW)
    assert assert_sums_up(connection) == Account(3, 0)
    assert lines(connection) == [("purchase", 3), ("reserve", -3), ("refund", 3)]


def test_a_wish_to_cancel_what_is_claimed_gives_back_when_it_is_honoured(
    connection: Connection,
) -> None:
    give(connection, 1)
    send(connection)
    claimed = claim(connection)
    operators.cancel(connection, Selection(is_all=True), now=NOW)
    assert assert_sums_up(connection) == Account(1, 1)
    settle_all(connection, claimed, "deferred")
    assert assert_sums_up(connection) == Account(1, 0)


def test_settling_twice_charges_once(connection: Connection) -> None:
    give(connection, 1)
    send(connection)
    [entry] = claim(connection)
    settle_all(connection, [entry, entry])
    settle_all(connection, [entry])
    assert assert_sums_up(connection) == Account(0, 0)


def test_trying_failed_recipients_anew_takes_credits_anew(connection: Connection) -> None:
    give(connection, 2)
    accepted = send(connection, *people(2))
    assert isinstance(accepted, AcceptedEmail)
    row = accepted.message_id

    def retry() -> retries.Retried | InsufficientCredits:
        return retries.retry_failed(connection, 1, row, at=NOW, now=NOW, takes_credits=True)

    first, second = claim(connection)
    settle_all(connection, [first], "bounced")
    assert isinstance(retry(), retries.Retried)  # while the other is under way
    assert assert_sums_up(connection) == Account(2, 2)
    settle_all(connection, [second, *claim(connection)], "bounced")
    assert assert_sums_up(connection) == Account(2, 0)
    assert retry() == retries.Retried(2, 0)
    assert assert_sums_up(connection) == Account(2, 2)
    settle_all(connection, claim(connection))
    assert assert_sums_up(connection) == Account(0, 0)


def test_trying_anew_without_credits_changes_nothing(connection: Connection) -> None:
    give(connection, 1)
    accepted = send(connection)
    assert isinstance(accepted, AcceptedEmail)
    settle_all(connection, claim(connection), "bounced")
    give(connection, -1, Movement.ADJUST)
    found = retries.retry_failed(
        connection, 1, accepted.message_id, at=NOW, now=NOW, takes_credits=True
    )
    assert found == InsufficientCredits(1, 0)
    assert claim(connection) == []


def test_mail_from_before_credits_were_on_costs_nothing(connection: Connection) -> None:
    submissions.accept(connection, submission(), policy=replace(PAID, takes_credits=False), now=NOW)
    give(connection, 1)
    send(connection, "bee@example.net")
    settle_all(connection, claim(connection))
    assert assert_sums_up(connection) == Account(0, 0)


def test_what_is_reserved_cannot_be_taken_back(connection: Connection) -> None:
    give(connection, 5)
    send(connection, *people(3))
    refused = credit_ledger.adjust(connection, 1, -3, kind=Movement.ADJUST, description="", now=NOW)
    assert refused == InsufficientCredits(3, 2)
    give(connection, -2, Movement.ADJUST)
    assert assert_sums_up(connection) == Account(3, 3)


def test_the_list_names_the_email_and_goes_in_pages(connection: Connection) -> None:
    give(connection, 9)
    accepted = send(connection)
    assert isinstance(accepted, AcceptedEmail)
    settle_all(connection, claim(connection))
    charge, reserve, purchase = credit_ledger.list_(connection, 1, limit=9)
    assert {charge.email_id, reserve.email_id} == {accepted.public_id}
    assert (purchase.email_id, purchase.description) == (None, "Invoice 7")
    after = credit_ledger.list_(connection, 1, limit=1, after=charge.id)
    before = credit_ledger.list_(connection, 1, limit=1, before=purchase.id)
    skipped = credit_ledger.list_(connection, 1, limit=1, skip=1)
    assert after == before == skipped == [reserve]
    assert credit_ledger.list_(connection, 2, limit=9) == []
    assert credit_ledger.list_(connection, 1, limit=9, after="x") == []
    assert credit_ledger.count(connection, 1) == 3


PURSE = Purse(7, 1, "cmp_7", "Spring")


def test_a_campaign_reserves_once_and_its_mail_uses_that(connection: Connection) -> None:
    give(connection, 5)
    assert reserve_campaign(connection, PURSE, 4, now=NOW) is None
    assert reserve_campaign(connection, PURSE, 4, now=NOW) is None  # resumed
    assert assert_sums_up(connection) == Account(5, 4)
    for number in range(3):
        assert isinstance(send(connection, f"p{number}@example.net", campaign=7), AcceptedEmail)
    assert assert_sums_up(connection) == Account(5, 4)
    first, *others = claim(connection)
    settle_all(connection, [first], "bounced")
    release_campaign(connection, 7, now=NOW)
    assert assert_sums_up(connection) == Account(5, 2)
    settle_all(connection, others)
    release_campaign(connection, 7, now=NOW)
    assert assert_sums_up(connection) == Account(3, 0)
    assert lines(connection) == [("purchase", 5), ("reserve", -4), ("refund", 2), ("charge", -2)]
    assert {one.campaign_id for one in credit_ledger.list_(connection, 1, limit=3)} == {"cmp_7"}


def test_a_campaign_that_outgrows_its_reservation_takes_more(connection: Connection) -> None:
    give(connection, 3)
    reserve_campaign(connection, PURSE, 1, now=NOW)
    assert isinstance(send(connection, *people(3), campaign=7), AcceptedEmail)
    assert assert_sums_up(connection) == Account(3, 3)
    refused = send(connection, campaign=7)
    assert refused == InsufficientCredits(1, 0)
    settle_all(connection, claim(connection))
    assert assert_sums_up(connection) == Account(0, 0)


def test_a_refused_mail_leaves_the_campaign_what_it_had(connection: Connection) -> None:
    give(connection, 2)
    reserve_campaign(connection, PURSE, 2, now=NOW)
    assert send(connection, *people(3), campaign=7) == InsufficientCredits(1, 0)
    assert assert_sums_up(connection) == Account(2, 2)
    assert isinstance(send(connection, *people(2), campaign=7), AcceptedEmail)


def test_a_campaign_without_enough_reserves_nothing(connection: Connection) -> None:
    give(connection, 3)
    assert reserve_campaign(connection, PURSE, 4, now=NOW) == InsufficientCredits(4, 3)
    assert assert_sums_up(connection) == Account(3, 0)


def test_old_lines_are_folded_into_one_a_day(connection: Connection) -> None:
    give(connection, 50)
    for number in range(6):
        send(connection, f"p{number}@example.net", f"q{number}@example.net")
    entries = claim(connection)
    settle_all(connection, entries[:7])
    settle_all(connection, entries[7:10], "bounced")  # the last email is under way
    before = assert_sums_up(connection)
    assert credit_ledger.fold(connection, NOW, limit=100) == 0
    assert credit_ledger.fold(connection, NOW + DAY, limit=100) == 5
    assert assert_sums_up(connection) == before
    folded = [one for one in credit_ledger.list_(connection, 1, limit=99) if one.description]
    assert all(one.email_id is None for one in folded)
    assert sorted((one.type.value, one.amount) for one in folded) == [
        ("charge", -7),
        ("purchase", 50),
        ("refund", 3),
        ("reserve", -10),
    ]
    assert {one.description for one in folded} == {"Mail of 2026-03-01", "Invoice 7"}
    settle_all(connection, entries[10:])
    assert credit_ledger.fold(connection, NOW + DAY, limit=100) == 1
    assert credit_ledger.fold(connection, NOW + DAY, limit=100) == 0
    assert assert_sums_up(connection).reserved == 0


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_the_ledger_sums_up(connection: Connection, seed: int) -> None:
    rng = random.Random(seed)
    give(connection, 60)
    reserve_campaign(connection, PURSE, 20, now=NOW)
    for _ in range(60):
        match rng.randrange(6):
            case 0 | 1:
                send(connection, *people(rng.randint(1, 4)), campaign=rng.choice([0, 7]))
            case 2:
                results = ("delivered", "bounced", "deferred", "expired")
                found = claim(connection, limit=rng.randint(1, 5))
                made = [settlement(entry, rng.choice(results)) for entry in found]
                queue.settle(connection, made)
            case 3:
                operators.cancel(connection, Selection(is_all=True), now=NOW)
            case 4:
                retry_any(connection, rng)
            case _:
                credit_ledger.fold(connection, NOW + DAY, limit=rng.randint(1, 9))
        assert_sums_up(connection)
    release_campaign(connection, 7, now=NOW)
    settle_all(connection, claim(connection, at=NOW + DAY))
    operators.cancel(connection, Selection(is_all=True), now=NOW)
    assert assert_sums_up(connection).reserved == 0


def retry_any(connection: Connection, rng: random.Random) -> None:
    rows = connection.execute("SELECT id FROM messages").fetchall()
    if rows:
        [row] = rng.choice(rows)
        retries.retry_failed(connection, 1, row, at=NOW, now=NOW, takes_credits=True)
