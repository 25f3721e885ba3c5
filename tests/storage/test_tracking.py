"""Openings and clicks in storage: counted all, told once."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from storage import contacts, events, joining, retention, tracking
from storage.contacts import NewContact
from storage.database import Connection, Database
from storage.tracking import CountedHit, Engagement
from tests.storage.builders import LATER, NOW, accept

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


def hit(
    target: str = "", *, entry: int = 1, count: int = 1, agent: str = BROWSER, tenant: int = 1
) -> CountedHit:
    return CountedHit(tenant, entry, target, agent, "GET", "192.0.2.1", LATER, count)


def told(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    rows = connection.execute("SELECT kind, data FROM events WHERE kind IN ('opened', 'clicked')")
    return [(kind, json.loads(data)) for kind, data in rows]


def record(database: Database, *hits: CountedHit) -> int:
    return database.write_now(lambda db: tracking.record(db, hits))


def engagement(database: Database) -> Engagement | None:
    return database.read_now(lambda db: tracking.of_message(db, 1)).get(1)


def test_the_first_opening_is_told_and_all_are_counted(database: Database) -> None:
    database.write_now(accept)
    assert record(database, hit(count=3)) == 1
    assert record(database, hit(count=2)) == 0
    assert engagement(database) == Engagement(opens=5, first_opened_at=LATER, last_opened_at=LATER)
    assert database.read_now(told) == [
        ("opened", {"user_agent": BROWSER, "ip": "192.0.2.1"}),
    ]


def test_each_link_is_told_once(database: Database) -> None:
    database.write_now(accept)
    record(database, hit("https://a.example/"), hit("https://b.example/"))
    record(database, hit("https://a.example/", count=7))
    found = engagement(database)
    assert found is not None
    assert (found.clicks, found.opens) == (9, 0)
    assert [data["url"] for _, data in database.read_now(told)] == [
        "https://a.example/",
        "https://b.example/",
    ]


def test_machines_are_counted_apart(database: Database) -> None:
    database.write_now(accept)
    record(database, hit(agent="Mozilla/5.0"), hit("https://a.example/", agent="curl/8.0"))
    record(database, hit(agent="Mozilla/5.0"))
    assert engagement(database) == Engagement(machine_opens=2, machine_clicks=1)
    assert [data["machine"] for _, data in database.read_now(told)] == ["apple_privacy", "scanner"]
    assert record(database, hit()) == 1  # and then a person comes


def test_others_mail_and_mail_that_is_gone_are_not_counted(database: Database) -> None:
    database.write_now(accept)
    assert record(database, hit(tenant=2), hit(entry=99)) == 0
    assert engagement(database) is None


def test_a_contact_knows_when_a_person_last_did_so(database: Database) -> None:
    database.write_now(accept)
    [key] = database.read_now(lambda db: db.execute("SELECT recipient FROM entries").fetchone())
    new = [NewContact(key, key)]
    database.write_now(lambda db: joining.put(db, 1, new, now=NOW))
    record(database, hit(agent="curl/8.0"), hit(tenant=2))
    assert database.read_now(lambda db: _seen(db, key)) == (None, None)
    record(database, hit())
    assert database.read_now(lambda db: _seen(db, key)) == (LATER, None)
    record(database, hit("https://a.example/"))
    assert database.read_now(lambda db: _seen(db, key)) == (LATER, LATER)


def _seen(connection: Connection, key: str) -> tuple[datetime | None, datetime | None]:
    found = contacts.get(connection, 1, key)
    assert found is not None
    return found.opened_at, found.clicked_at


def test_nothing_stays_when_the_mail_goes(database: Database) -> None:
    database.write_now(accept)
    record(database, hit(), hit("https://a.example/"))

    def forget(db: Connection) -> list[int]:
        db.execute("UPDATE messages SET settled_at = 1, pending = 0")
        far = NOW + timedelta(days=400)
        db.execute("INSERT INTO counters VALUES ('statistics', ?)", (events.last_seq(db),))
        retention.prune(db, bodies_before=far, events_before=far, limit=100)
        tables = ("messages", "engagement", "link_clicks")
        return [db.execute(f"SELECT COUNT(*) FROM {one}").fetchone()[0] for one in tables]  # noqa: S608

    assert database.write_now(forget) == [0, 0, 0]
