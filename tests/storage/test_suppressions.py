from __future__ import annotations

from datetime import timedelta

from pysqlite3 import dbapi2

from mta.core.ids import number_of
from storage import events, migrations, schema, suppressions
from storage.database import Connection
from storage.suppressions import Cause, NewSuppression, SuppressionFilter
from tests.storage.builders import LATER, NOW

HOUR = timedelta(hours=1)
ALL = SuppressionFilter()


def add(connection: Connection, key: str, reason: str = "bounce", **changes: object) -> bool:
    facts = {"tenant_id": 1, "key": key, "address": key.upper(), "reason": reason, "now": NOW}
    return suppressions.add(connection, **(facts | changes))  # type: ignore[arg-type]


def keys(connection: Connection, filters: SuppressionFilter = ALL, **page: object) -> list[str]:
    facts = {"now": NOW, "limit": 9} | page
    found = suppressions.list_(connection, 1, filters, **facts)  # type: ignore[arg-type]
    return [one.key.partition("@")[0] for one in found]


def told(connection: Connection) -> list[tuple[str, object]]:
    """What kind of event was written about which address."""
    return [
        (one.kind.value, one.data["email"]) for one in events.read(connection, after=0, limit=99)
    ]


def test_looking_up(connection: Connection) -> None:
    assert add(connection, "a@example.net")
    assert add(connection, "b@example.net", "complaint")
    names = ["a@example.net", "b@example.net", "c@example.net"]
    found = {"a@example.net": "bounce", "b@example.net": "complaint"}
    assert suppressions.lookup(connection, 1, names, NOW) == found
    assert suppressions.lookup(connection, 2, names, NOW) == {}
    assert suppressions.lookup(connection, 1, [], NOW) == {}
    many = [f"u{number}@example.net" for number in range(3000)]
    assert suppressions.lookup(connection, 1, [*many, *names], NOW) == found


def test_the_first_reason_stays(connection: Connection) -> None:
    add(connection, "a@example.net", "complaint")
    assert not add(connection, "a@example.net", "manual", now=LATER, expires_at=NOW + HOUR)
    [record] = suppressions.list_(connection, 1, now=NOW, limit=9)
    assert (record.address, record.reason) == ("A@EXAMPLE.NET", "complaint")
    assert (record.created_at, record.expires_at) == (NOW, None)


def test_what_lasts_longer_takes_its_place(connection: Connection) -> None:
    assert add(connection, "a@example.net", expires_at=NOW + HOUR)
    assert not add(connection, "a@example.net", "short", expires_at=NOW + HOUR / 2)
    assert not add(connection, "a@example.net", "same", expires_at=NOW + HOUR)
    assert add(connection, "a@example.net", "longer", expires_at=NOW + 2 * HOUR)
    assert add(connection, "a@example.net", "for good")
    record = suppressions.get(connection, 1, "a@example.net", now=NOW)
    assert record is not None
    assert (record.reason, record.expires_at) == ("for good", None)


def test_an_expired_one_no_longer_counts(connection: Connection) -> None:
    add(connection, "a@example.net", expires_at=LATER)
    assert suppressions.lookup(connection, 1, ["a@example.net"], NOW)
    assert not suppressions.lookup(connection, 1, ["a@example.net"], LATER)
    assert suppressions.get(connection, 1, "a@example.net", now=LATER) is None
    assert suppressions.list_(connection, 1, now=LATER, limit=9) == []
    assert suppressions.count(connection, 1, ALL, now=LATER) == 0
    assert add(connection, "a@example.net", "again", now=LATER, expires_at=LATER + HOUR)
    assert suppressions.forget_expired(connection, LATER, limit=9) == 0
    assert suppressions.forget_expired(connection, LATER + HOUR, limit=9) == 1


def test_it_tells_what_led_to_it(connection: Connection) -> None:
    add(connection, "a@example.net", cause=Cause("gmail-nosuchuser", "ev_1", "em_1"))
    [record] = suppressions.list_(connection, 1, now=NOW, limit=9)
    assert record.cause == Cause("gmail-nosuchuser", "ev_1", "em_1")
    assert suppressions.get(connection, 1, record.id, now=NOW) == record
    assert suppressions.get(connection, 2, record.id, now=NOW) is None
    [event] = events.read(connection, after=0, limit=9)
    assert event.data == {
        "email": "A@EXAMPLE.NET",
        "reason": "bounce",
        "rule": "gmail-nosuchuser",
        "event_id": "ev_1",
        "email_id": "em_1",
    }


