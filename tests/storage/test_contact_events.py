"""What the journal tells of contacts, and what follows members: counters, filters, erasure."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from mta.core.contact import Status
from mta.core.event import EventKind
from storage import (
    audiences,
    contacts,
    events,
    joining,
    membership_status,
    memberships,
    suppressions,
    unsubscribes,
)
from storage.audiences import AudienceRecord, Identity, OptIn
from storage.contacts import ContactRecord, NewContact
from storage.database import Connection, Database
from storage.events import JournalEntry
from storage.joining import Joiner
from storage.memberships import MemberFilter
from storage.unsubscribes import Target

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TENANT = 1
ANT = "ant@example.net"
LAST = 2**63 - 1


def new(email: str = ANT, *tags: str, name: str = "") -> NewContact:
    return NewContact(email, email, name, tags=tags)


def audience(connection: Connection, *, double: bool = False) -> AudienceRecord:
    return audiences.create(connection, TENANT, Identity("news"), OptIn(double), now=NOW)


def join(
    connection: Connection, into: AudienceRecord, *people: NewContact, status: Status | None = None
) -> None:
    joiners = [Joiner(one, status or Status.SUBSCRIBED) for one in people]
    joining.join(connection, TENANT, into, joiners, now=NOW)


def contact(connection: Connection, email: str = ANT) -> ContactRecord:
    found = contacts.get(connection, TENANT, email)
    assert found is not None
    return found


class Journal:
    """Reads what has come since the last time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen = 0

    def entries(self) -> list[JournalEntry]:
        found = events.read(self._connection, after=self._seen, limit=1000)
        self._seen = max([self._seen, *(one.seq for one in found)])
        return found

    def kinds(self) -> list[str]:
        return [one.kind.value.removeprefix("contact_") for one in self.entries()]


@pytest.fixture
def journal(connection: Connection) -> Journal:
    return Journal(connection)


def test_joining_tells_who_is_new_tagged_and_subscribed(
    connection: Connection, journal: Journal
) -> None:
    news = audience(connection)
    join(connection, news, new(ANT, "vip"))
    created, tagged, subscribed = journal.entries()
    person = {"id": contact(connection).id, "email": ANT}
    assert created.kind is EventKind.CONTACT_CREATED
    assert created.data == {"contact": person, "audience_id": news.id}
    assert tagged.kind is EventKind.CONTACT_TAGGED
    assert tagged.data == {"contact": person, "tags": ["vip"]}
    assert subscribed.kind is EventKind.CONTACT_SUBSCRIBED
    assert subscribed.data == {"contact": person, "audience_id": news.id}
    assert created.tenant_id == TENANT
    assert created.email_id == ""


def test_only_what_changes_is_told(connection: Connection, journal: Journal) -> None:
    news = audience(connection)
    join(connection, news, new(ANT, "vip", name="Ant"))
    journal.entries()
    join(connection, news, new(ANT, "vip", name="Ant"))
    assert journal.kinds() == []
    join(connection, news, new(ANT, "vip", "new", name="Bee"))
    assert journal.kinds() == ["updated", "tagged"]
    joining.join(connection, TENANT, news, [Joiner(new(), values={"FNAME": "A"})], now=NOW)
    assert journal.kinds() == ["updated"]


def test_each_change_of_a_contact_is_told(connection: Connection, journal: Journal) -> None:
    joining.put(connection, TENANT, [new()], now=NOW)
    ant = contact(connection)
    contacts.change(connection, ant, name="Ant", properties={}, now=NOW)
    contacts.add_tags(connection, TENANT, ant.row, ["a", "b"], now=NOW)
    contacts.add_tags(connection, TENANT, ant.row, ["a"], now=NOW)
    contacts.remove_tags(connection, TENANT, ant.row, ["a"], now=NOW)
    contacts.remove_tags(connection, TENANT, ant.row, ["a"], now=NOW)
    assert journal.kinds() == ["created", "updated", "tagged", "updated"]


