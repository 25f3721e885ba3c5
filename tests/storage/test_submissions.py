from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mta.core.address import parse_address
from mta.core.envelope import Envelope, Recipient
from mta.core.event import EventKind
from mta.core.message import HeaderFacts
from storage import domains, events, messages, suppressions
from storage.database import Connection, Database
from storage.submissions import (
    AcceptedEmail,
    AcceptPolicy,
    DomainNotAllowed,
    accept,
    accept_batch,
    check,
)
from tests.storage import builders
from tests.storage.builders import ANY_SENDER, NOW

STRICT = AcceptPolicy(require_verified_domain=True)


def add_domain(
    connection: Connection, name: str, *, verified: bool = True, tenant: int = 1
) -> None:
    connection.execute(
        "INSERT INTO tenants (id, name, created_at) VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
        (tenant, f"tenant {tenant}"),
    )
    domains.add_domain(
        connection, tenant_id=tenant, domain_id=f"dom_{name}", name=name, keys=[], now=NOW
    )
    domains.mark_checked(connection, name, verified=verified, now=NOW)


def from_domain(domain: str) -> HeaderFacts:
    return HeaderFacts(f"a@{domain}" if domain else "", domain, "Hello", "<1@x>")


def rows(connection: Connection, table: str) -> int:
    return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_one_transaction_writes_everything(connection: Connection) -> None:
    made = builders.submission(
        "Ant@Example.NET",
        "bee@example.org",
        tags=(("campaign", "spring"), ("test", "")),
        metadata={"order": 17},
        batch_id="bt_1",
    )
    accepted = accept(connection, made, policy=ANY_SENDER, now=NOW)
    assert accepted == AcceptedEmail(1, made.public_id, 2, NOW, "queued")
    view = messages.get(connection, 1, made.public_id)
    assert view is not None
    assert (view.status, view.created_at) == ("queued", NOW)
    assert (view.send_at, view.settled_at) == (None, None)
    assert (view.door, view.mail_from) == ("api", "bounces@sender.example")
    assert view.from_ == "news@sender.example"
    assert (view.subject, view.message_id) == (made.header.subject, made.header.message_id)
    assert view.tags == made.tags
    assert (view.metadata, view.batch_id) == ({"order": 17}, "bt_1")
    assert view.to == ("Ant@example.net", "bee@example.org")
    assert (view.size, view.has_body) == (made.message.size, True)
    assert [(r.address, r.domain, r.status) for r in view.recipients] == [
        ("Ant@example.net", "example.net", "waiting"),
        ("bee@example.org", "example.org", "waiting"),
    ]
    journal = events.of_message(connection, 1)
    assert [(e.kind, e.recipient, e.at) for e in journal] == [
        (EventKind.QUEUED, "Ant@example.net", NOW),
        (EventKind.QUEUED, "bee@example.org", NOW),
    ]
    [(data, file)] = connection.execute("SELECT data, file FROM bodies").fetchall()
    assert (data, file) == (made.message.data, None)


def test_what_the_envelope_asks_reaches_delivery(connection: Connection) -> None:
    recipient = Recipient(parse_address("ant@example.net"), "SUCCESS", "rfc822;ant@example.net")
    envelope = Envelope(None, (recipient,), ret="HDRS", envid="id+2B1")
    builders.accept(connection, envelope=envelope)
    [claimed] = builders.claim_messages(connection)
    assert claimed.message.mail_from == ""
    assert (claimed.message.ret, claimed.message.envid) == ("HDRS", "id+2B1")
    assert claimed.entries[0].notify == "SUCCESS"
    assert claimed.entries[0].orcpt == "rfc822;ant@example.net"


def test_a_spooled_message_has_a_file_instead_of_data(connection: Connection) -> None:
    spooled = replace(builders.message(), data=None, file="0" * 32)
    builders.accept(connection, message=spooled)
    [claimed] = builders.claim_messages(connection)
    assert claimed.message.message == spooled


def test_a_later_time_makes_it_scheduled(connection: Connection) -> None:
    later = NOW + timedelta(days=1)
    accepted = builders.accept(connection, send_at=later)
    assert accepted.status == "scheduled"
    view = messages.get(connection, 1, accepted.public_id)
    assert view is not None
    assert (view.status, view.send_at) == ("scheduled", later)
    assert (view.recipients[0].due_at, view.recipients[0].why) == (later, "scheduled")
    assert builders.claim(connection) == []
    [entry] = builders.claim(connection, at=later)
    assert entry.eligible_at == later


def test_a_time_that_has_passed_is_now(connection: Connection) -> None:
    accepted = builders.accept(connection, send_at=NOW - timedelta(hours=1))
    view = messages.get(connection, 1, accepted.public_id)
    assert view is not None
    assert (view.status, view.send_at) == ("queued", None)
    assert builders.claim(connection)[0].eligible_at == NOW


def test_suppressed_recipients_are_final_from_the_start(connection: Connection) -> None:
    suppressions.add(
        connection,
        tenant_id=1,
        key=parse_address("ant@example.net").key,
        address="ant@example.net",
        reason="complaint",
        now=NOW,
    )
    accepted = builders.accept(connection, "ant@example.net", "bee@example.net")
    assert (accepted.status, accepted.entries) == ("queued", 2)
    assert [entry.recipient for entry in builders.claim(connection)] == ["bee@example.net"]
    first, second = events.of_message(connection, accepted.message_id)
    assert (first.kind, first.data) == (EventKind.SUPPRESSED, {"reason": "complaint"})
    assert second.kind is EventKind.QUEUED
    view = messages.get(connection, 1, accepted.public_id)
    assert view is not None
    assert (view.recipients[0].status, view.recipients[0].reply) == ("suppressed", "complaint")


