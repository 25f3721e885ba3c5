"""Quotas with real counters: mail over them is accepted and waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mta.core.access import Reason
from mta.core.disposition import Why
from mta.core.envelope import Priority
from mta.core.quota import UNLIMITED, Quota, Span
from storage import (
    events,
    queue,
    quotas,
    retries,
    submissions,
    suppressed_entries,
    suppressions,
)
from storage.database import Connection
from storage.queue import Selection
from storage.submissions import AcceptedEmail, AcceptPolicy, DomainNotAllowed
from storage.suppressions import NewSuppression
from tests.storage.builders import ANY_SENDER, NOW, claim, settle_all, submission

HOUR = timedelta(hours=1)
FOUR = replace(ANY_SENDER, quota=Quota(per_hour=4))


def accept(
    connection: Connection,
    *recipients: str,
    policy: AcceptPolicy = FOUR,
    at: datetime = NOW,
    **changes: object,
) -> AcceptedEmail:
    made = submission(*recipients, **changes)
    accepted = submissions.accept(connection, made, policy=policy, now=at)
    assert isinstance(accepted, AcceptedEmail)
    return accepted


def waiting(connection: Connection) -> list[tuple[datetime, str]]:
    entries = queue.list_entries(connection, limit=100)
    return [(entry.due_at, entry.why) for entry in entries if entry.due_at is not None]


def test_the_excess_waits_and_says_why(connection: Connection) -> None:
    people = [f"u{number}@example.net" for number in range(6)]
    accepted = accept(connection, *people)
    assert waiting(connection) == [
        *[(NOW, "new")] * 4,
        (NOW + HOUR, "quota"),
        (NOW + HOUR + HOUR / 4, "quota"),
    ]
    last = events.of_message(connection, accepted.message_id)[-1]
    assert last.data["why"] == Why.QUOTA.value
    assert str(last.data["due_at"]).startswith("2026-03-01T13:15:00")


def test_its_lifetime_begins_when_the_quota_lets_it_go(connection: Connection) -> None:
    for _ in range(5):
        accept(connection)
    assert len(claim(connection)) == 4
    [entry] = claim(connection, at=NOW + HOUR)
    assert entry.eligible_at == NOW + HOUR


def test_without_a_quota_nothing_is_counted(connection: Connection) -> None:
    accept(connection, policy=ANY_SENDER)
    assert connection.execute("SELECT COUNT(*) FROM quota_windows").fetchone() == (0,)


def test_a_tenant_may_have_its_own(connection: Connection) -> None:
    quotas.set_own_quota(connection, 1, Quota(per_hour=1))
    for _ in range(2):
        accept(connection)
    assert [why for _, why in waiting(connection)] == ["new", "quota"]
    quotas.set_own_quota(connection, 1, UNLIMITED)
    accept(connection)
    assert [why for _, why in waiting(connection)][-1] == "new"
    quotas.set_own_quota(connection, 1, None)
    assert quotas.own_quota(connection, 1) is None


def test_what_is_never_tried_does_not_count(connection: Connection) -> None:
    suppressions.add(
        connection, tenant_id=1, key="a@b.example", address="x", reason="manual", now=NOW
    )
    accept(connection, "a@b.example", "suppressed@sandbox.test")
    accept(connection, "ant@example.net", is_test=True)
    [used] = quotas.usage(connection, 1, FOUR.quota, NOW)
    assert used == quotas.Usage(Span.HOUR, 4, 0, NOW + HOUR)


def test_usage_counts_what_is_due_in_the_window(connection: Connection) -> None:
    for _ in range(6):
        accept(connection)
    assert quotas.usage(connection, 1, FOUR.quota, NOW)[0].used == 4
    assert quotas.usage(connection, 1, FOUR.quota, NOW + HOUR)[0].used == 2


def test_a_canceled_campaign_gives_its_places_back(connection: Connection) -> None:
    campaign = [accept(connection, priority=Priority.BULK) for _ in range(40)]
    ids = tuple(email.public_id for email in campaign)
    assert queue.cancel(connection, Selection(ids), now=NOW) == 40
    for _ in range(4):
        accept(connection, priority=Priority.BULK)
    assert waiting(connection) == [(NOW, "new")] * 4


def test_what_was_tried_keeps_its_place(connection: Connection) -> None:
    accepted = accept(connection)
    connection.execute("UPDATE entries SET attempts = 1")
    queue.cancel(connection, Selection((accepted.public_id,)), now=NOW)
    assert quotas.usage(connection, 1, FOUR.quota, NOW)[0].used == 1


def test_a_tenant_cannot_hurry_its_own_quota(connection: Connection) -> None:
    for _ in range(5):
        accept(connection)
    everything = Selection(is_all=True)
    assert queue.retry_now(connection, everything, now=NOW, tenant_id=1) == 0
    assert queue.retry_now(connection, everything, now=NOW) == 1  # an operator can


def test_holding_and_releasing_does_not_hurry_it_either(connection: Connection) -> None:
    for _ in range(6):
        accept(connection)
    before = waiting(connection)
    everything = Selection(is_all=True)
    assert queue.hold(connection, everything, now=NOW) == 6
    assert queue.release(connection, everything, now=NOW) == 6
    assert waiting(connection) == [(NOW, "released")] * 4 + before[4:]
    queue.hold(connection, everything, now=NOW)
    queue.release(connection, everything, now=NOW + 2 * HOUR)
    assert waiting(connection) == [(NOW + 2 * HOUR, "released")] * 6


def test_what_was_claimed_and_canceled_untried_gives_its_place_back(connection: Connection) -> None:
    accept(connection)
    [entry] = claim(connection)
    queue.cancel(connection, Selection(is_all=True), now=NOW)
    queue.give_back(connection, [entry.id], due_at=NOW, why=Why.SITE_BUSY)
    assert quotas.usage(connection, 1, FOUR.quota, NOW)[0].used == 0


@pytest.mark.parametrize("is_claimed", [False, True])
def test_what_is_suppressed_untried_gives_its_place_back(
    connection: Connection, is_claimed: bool
) -> None:
    accept(connection)
    entries = claim(connection) if is_claimed else []
    suppressed_entries.add_and_settle(
        connection, 1, [NewSuppression("ant@example.net", "ant@example.net", "manual")], now=NOW
    )
    queue.give_back(connection, [entry.id for entry in entries], due_at=NOW, why=Why.SITE_BUSY)
    assert waiting(connection) == []
    assert quotas.usage(connection, 1, FOUR.quota, NOW)[0].used == 0


def test_old_windows_are_forgotten(connection: Connection) -> None:
    accept(connection)
    later = NOW + timedelta(days=3)
    assert quotas.forget_before(connection, later - quotas.KEPT) == 2
    assert quotas.usage(connection, 1, FOUR.quota, NOW)[0].used == 0


def test_i07_a_key_sends_from_its_domains_only(connection: Connection) -> None:
    other = replace(ANY_SENDER, sender_domains=("other.example",))
    refused = submissions.accept(connection, submission(), policy=other, now=NOW)
    assert isinstance(refused, DomainNotAllowed)
    assert refused.denial is not None
    assert (refused.domain, refused.denial.reason) == ("sender.example", Reason.DOMAIN)
    own = replace(ANY_SENDER, sender_domains=("sender.example",))
    assert submissions.check(connection, submission(), own) is None


def test_i07_the_return_path_counts_too_unless_it_is_ours(connection: Connection) -> None:
    made = submission()
    foreign = replace(made, header=replace(made.header, sender_domain="own.example"))
    policy = replace(ANY_SENDER, sender_domains=("own.example",))
    refused = submissions.check(connection, foreign, policy)
    assert refused is not None
    assert refused.domain == "sender.example"
    ours = replace(policy, bounce_domain="sender.example")
    assert submissions.check(connection, foreign, ours) is None


def test_test_mail_is_routed_to_the_sandbox(connection: Connection) -> None:
    accept(connection, "ant@example.net", is_test=True)
    [entry] = claim(connection, domain="sandbox.test")
    assert entry.recipient == "ant@example.net"


def test_suppressed_in_the_sandbox(connection: Connection) -> None:
    suppressions.add(
        connection,
        tenant_id=1,
        key="bounced@sandbox.test",
        address="bounced@sandbox.test",
        reason="bounce",
        now=NOW,
    )
    assert accept(connection, "bounced@sandbox.test").status == "queued"
    assert accept(connection, "suppressed+1@sandbox.test").status == "suppressed"


def test_another_send_at_is_another_place(connection: Connection) -> None:
    later = NOW + 5 * HOUR
    accepted = [accept(connection, send_at=later) for _ in range(4)]
    for _ in range(4):
        accept(connection)
    row = accepted[0].message_id
    assert retries.reschedule(connection, 1, row, at=NOW, now=NOW, quota=FOUR.quota)
    assert quotas.usage(connection, 1, FOUR.quota, later)[0].used == 3
    assert (NOW + HOUR, "quota") in waiting(connection)  # now is full


def test_who_does_not_move_keeps_the_place_it_had(connection: Connection) -> None:
    accepted = accept(connection, "a@example.net", "b@example.org", send_at=NOW + 5 * HOUR)
    held = Selection(domain="example.org")
    queue.hold(connection, held, now=NOW)
    assert retries.reschedule(
        connection, 1, accepted.message_id, at=NOW + 9 * HOUR, now=NOW, quota=FOUR.quota
    )
    queue.cancel(connection, held, now=NOW)
    used = [quotas.usage(connection, 1, FOUR.quota, NOW + hours * HOUR)[0].used for hours in (5, 9)]
    assert used == [0, 1]


def test_trying_anew_counts_again(connection: Connection) -> None:
    accepted = accept(connection)
    settle_all(connection, claim(connection), "bounced")
    retries.retry_failed(
        connection, 1, accepted.message_id, at=NOW, now=NOW, quota=Quota(per_hour=1)
    )
    assert waiting(connection) == [(NOW + HOUR, "quota")]