def test_statuses_are_told_however_they_change(connection: Connection, journal: Journal) -> None:
    news = audience(connection)
    join(connection, news, new())
    [member] = memberships.of_contact(connection, contact(connection).row)
    journal.entries()
    membership_status.set_status(connection, member.row, Status.UNSUBSCRIBED, now=NOW)
    membership_status.set_status(connection, member.row, Status.UNSUBSCRIBED, now=NOW)
    membership_status.set_status(connection, member.row, Status.SUBSCRIBED, now=NOW)
    membership_status.set_status(connection, member.row, Status.BLOCKED, now=NOW)
    assert journal.kinds() == ["unsubscribed", "subscribed"]
    membership_status.set_status(connection, member.row, Status.SUBSCRIBED, now=NOW)
    journal.entries()
    target = Target(0, TENANT, ANT, news.id)
    unsubscribes.unsubscribe(connection, target, via="page", now=LATER)
    unsubscribes.resubscribe(connection, target, now=LATER)
    assert journal.kinds() == ["unsubscribed", "subscribed"]


def test_a_bounce_is_no_unsubscription(connection: Connection, journal: Journal) -> None:
    join(connection, audience(connection), new())
    journal.entries()
    suppressions.add(connection, tenant_id=TENANT, key=ANT, address=ANT, reason="bounce", now=LATER)
    assert journal.kinds() == ["suppression_added"]


def test_deleting_erases_the_address_from_the_journal(
    connection: Connection, journal: Journal
) -> None:
    news = audience(connection)
    join(connection, news, new(ANT, "vip"), new("bee@example.net"))
    ant = contact(connection)
    contacts.delete(connection, ant, now=LATER)
    told = journal.entries()
    named = [one.data["contact"]["email"] for one in told]  # type: ignore[call-overload, index]
    of_ant = [one.kind for one in told if one.data["contact"]["id"] == ant.id]  # type: ignore[call-overload, index]
    assert of_ant[-1] is EventKind.CONTACT_DELETED
    assert named.count(ANT) == 1
    assert named.count("bee@example.net") == 2