def test_removing(connection: Connection) -> None:
    def remove(tenant_id: int) -> bool:
        return suppressions.remove(connection, tenant_id=tenant_id, key="a@example.net", now=LATER)

    add(connection, "a@example.net")
    assert not remove(2)
    assert remove(1)
    assert not remove(1)
    assert suppressions.lookup(connection, 1, ["a@example.net"], NOW) == {}
    assert told(connection) == [
        ("suppression_added", "A@EXAMPLE.NET"),
        ("suppression_removed", "A@EXAMPLE.NET"),
    ]


def test_many_at_once(connection: Connection) -> None:
    add(connection, "a@example.net")
    new = [NewSuppression(f"{name}@example.net", name, "manual") for name in "aabb"]
    added = suppressions.add_all(connection, 1, new, now=NOW, is_told=False)
    assert [one.key for one in added] == ["b@example.net"]
    assert len(told(connection)) == 1  # of the first


def test_lists_are_paged_newest_first(connection: Connection) -> None:
    for number in range(5):
        add(connection, f"u{number}@example.net", "manual" if number % 2 else "bounce")
    first = suppressions.list_(connection, 1, now=NOW, limit=3)
    after = first[-1].id
    assert keys(connection) == ["u4", "u3", "u2", "u1", "u0"]
    assert keys(connection, limit=3, after=after) == ["u1", "u0"]
    assert keys(connection, limit=1, before=after) == ["u3"]
    assert keys(connection, after="em_" + "0" * 26) == []
    assert keys(connection, before="em_" + "0" * 26) == []
    assert suppressions.list_(connection, 2, now=NOW, limit=9) == []


def test_filters(connection: Connection) -> None:
    add(connection, "old@example.net")
    add(connection, "new@example.net", "manual", now=LATER)
    add(connection, "100%_x@example.org", now=LATER, cause=Cause(rule="imp_1"))
    for filters, expected in {
        SuppressionFilter(reason="bounce"): ["100%_x", "old"],
        SuppressionFilter(rule="imp_1"): ["100%_x"],
        SuppressionFilter(since=LATER): ["100%_x", "new"],
        SuppressionFilter(since=LATER + HOUR): [],
        SuppressionFilter(since=LATER, reason="manual"): ["new"],
        SuppressionFilter(text="EXAMPLE.net"): ["new", "old"],
        SuppressionFilter(text="%_x"): ["100%_x"],
        SuppressionFilter(text="_ew"): [],
        SuppressionFilter(text="\\"): [],
    }.items():
        assert keys(connection, filters) == expected, filters
        assert suppressions.count(connection, 1, filters, now=NOW) == len(expected)


def test_what_came_together_goes_together(connection: Connection) -> None:
    add(connection, "old@example.net")
    for number in range(5):
        add(connection, f"u{number}@example.net", now=LATER, cause=Cause(rule="imp_1"))
    wanted = SuppressionFilter(rule="imp_1", since=LATER)
    removed = [suppressions.remove_matching(connection, 1, wanted, limit=2) for _ in range(4)]
    assert removed == [2, 2, 1, 0]
    assert keys(connection) == ["old"]
    assert suppressions.remove_matching(connection, 2, ALL, limit=9) == 0


def test_ids_grow_with_time(connection: Connection) -> None:
    add(connection, "a@example.net", expires_at=LATER)
    add(connection, "b@example.net")
    add(connection, "a@example.net", now=LATER)  # takes the place of the first
    first, second = suppressions.list_(connection, 1, now=NOW, limit=9)
    assert (first.key, second.key) == ("a@example.net", "b@example.net")
    assert (number_of(first.id, "sup") or 0) > (number_of(second.id, "sup") or 0)


def test_suppressions_of_the_first_release_are_kept() -> None:
    connection = dbapi2.connect(":memory:", isolation_level=None)
    for statement in schema.FIRST_RELEASE:
        connection.execute(statement)
    connection.execute("INSERT INTO suppressions VALUES (7, 1, 'a@b', 'A@b', 'bounce', 5)")
    for step in ("suppression_causes", "contacts"):
        for statement in migrations.STEPS[step]:
            connection.execute(statement)
    [record] = suppressions.list_(connection, 1, now=NOW, limit=9)
    assert (number_of(record.id, "sup"), record.address, record.cause) == (7, "A@b", Cause())
    assert add(connection, "c@d")
    newest = suppressions.list_(connection, 1, now=NOW, limit=1)[0]
    assert number_of(newest.id, "sup") == 8  # numbers go on
    connection.close()
