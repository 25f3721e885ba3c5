from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import Deferred, Why
from mta.core.envelope import Priority
from storage import domains, events, message_lists, messages, queue
from storage.database import Connection
from storage.queue import ClaimRequest, DomainDue, Selection
from tests.storage import builders
from tests.storage.builders import BULK, LATER, NOW, accept


def recipients(entries: list[queue.QueuedEntry]) -> list[str]:
    return [entry.recipient.partition("@")[0] for entry in entries]


def state(connection: Connection, recipient: str) -> tuple[str, str]:
    """The state and the reason of the entry of this recipient (local part)."""
    [entry] = [
        entry
        for email in message_lists.page(connection, 1, limit=100).emails
        for entry in email.recipients
        if entry.address.partition("@")[0] == recipient
    ]
    return entry.status, entry.why


def test_a_claim_tells_all_that_delivery_needs(connection: Connection) -> None:
    accepted = accept(connection, "ant@example.net", "bee@example.net", "elk@example.org")
    claim = queue.claim(connection, [ClaimRequest("example.net", 10)], now=NOW, owner="me")
    [claimed] = claim.messages
    message = claimed.message
    assert (message.id, message.public_id, message.tenant_id) == (1, accepted.public_id, 1)
    assert message.mail_from == "bounces@sender.example"
    assert (message.sender_domain, message.queued_at) == ("sender.example", NOW)
    assert message.message == builders.message()
    assert not message.header_8bit
    ant, bee = claimed.entries
    assert ant == queue.QueuedEntry(
        1, "ant@example.net", "example.net", "", "", Priority.TRANSACTIONAL, 0, NOW
    )
    assert bee.id == 2
    assert claim.next_due == {"example.net": None}
    assert claim.keys_version == 0


def test_transactional_goes_before_bulk_then_the_longest_due(connection: Connection) -> None:
    old = NOW - timedelta(minutes=1)
    accept(connection, "bulk-old@example.net", priority=BULK, at=old)
    accept(connection, "new@example.net")
    accept(connection, "bulk-new@example.net", priority=BULK)
    accept(connection, "old@example.net", at=old)
    expected = ["old", "new", "bulk-old", "bulk-new"]
    assert recipients(builders.claim(connection, limit=3)) == expected[:3]
    assert recipients(builders.claim(connection, limit=3)) == expected[3:]


def test_the_limit_counts_entries_of_each_domain(connection: Connection) -> None:
    accept(connection, *[f"u{n}@example.net" for n in range(5)], "x@example.org")
    requests = [ClaimRequest("example.net", 3), ClaimRequest("example.org", 3)]
    claim = queue.claim(connection, requests, now=NOW, owner="me")
    assert [len(claimed.entries) for claimed in claim.messages] == [3, 1]
    assert claim.messages[0].message == claim.messages[1].message
    assert claim.next_due == {"example.net": NOW, "example.org": None}


def test_nothing_is_claimed_twice_or_before_its_time(connection: Connection) -> None:
    accept(connection, "now@example.net")
    accept(connection, "later@example.net", send_at=LATER)
    assert recipients(builders.claim(connection)) == ["now"]
    assert builders.claim(connection) == []
    claim = queue.claim(connection, [ClaimRequest("example.net", 9)], now=NOW, owner="me")
    assert claim.next_due == {"example.net": LATER}
    assert recipients(builders.claim(connection, at=LATER)) == ["later"]


def test_a_request_for_nothing_claims_nothing(connection: Connection) -> None:
    accept(connection)
    assert builders.claim(connection, limit=0) == []
    assert queue.claim(connection, [], now=NOW, owner="me").messages == ()


def test_a21_a_missing_body_is_told_apart(connection: Connection) -> None:
    accept(connection)
    connection.execute("DELETE FROM bodies")
    [claimed] = builders.claim_messages(connection)
    assert (claimed.message.message.data, claimed.message.message.file) == (None, None)


def test_the_schedule_has_the_earliest_of_each_domain(connection: Connection) -> None:
    accept(connection, "a@example.net", send_at=LATER)
    accept(connection, "b@example.net", priority=BULK)
    accept(connection, "c@example.org", send_at=LATER)
    assert queue.schedule(connection) == [
        DomainDue("example.net", NOW),
        DomainDue("example.org", LATER),
    ]
    assert queue.next_due(connection, "example.net") == NOW
    builders.claim(connection)
    assert queue.next_due(connection, "example.net") == LATER
    assert queue.next_due(connection, "example.com") is None


def test_new_entries_are_found_once(connection: Connection) -> None:
    assert queue.new_since(connection, 0) == ([], 0)
    assert queue.last_entry_id(connection) == 0
    accept(connection, "a@example.net", "b@example.org")
    found, last = queue.new_since(connection, 0)
    assert found == [DomainDue("example.net", NOW, True), DomainDue("example.org", NOW, True)]
    assert last == queue.last_entry_id(connection) == 2
    assert queue.new_since(connection, last) == ([], 2)
    accept(connection, "c@example.net")
    builders.claim(connection)
    accept(connection, "d@example.com", priority=BULK)
    assert queue.new_since(connection, last) == ([DomainDue("example.com", NOW)], 4)


def test_a_domain_is_urgent_when_something_new_of_it_is(connection: Connection) -> None:
    accept(connection, "a@example.net", priority=BULK)
    accept(connection, "b@example.net")
    assert queue.new_since(connection, 0)[0] == [DomainDue("example.net", NOW, is_urgent=True)]