def test_erasing_looks_at_the_events_of_one_contact(connection: Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    joining.put(connection, TENANT, [new()], now=NOW)
    contacts.delete(connection, contact(connection), now=LATER)
    connection.set_trace_callback(None)
    [sql] = [one for one in seen if one.startswith("UPDATE events")]
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
    assert "events_by_contact" in plan


def test_counters_follow_every_way_to_come_and_go(connection: Connection) -> None:
    news, other = audience(connection), audience(connection)
    people = [new(f"c{number}@example.net") for number in range(6)]
    for into in (news, other):
        join(connection, into, *people[:4])
        join(connection, into, *people[4:], status=Status.UNCONFIRMED)
    join(connection, news, people[4])
    suppressions.add(
        connection, tenant_id=1, key=people[0].key, address=people[0].email, reason="x", now=NOW
    )
    contacts.delete(connection, contact(connection, people[1].key), now=NOW)
    [member] = [
        one
        for one in memberships.of_contact(connection, contact(connection, people[2].key).row)
        if one.audience_row == news.row
    ]
    memberships.remove(connection, member.row)
    for into in (news, other):
        counted = connection.execute(
            "SELECT status, COUNT(*) FROM memberships WHERE audience_id = ? GROUP BY status",
            (into.row,),
        )
        assert memberships.count(connection, into.row) == dict(counted.fetchall())
    assert memberships.count(connection, news.row) == {
        "subscribed": 2,
        "unconfirmed": 1,
        "blocked": 1,
    }
    memberships.remove_some(connection, other.row, limit=100)
    assert memberships.count(connection, other.row) == {}
    audiences.delete(connection, other)
    rows = connection.execute("SELECT DISTINCT audience_id FROM membership_counts").fetchall()
    assert rows == [(news.row,)]


def test_filters_combine(connection: Connection) -> None:
    news = audience(connection)
    for number, (tagged, opened, clicked) in enumerate(product((0, 1), repeat=3)):
        email = f"c{number}@example.net"
        join(connection, news, replace(new(email), tags=("t",) if tagged else ()))
        for is_click, wanted in ((False, opened), (True, clicked)):
            if wanted:
                contacts.note_engagement(connection, TENANT, email, has_clicked=is_click, at_ms=5)
    either: tuple[bool | None, ...] = (None, False, True)
    for tag, has_opened, has_clicked in product(("", "t"), either, either):
        wanted_filter = MemberFilter(None, tag, has_opened, has_clicked)
        expected = [
            f"c{number}@example.net"
            for number, flags in enumerate(product((False, True), repeat=3))
            if (not tag or flags[0])
            and has_opened in (None, flags[1])
            and has_clicked in (None, flags[2])
        ]
        found = memberships.members_after(connection, news.row, 0, 100, wanted_filter)
        assert [one.email for one in found] == expected
        found = memberships.members_before(connection, news.row, LAST, 2, wanted_filter, skip=1)
        assert [one.email for one in found] == expected[::-1][1:3]
        assert memberships.total(connection, news.row, wanted_filter) == len(expected)


def test_who_has_opened_before_joins_as_such(connection: Connection) -> None:
    joining.put(connection, TENANT, [new()], now=NOW)
    contacts.note_engagement(connection, TENANT, ANT, has_clicked=True, at_ms=9)
    contacts.note_engagement(connection, TENANT, ANT, has_clicked=True, at_ms=5)
    contacts.note_engagement(connection, 2, ANT, has_clicked=False, at_ms=5)
    news = audience(connection)
    join(connection, news, new())
    clicked, opened = MemberFilter(has_clicked=True), MemberFilter(has_opened=True)
    assert memberships.total(connection, news.row, clicked) == 1
    assert memberships.total(connection, news.row, opened) == 0
    ant = contact(connection)
    assert ant.opened_at is None
    assert ant.clicked_at == datetime(1970, 1, 1, 0, 0, 0, 9000, tzinfo=UTC)


def test_tags_of_members_follow_both_sides(connection: Connection) -> None:
    news, other = audience(connection), audience(connection)
    join(connection, news, new(ANT, "a"))
    ant = contact(connection)
    contacts.add_tags(connection, TENANT, ant.row, ["b"], now=NOW)
    join(connection, other, new())

    def rows() -> set[tuple[int, str]]:
        found = connection.execute("SELECT audience_id, tag FROM member_tags")
        return set(found.fetchall())

    assert rows() == set(product((news.row, other.row), "ab"))
    contacts.remove_tags(connection, TENANT, ant.row, ["a"], now=NOW)
    assert rows() == {(news.row, "b"), (other.row, "b")}
    memberships.remove_some(connection, other.row, limit=5)
    assert rows() == {(news.row, "b")}
    contacts.delete(connection, ant, now=NOW)
    assert rows() == set()


@pytest.mark.parametrize(
    "wanted",
    [
        MemberFilter(),
        MemberFilter(Status.SUBSCRIBED),
        MemberFilter(tag="t"),
        MemberFilter(has_opened=True),
        MemberFilter(has_clicked=False),
        MemberFilter(Status.SUBSCRIBED, "t", has_opened=True, has_clicked=True),
    ],
)
def test_pages_are_read_in_the_order_of_an_index(
    connection: Connection, wanted: MemberFilter
) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    memberships.members_after(connection, 1, 5, 10, wanted)
    memberships.members_before(connection, 1, 5, 10, wanted)
    connection.set_trace_callback(None)
    for sql in seen:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert "TEMP B-TREE" not in plan
        assert "SCAN" not in plan


def test_nothing_of_a_contact_stays_in_the_file(tmp_path: Path) -> None:
    """Deleting a row leaves its bytes in free space of the page unless SQLite is told otherwise."""
    new = NewContact("x4711@x.example", "x4711@x.example", "name4711", {"town": "town4711"})
    with closing(Database.open(tmp_path)) as database:
        others = [NewContact(f"c{at}@x.example", f"c{at}@x.example") for at in range(50)]
        database.write_now(lambda db: joining.put(db, 1, [*others, new], now=NOW))
        found = database.read_now(lambda db: contacts.get(db, 1, new.key))
        assert found is not None
        database.write_now(lambda db: contacts.delete(db, found, now=NOW))
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))
    assert b"c49@x.example" in files
    assert [word for word in (b"name4711", b"town4711") if word in files] == []
    assert files.count(new.email.encode()) == 1  # contact.deleted, the last event that has it