def test_a_message_for_suppressed_recipients_only_is_settled(connection: Connection) -> None:
    key = parse_address("ant@example.net").key
    suppressions.add(connection, tenant_id=1, key=key, address=key, reason="bounce", now=NOW)
    accepted = builders.accept(connection, "ant@example.net")
    view = messages.get(connection, 1, accepted.public_id)
    assert view is not None
    assert (accepted.status, view.status, view.settled_at) == ("suppressed", "suppressed", NOW)


def test_suppressions_of_another_tenant_do_not_count(connection: Connection) -> None:
    add_domain(connection, "other.example", tenant=2)
    key = parse_address("ant@example.net").key
    suppressions.add(connection, tenant_id=2, key=key, address=key, reason="bounce", now=NOW)
    assert builders.accept(connection, "ant@example.net").status == "queued"


@pytest.mark.parametrize(
    ("sender", "is_allowed"),
    [
        ("sender.example", True),
        ("mail.sender.example", True),
        ("a.b.sender.example", True),
        ("xsender.example", False),
        ("example", False),  # a single label is nobody's parent
        ("unverified.example", False),
        ("foreign.example", False),
        ("", False),
    ],
)
def test_the_sender_domain_must_be_verified(
    connection: Connection, sender: str, is_allowed: bool
) -> None:
    add_domain(connection, "sender.example")
    add_domain(connection, "unverified.example", verified=False)
    add_domain(connection, "foreign.example", tenant=2)
    made = builders.submission(header=from_domain(sender))
    outcome = accept(connection, made, policy=STRICT, now=NOW)
    if is_allowed:
        assert isinstance(outcome, AcceptedEmail)
        assert check(connection, made, STRICT) is None
    else:
        assert outcome == check(connection, made, STRICT) == DomainNotAllowed(sender)
        assert rows(connection, "messages") == rows(connection, "entries") == 0
    assert check(connection, made, ANY_SENDER) is None


def test_a_batch_takes_what_is_allowed(connection: Connection) -> None:
    add_domain(connection, "sender.example")
    batch = [
        builders.submission(),
        builders.submission(header=from_domain("other.example")),
        builders.submission(),
    ]
    outcomes = accept_batch(connection, batch, policy=STRICT, now=NOW)
    assert [type(one) for one in outcomes] == [AcceptedEmail, DomainNotAllowed, AcceptedEmail]
    assert rows(connection, "messages") == 2


def test_the_same_tag_twice_is_one(connection: Connection) -> None:
    builders.accept(connection, tags=(("a", "b"), ("a", "b")))
    assert rows(connection, "message_tags") == 1


def test_many_recipients(connection: Connection) -> None:
    accepted = builders.accept(connection, *[f"u{n}@example.net" for n in range(1200)])
    assert accepted.entries == rows(connection, "entries") == rows(connection, "events") == 1200


async def test_nothing_of_a_failed_transaction_remains(database: Database) -> None:
    def fail(connection: Connection) -> None:
        builders.accept(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    for table in ("messages", "bodies", "entries", "events"):
        assert await database.read(lambda c, t=table: rows(c, t)) == 0  # type: ignore[misc]


def test_the_same_id_twice_is_an_error(database: Database) -> None:
    made: Any = builders.submission()

    def take(connection: Connection) -> object:
        return accept(connection, made, policy=ANY_SENDER, now=NOW)

    database.write_now(take)
    with pytest.raises(Exception, match="UNIQUE"):
        database.write_now(take)


def test_many_are_written_like_one_after_another(connection: Connection) -> None:
    """More than one statement holds, with several recipients, tags and a later time among them."""
    made = [
        builders.submission(
            *(f"u{number}.{index}@example.net" for index in range(number % 4 + 1)),
            tags=(("campaign", str(number)),) if number % 5 == 0 else (),
            send_at=NOW + timedelta(days=1) if number % 7 == 0 else None,
        )
        for number in range(150)
    ]
    accepted = accept_batch(connection, made, policy=ANY_SENDER, now=NOW)
    for one, outcome in zip(made, accepted, strict=True):
        assert isinstance(outcome, AcceptedEmail)
        view = messages.get(connection, 1, one.public_id)
        assert view is not None
        assert (view.status, view.tags) == (outcome.status, one.tags)
        wanted = [str(recipient.address) for recipient in one.envelope.recipients]
        assert [recipient.address for recipient in view.recipients] == wanted
        journal = events.of_message(connection, outcome.message_id)
        assert [event.recipient for event in journal] == wanted
        assert {event.email_id for event in journal} == {one.public_id}
    assert rows(connection, "bodies") == 150
    assert rows(connection, "entries") == sum(outcome.entries for outcome in accepted)  # type: ignore[union-attr]


def test_each_in_a_batch_has_its_own_suppressions(connection: Connection) -> None:
    connection.execute("INSERT INTO tenants (id, name, created_at) VALUES (2, 'other', 0)")
    suppressions.add(
        connection, tenant_id=1, key="ant@example.net", address="x", reason="manual", now=NOW
    )
    made = [builders.submission("ant@example.net", tenant_id=tenant) for tenant in (1, 2)]
    first, second = accept_batch(connection, made, policy=ANY_SENDER, now=NOW)
    assert isinstance(first, AcceptedEmail)
    assert isinstance(second, AcceptedEmail)
    assert (first.status, second.status) == ("suppressed", "queued")
