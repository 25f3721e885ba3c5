"""Contacts and their memberships: upserts, pages, and what follows suppressions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from mta.core.contact import Status, resubmitted
from storage import (
    audiences,
    contacts,
    membership_status,
    memberships,
    suppressions,
    unsubscribes,
)
from storage.audiences import AudienceField, AudienceRecord, Identity
from storage.contacts import ContactFilter, NewContact
from storage.database import Connection
from storage.memberships import MemberFilter, NewMember
from storage.suppressions import SuppressionFilter
from storage.unsubscribes import Target

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TENANT = 1


def put(connection: Connection, *names: str, **more: object) -> list[int]:
    new = [NewContact(f"{name}@example.net", f"{name}@example.net") for name in names]
    new = [replace(one, **more) for one in new]  # type: ignore[arg-type]
    rows = contacts.upsert_all(connection, TENANT, new, now=NOW).rows
    return [rows[one.key] for one in new]


def audience(connection: Connection, name: str = "news") -> AudienceRecord:
    return audiences.create(connection, TENANT, Identity(name), now=NOW)


def join(connection: Connection, into: AudienceRecord, status: Status, *rows: int) -> None:
    members = [NewMember(row, status, {"FNAME": f"f{row}"}) for row in rows]
    memberships.add_all(connection, into.row, members, now=NOW)


def status(connection: Connection, of: AudienceRecord, row: int) -> Status:
    found = memberships.get(connection, of.row, row)
    assert found is not None
    return found.status


def test_an_upsert_adds_merges_and_counts(connection: Connection) -> None:
    first = [NewContact("a@x.test", "a@x.test", "A", {"p": 1, "q": 2}, ("t",))]
    made = contacts.upsert_all(connection, TENANT, first, now=NOW)
    assert made.added == {"a@x.test"}
    second = [
        NewContact("a@x.test", "A@x.test", "", {"q": None, "r": "3"}, ("u",)),
        NewContact("b@x.test", "b@x.test", "B", {"gone": None}),
    ]
    again = contacts.upsert_all(connection, TENANT, second, now=LATER)
    assert (again.added, again.rows["a@x.test"]) == ({"b@x.test"}, made.rows["a@x.test"])
    found = contacts.get(connection, TENANT, "a@x.test")
    assert found is not None
    assert (found.name, found.email, found.properties) == ("A", "a@x.test", {"p": 1, "r": "3"})
    assert (found.tags, found.created_at, found.updated_at) == (("t", "u"), NOW, LATER)
    other = contacts.get(connection, TENANT, "b@x.test")
    assert other is not None
    assert other.properties == {}
    assert contacts.get(connection, 2, found.id) is None


def test_known_contacts_can_be_left_alone(connection: Connection) -> None:
    put(connection, "ant", name="Ant")
    new = [NewContact("ant@example.net", "ant@example.net", "Other", tags=("t",))]
    contacts.upsert_all(connection, TENANT, new, now=LATER, overwrite=False)
    found = contacts.get(connection, TENANT, "ant@example.net")
    assert found is not None
    assert (found.name, found.tags) == ("Ant", ())


def test_pages_go_both_ways(connection: Connection) -> None:
    put(connection, *(f"c{number}" for number in range(7)), tags=("t",))
    for filters in (ContactFilter(), ContactFilter(tag="t"), ContactFilter(text="C")):
        first = contacts.list_(connection, TENANT, filters, limit=3)
        second = contacts.list_(connection, TENANT, filters, limit=3, after=first[-1].id)
        assert [one.email[:2] for one in [*first, *second]] == ["c6", "c5", "c4", "c3", "c2", "c1"]
        back = contacts.list_(connection, TENANT, filters, limit=3, before=second[0].id)
        assert back == first
        assert contacts.count(connection, TENANT, filters) == 7
    assert contacts.list_(connection, TENANT, ContactFilter(tag="u"), limit=3) == []
    assert contacts.list_(connection, TENANT, limit=3, after="wh_x") == []


@pytest.mark.parametrize("filters", [ContactFilter(), ContactFilter(tag="t")])
def test_a_page_is_read_from_an_index(connection: Connection, filters: ContactFilter) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    contacts.list_(connection, TENANT, filters, limit=3, after="ct_00000000000000000000000009")
    connection.set_trace_callback(None)
    plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {seen[0]}"))
    assert "SCAN c" not in plan
    assert "SCAN g" not in plan
    assert "ORDER BY" not in plan


@pytest.mark.parametrize(("old", "new"), list(product(Status, Status)))
def test_submitting_again(connection: Connection, old: Status, new: Status) -> None:
    list_, [row] = audience(connection), put(connection, "ant")
    join(connection, list_, old, row)
    join(connection, list_, new, row)
    assert status(connection, list_, row) is resubmitted(old, new)


def test_values_are_merged(connection: Connection) -> None:
    list_, [row] = audience(connection), put(connection, "ant")
    join(connection, list_, Status.SUBSCRIBED, row)
    more = NewMember(row, Status.SUBSCRIBED, {"AGE": 4})
    memberships.add_all(connection, list_.row, [more], now=NOW)
    found = memberships.get(connection, list_.row, row)
    assert found is not None
    assert found.values == {"AGE": 4, "FNAME": f"f{row}"}
    memberships.merge_values(connection, found.row, {"FNAME": None}, now=NOW)
    found = memberships.get(connection, list_.row, row)
    assert found is not None
    assert found.values == {"AGE": 4}


def test_members_are_walked_by_key(connection: Connection) -> None:
    list_, rows = audience(connection), put(connection, *"abcde", tags=("t",))
    join(connection, list_, Status.SUBSCRIBED, *rows[:4])
    join(connection, list_, Status.UNCONFIRMED, rows[4])
    wanted = MemberFilter(Status.SUBSCRIBED, "t")
    first = memberships.members_after(connection, list_.row, 0, 2, wanted)
    rest = memberships.members_after(connection, list_.row, first[-1].row, 9, wanted)
    assert [one.contact_row for one in [*first, *rest]] == rows[:4]
    newest = memberships.members_before(connection, list_.row, 2**63 - 1, 1)
    assert newest[0].contact_row == rows[4]
    assert memberships.count(connection, list_.row) == {"subscribed": 4, "unconfirmed": 1}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("bounce", Status.BOUNCED),
        ("complaint", Status.COMPLAINED),
        ("unsubscribe", Status.UNSUBSCRIBED),
        ("manual", Status.BLOCKED),
    ],
)
def test_suppressions_are_followed(connection: Connection, reason: str, expected: Status) -> None:
    one, other, rows = audience(connection), audience(connection), put(connection, "ant", "bee")
    for list_ in (one, other):
        join(connection, list_, Status.SUBSCRIBED, *rows)
    address = "ant@example.net"
    suppressions.add(
        connection, tenant_id=TENANT, key=address, address=address, reason=reason, now=LATER
    )
    assert [status(connection, list_, rows[0]) for list_ in (one, other)] == [expected] * 2
    assert status(connection, one, rows[1]) is Status.SUBSCRIBED
    join(connection, one, Status.SUBSCRIBED, rows[0])
    assert status(connection, one, rows[0]) is expected


def test_a_suppression_that_ends_changes_no_membership(connection: Connection) -> None:
    list_, [row] = audience(connection), put(connection, "ant")
    join(connection, list_, Status.SUBSCRIBED, row)
    address = "ant@example.net"
    until = LATER + timedelta(days=1)
    new = suppressions.NewSuppression(address, address, "bounce", until)
    suppressions.add_all(connection, TENANT, [new], now=LATER)
    assert status(connection, list_, row) is Status.SUBSCRIBED


def test_leaving_one_audience_and_taking_it_back(connection: Connection) -> None:
    one, other, [row] = audience(connection), audience(connection), put(connection, "ant")
    for list_ in (one, other):
        join(connection, list_, Status.SUBSCRIBED, row)
    target = Target(0, TENANT, "ant@example.net", one.id)
    unsubscribes.unsubscribe(connection, target, via="page", now=LATER)
    assert status(connection, one, row) is Status.UNSUBSCRIBED
    assert status(connection, other, row) is Status.SUBSCRIBED
    assert unsubscribes.resubscribe(connection, target, now=LATER + timedelta(hours=1))
    assert status(connection, one, row) is Status.SUBSCRIBED


def test_taking_back_leaves_what_was_left_before(connection: Connection) -> None:
    one, other, [row] = audience(connection), audience(connection), put(connection, "ant")
    for list_ in (one, other):
        join(connection, list_, Status.SUBSCRIBED, row)
    membership_status.follow(
        connection, TENANT, [("ant@example.net", "unsubscribe")], scope=one.id, now_ms=5
    )
    target = Target(0, TENANT, "ant@example.net", "")
    unsubscribes.unsubscribe(connection, target, via="page", now=LATER)
    unsubscribes.resubscribe(connection, target, now=LATER + timedelta(hours=1))
    assert status(connection, one, row) is Status.UNSUBSCRIBED
    assert status(connection, other, row) is Status.SUBSCRIBED


def test_another_kind_of_scope_changes_nothing(connection: Connection) -> None:
    list_, [row] = audience(connection), put(connection, "ant")
    join(connection, list_, Status.SUBSCRIBED, row)
    rows = [("ant@example.net", "unsubscribe")]
    membership_status.follow(connection, TENANT, rows, scope="weekly", now_ms=5)
    membership_status.follow(connection, 2, rows, scope="", now_ms=5)
    assert status(connection, list_, row) is Status.SUBSCRIBED


def test_deleting_a_contact_leaves_nothing_of_it(connection: Connection) -> None:
    list_, [row] = audience(connection), put(connection, "ant", tags=("t",))
    join(connection, list_, Status.SUBSCRIBED, row)
    found = contacts.get(connection, TENANT, "ant@example.net")
    assert found is not None
    contacts.delete(connection, found, now=NOW)
    for table in ("contacts", "contact_tags", "memberships"):
        assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)  # noqa: S608
    assert suppressions.count(connection, TENANT, SuppressionFilter(), now=NOW) == 0


def test_fields_of_an_audience(connection: Connection) -> None:
    list_ = audience(connection)
    field = AudienceField("FNAME", "First name", "text", "you")
    assert audiences.put_field(connection, list_.row, field, now=NOW)
    assert not audiences.put_field(connection, list_.row, field, now=NOW)
    assert audiences.fields(connection, list_.row) == {"FNAME": field}
    assert audiences.delete_field(connection, list_.row, "FNAME")
    assert not audiences.delete_field(connection, list_.row, "FNAME")


def test_audiences_are_listed_changed_and_deleted(connection: Connection) -> None:
    made = [audience(connection, f"a{number}") for number in range(3)]
    assert audiences.list_(connection, TENANT, limit=2) == made[:0:-1]
    assert audiences.list_(connection, TENANT, limit=2, after=made[1].id) == made[:1]
    assert audiences.list_(connection, TENANT, limit=2, before=made[1].id) == made[2:]
    audiences.change(connection, made[0], Identity("z", "shop@sender.test"), now=LATER)
    found = audiences.get(connection, TENANT, made[0].id)
    assert found is not None
    assert found.identity == Identity("z", "shop@sender.test")
    join(connection, made[0], Status.SUBSCRIBED, *put(connection, "ant", "bee"))
    assert [memberships.remove_some(connection, made[0].row, limit=2) for _ in "xx"] == [2, 0]
    audiences.delete(connection, made[0])
    assert audiences.get(connection, TENANT, made[0].id) is None


def test_nothing_looks_at_all_rows(connection: Connection) -> None:
    list_, [row] = audience(connection), put(connection, "ant")
    join(connection, list_, Status.SUBSCRIBED, row)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    address = "ant@example.net"
    membership_status.follow(connection, TENANT, [(address, "bounce")], scope="", now_ms=5)
    membership_status.undo_unsubscription(connection, TENANT, address, suppressed_at_ms=5, now_ms=6)
    put(connection, "ant", name="Ant")
    memberships.members_after(connection, list_.row, 0, 9, MemberFilter(Status.SUBSCRIBED, "t"))
    memberships.members_before(connection, list_.row, 9, 9)
    memberships.count(connection, list_.row)
    memberships.of_contact(connection, row)
    memberships.remove_some(connection, list_.row, limit=1)
    connection.set_trace_callback(None)
    plans = [
        step[3]
        for sql in seen
        if not sql.startswith("--")
        for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]
    tables = ("contacts", "memberships", "c", "m", "a")
    assert not [one for one in plans if one in {f"SCAN {name}" for name in tables}], plans
    assert not [one for one in plans if "contacts_by_tenant" in one], plans
    assert len(seen) > 7


def test_addresses_are_searched_in_the_index_of_pages(connection: Connection) -> None:
    """A search that finds few looks at every contact: it must not read them all from the table."""
    for word in ("ant", "bee"):
        put(connection, word)
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    found = contacts.list_(connection, 1, ContactFilter(text="BEE"), limit=9)
    assert contacts.count(connection, 1, ContactFilter(text="BEE")) == 1
    connection.set_trace_callback(None)
    assert [one.email for one in found] == ["bee@example.net"]
    plans = [
        step[3]
        for sql in seen
        if not sql.startswith("--")
        for step in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]
    assert [one.rpartition("INDEX ")[2] for one in plans if "SEARCH c " in one] == [
        "contacts_by_tenant (tenant_id=?)",
        "contacts_by_tenant (tenant_id=?)",
    ]
