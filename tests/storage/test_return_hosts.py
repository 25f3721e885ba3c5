"""Hosts for return paths of tenants: used while the DNS is right, known for good."""

from __future__ import annotations

import pytest

from mta.core.event import JsonValue
from storage import domains, return_hosts
from storage.database import Connection, Database
from tests.storage.builders import NOW

HOST = "bounce.ant.test"
ANT = (1, "ant.test")


def look(*statuses: str, host: str = HOST) -> dict[str, JsonValue]:
    records: list[JsonValue] = [
        {"record": "Return-Path", "name": host, "status": status} for status in statuses
    ]
    return {"records": [{"record": "SPF", "name": "ant.test", "status": "missing"}, *records]}


def note(connection: Connection, report: dict[str, JsonValue], host: str = HOST) -> bool:
    return return_hosts.note(connection, tenant_id=1, domain="ant.test", host=host, report=report)


def test_a_host_is_used_while_all_its_records_are_good(database: Database) -> None:
    def work(db: Connection) -> None:
        assert not note(db, look("good", "missing"))
        assert not return_hosts.is_known(db, HOST)
        assert note(db, look("good", "good"))
        assert return_hosts.used(db) == {ANT: HOST}
        assert not note(db, look("good", "good")), "nothing changes"
        assert note(db, look("wrong", "good"))
        assert return_hosts.used(db) == {}
        assert return_hosts.is_known(db, HOST, 1), "what was sent may be answered for weeks"
        assert note(db, look("good", "good")), "used again"

    database.write_now(work)


@pytest.mark.parametrize(
    ("report", "host"),
    [
        (look("unreachable", "good"), HOST),  # the DNS did not answer
        (look("not_checked", "missing"), HOST),
        (look("missing", "missing", host="old.ant.test"), HOST),  # a look at the host of before
        (look(), HOST),
        ({}, HOST),
        (look("missing", "missing"), ""),
    ],
)
def test_a_look_that_tells_nothing_changes_nothing(
    database: Database, report: dict[str, JsonValue], host: str
) -> None:
    def work(db: Connection) -> None:
        note(db, look("good", "good"))
        assert not note(db, report, host)
        assert return_hosts.used(db) == {ANT: HOST}

    database.write_now(work)


def test_a_host_is_known_for_its_tenant_only(database: Database) -> None:
    def work(db: Connection) -> None:
        note(db, look("good", "good"))
        assert return_hosts.is_known(db, HOST)
        assert not return_hosts.is_known(db, HOST, 2)
        assert not return_hosts.is_known(db, "ant.test", 1)

    database.write_now(work)


def test_another_host_and_a_deleted_domain_end_its_use(database: Database) -> None:
    def work(db: Connection) -> None:
        added = domains.add_domain(
            db, tenant_id=1, domain_id="dom_1", name="ant.test", keys=(), now=NOW
        )

        def set_host(host: str) -> int:
            domains.set_hosts(db, added.id, return_path=host, tracking_host="", now=NOW)
            return domains.keys_version(db)

        before = set_host(HOST)
        note(db, look("good", "good"))
        assert set_host(HOST) == before
        assert return_hosts.used(db) == {ANT: HOST}
        assert set_host("b.ant.test") > before, "processes read their books again"
        assert return_hosts.used(db) == {}
        note(db, look("good", "good", host="b.ant.test"), "b.ant.test")
        domains.delete_domain(db, 1, "ant.test")
        assert return_hosts.used(db) == {}
        assert return_hosts.is_known(db, HOST, 1)

    database.write_now(work)