def test_only_what_has_waited_long_enough_is_claimed(connection: Connection) -> None:
    old = NOW - timedelta(days=4)
    accept(connection, "old@example.net", at=old)
    accept(connection, "sent-later@example.net", at=old, send_at=NOW - timedelta(days=1))
    accept(connection, "new@example.net")
    wish = ClaimRequest("example.net", 5, waiting_since=old)
    [claimed] = queue.claim(connection, [wish], now=NOW, owner="me").messages
    assert [entry.recipient for entry in claimed.entries] == ["old@example.net"]


def test_only_the_lanes_that_are_wanted_are_claimed(connection: Connection) -> None:
    accept(connection, "a@example.net", priority=BULK)
    accept(connection, "b@example.net")
    wish = ClaimRequest("example.net", 5, lanes=(Priority.TRANSACTIONAL,))
    [claimed] = queue.claim(connection, [wish], now=NOW, owner="me").messages
    assert [entry.recipient for entry in claimed.entries] == ["b@example.net"]


def test_given_back_untried(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.net")
    a, _ = builders.claim(connection)
    queue.give_back(connection, [a.id], due_at=LATER, why=Why.SITE_BUSY)
    assert state(connection, "a") == ("waiting", "site_busy")
    assert state(connection, "b")[0] == "claimed"
    [again] = builders.claim(connection, at=LATER)
    assert (again.id, again.attempts) == (a.id, 0)
    queue.give_back(connection, [], due_at=LATER, why=Why.SITE_BUSY)


def test_only_claimed_entries_are_given_back(connection: Connection) -> None:
    accept(connection, "a@example.net")
    [a] = builders.claim(connection)
    builders.settle_all(connection, [a])
    queue.give_back(connection, [a.id, 99], due_at=LATER, why=Why.SITE_BUSY)
    assert state(connection, "a") == ("delivered", "")


@pytest.mark.parametrize("how", ["give_back", "free_claims"])
def test_wishes_are_honoured_when_it_would_wait_again(connection: Connection, how: str) -> None:
    accepted = accept(connection, "cancel@example.net", "hold@example.net", "wait@example.net")
    entries = builders.claim(connection)
    view = messages.get(connection, 1, accepted.public_id)
    assert view is not None
    cancel, hold, _ = (recipient.entry_id for recipient in view.recipients)
    assert queue.cancel(connection, Selection((cancel,)), now=NOW) == 1
    assert queue.hold(connection, Selection((hold,)), now=NOW) == 1
    assert state(connection, "cancel")[0] == "claimed"
    if how == "give_back":
        ids = [entry.id for entry in entries]
        queue.give_back(connection, ids, due_at=LATER, why=Why.SITE_BUSY)
    else:
        assert queue.free_claims(connection, LATER) == 3
    assert state(connection, "cancel") == ("canceled", "")
    assert state(connection, "hold") == ("held", "held")
    assert state(connection, "wait")[0] == "waiting"
    journal = [(e.kind.value, e.at) for e in events.of_message(connection, 1)][3:]
    assert journal == [("canceled", NOW)]  # when it was asked for


def test_claims_of_one_owner_are_freed(connection: Connection) -> None:
    accept(connection, "a@example.net", "b@example.org")
    queue.claim(connection, [ClaimRequest("example.net", 1)], now=NOW, owner="one")
    queue.claim(connection, [ClaimRequest("example.org", 1)], now=NOW, owner="two")
    assert queue.free_claims(connection, LATER, owner="one") == 1
    assert state(connection, "a") == ("waiting", "new")
    assert state(connection, "b")[0] == "claimed"
    assert queue.next_due(connection, "example.net") == LATER


def test_a_claim_tells_when_keys_have_changed(connection: Connection) -> None:
    domains.add_domain(
        connection, tenant_id=1, domain_id="dom_1", name="sender.example", keys=[], now=NOW
    )
    assert queue.claim(connection, [], now=NOW, owner="me").keys_version == 1


def test_new_mail_of_a_wrong_clock_is_due_at_once(connection: Connection) -> None:
    accept(connection, "ant@example.net", at=NOW + timedelta(days=1))
    accept(connection, "bee@example.net", send_at=NOW + timedelta(days=2))
    assert queue.hasten(connection, NOW, timedelta(hours=4)) == 1
    assert [one.recipient for one in builders.claim(connection)] == ["ant@example.net"]


def test_c02_what_was_deferred_by_a_wrong_clock_waits_no_longer_than_any_other(
    connection: Connection,
) -> None:
    ahead, longest = NOW + timedelta(days=1), timedelta(hours=4)
    for name, at in (("ant", ahead), ("bee", NOW)):
        accept(connection, f"{name}@example.net", at=at)
        [entry] = builders.claim(connection, at=at)
        deferred = Deferred(at + timedelta(hours=1), Why.REPLY, BounceClass.GREYLIST)
        settled = replace(builders.settlement(entry, "deferred"), disposition=deferred)
        queue.settle(connection, [settled])
    assert queue.hasten(connection, NOW, longest) == 1
    assert queue.next_due(connection, "example.net") == NOW + timedelta(hours=1)
    found = builders.claim(connection, at=NOW + longest)
    assert [one.recipient for one in found] == ["bee@example.net", "ant@example.net"]
