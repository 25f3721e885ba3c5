from __future__ import annotations

from storage import suppressions
from storage.database import Connection
from tests.storage.builders import LATER, NOW


def add(connection: Connection, key: str, reason: str = "bounce") -> bool:
    return suppressions.add(
        connection, tenant_id=1, key=key, address=key.upper(), reason=reason, now=NOW
    )


def test_looking_up(connection: Connection) -> None:
    assert add(connection, "a@example.net")
    assert add(connection, "b@example.net", "complaint")
    keys = ["a@example.net", "b@example.net", "c@example.net"]
    found = {"a@example.net": "bounce", "b@example.net": "complaint"}
    assert suppressions.lookup(connection, 1, keys) == found
    assert suppressions.lookup(connection, 2, keys) == {}
    assert suppressions.lookup(connection, 1, []) == {}
    many = [f"u{number}@example.net" for number in range(3000)]
    assert suppressions.lookup(connection, 1, [*many, *keys]) == found


def test_the_first_reason_stays(connection: Connection) -> None:
    add(connection, "a@example.net", "complaint")
    assert not suppressions.add(
        connection, tenant_id=1, key="a@example.net", address="", reason="manual", now=LATER
    )
    [record] = suppressions.list_(connection, 1, limit=9)
    assert (record.address, record.reason) == ("A@EXAMPLE.NET", "complaint")
    assert record.created_at == NOW


def test_removing(connection: Connection) -> None:
    add(connection, "a@example.net")
    assert not suppressions.remove(connection, tenant_id=2, key="a@example.net")
    assert suppressions.remove(connection, tenant_id=1, key="a@example.net")
    assert not suppressions.remove(connection, tenant_id=1, key="a@example.net")
    assert suppressions.lookup(connection, 1, ["a@example.net"]) == {}


def test_lists_are_paged_newest_first(connection: Connection) -> None:
    for number in range(5):
        add(connection, f"u{number}@example.net", "manual" if number % 2 else "bounce")
    first = suppressions.list_(connection, 1, limit=3)
    second = suppressions.list_(connection, 1, limit=3, after=first[-1].id)
    assert [one.key[:2] for one in first + second] == ["u4", "u3", "u2", "u1", "u0"]
    assert [one.key[:2] for one in suppressions.list_(connection, 1, limit=9, reason="manual")] == [
        "u3",
        "u1",
    ]
    assert suppressions.list_(connection, 1, limit=9, after="em_" + "0" * 26) == []
    assert suppressions.list_(connection, 2, limit=9) == []
