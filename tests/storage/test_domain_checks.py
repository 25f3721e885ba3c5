"""Looks at domains: what is due, what a look changes, what the journal says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from mta.core.domain_records import KeyState
from mta.core.domain_standing import DomainStatus
from mta.core.event import EventKind
from storage import dkim_rotation, domain_checks, domains, events
from storage.database import Connection
from storage.domain_checks import CheckRules, Concluded, Look
from storage.domains import DkimKeyRecord, DomainRecord
from tests.storage.builders import NOW

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
RULES = CheckRules(interval=DAY, key_life=7 * DAY)
ACTIVE, NEXT, RETIRED = KeyState.ACTIVE, KeyState.NEXT, KeyState.RETIRED
KEY = DkimKeyRecord("mw1", "rsa-sha256", "keys/sender.example/mw1.pem", "MIIB")
NEW_KEY = DkimKeyRecord("mw2", "rsa-sha256", "keys/sender.example/mw2.pem", "MIIC")
RECORD = {"record": "DKIM", "type": "TXT", "name": "n", "value": "v", "status": "good"}
REPORT = {"records": [{**RECORD, "advice": "", "found": []}], "alignment": None}


def add(connection: Connection, name: str = "sender.example") -> DomainRecord:
    return domains.add_domain(
        connection, tenant_id=1, domain_id=f"dom_{name}", name=name, keys=[KEY], now=NOW
    )


def concluded(
    connection: Connection, look: Look, *, name: str = "sender.example", after: timedelta = DAY
) -> Concluded:
    found = domain_checks.conclude(connection, f"dom_{name}", look, rules=RULES, now=NOW + after)
    assert found is not None
    return found


def look(verified: bool | None, keys: tuple[DkimKeyRecord, ...] = (KEY,)) -> Look:
    return Look(keys, REPORT, verified)


def test_a_new_domain_is_due_a_minute_later(connection: Connection) -> None:
    assert domain_checks.next_due(connection) is None
    domain = add(connection)
    assert domain_checks.next_due(connection) == NOW + MINUTE
    assert domain_checks.due(connection, NOW, limit=9) == []
    assert domain_checks.due(connection, NOW + MINUTE, limit=9) == [domain.id]


def test_a_good_look_verifies_and_tells(connection: Connection) -> None:
    add(connection)
    found = concluded(connection, look(verified=True))
    assert found.event is EventKind.DOMAIN_VERIFIED
    assert found.domain.standing.status is DomainStatus.VERIFIED
    assert found.domain.report == REPORT
    assert domains.verified_among(connection, 1, ["sender.example"])
    assert domain_checks.next_due(connection) == NOW + 2 * DAY
    [event] = events.read(connection, after=0, limit=9, tenant_id=1)
    assert (event.kind, event.at) == (EventKind.DOMAIN_VERIFIED, NOW + DAY)
    assert (event.email_id, event.entry_id, event.recipient, event.tags) == ("", "", "", ())
    assert event.data == {
        "id": "dom_sender.example",
        "name": "sender.example",
        "status": "verified",
        "records": [{**RECORD, "advice": ""}],
    }
    assert events.by_seq(connection, event.seq) == event
    assert events.read(connection, after=0, limit=9, tenant_id=2) == []


def test_the_second_bad_look_takes_the_standing(connection: Connection) -> None:
    add(connection)
    concluded(connection, look(verified=True))
    first = concluded(connection, look(verified=False), after=2 * DAY)
    assert (first.event, first.domain.failures) == (None, 1)
    assert domain_checks.next_due(connection) == NOW + 2 * DAY + 5 * MINUTE
    second = concluded(connection, look(verified=False), after=3 * DAY)
    assert second.event is EventKind.DOMAIN_FAILED
    assert second.domain.failed_at == NOW + 3 * DAY
    assert not domains.verified_among(connection, 1, ["sender.example"])
    assert len(events.read(connection, after=0, limit=9)) == 2


def test_a_dns_that_does_not_answer_changes_nothing(connection: Connection) -> None:
    add(connection)
    concluded(connection, look(verified=True))
    for number in range(2, 9):
        concluded(connection, look(verified=None), after=number * DAY)
    assert domains.verified_among(connection, 1, ["sender.example"])


def test_a_look_at_other_keys_proves_nothing(connection: Connection) -> None:
    domain = add(connection)
    dkim_rotation.begin(connection, domain.id, [NEW_KEY], NOW)
    found = concluded(connection, replace(look(verified=True), is_next_seen=True))
    assert (found.event, found.is_switched) == (None, False)
    assert found.domain.standing.status is DomainStatus.PENDING


def test_a_rotation(connection: Connection) -> None:
    domain = add(connection)
    version = domains.keys_version(connection)
    dkim_rotation.begin(connection, domain.id, [NEW_KEY], NOW)
    assert domain_checks.next_due(connection) == NOW
    both = (KEY, replace(NEW_KEY, state=NEXT))

    waiting = concluded(connection, look(True, both), after=MINUTE)
    assert waiting.domain.keys == both
    assert domains.signing_keys(connection) == {"sender.example": (KEY,)}
    assert domains.keys_version(connection) == version
    assert domain_checks.next_due(connection) == NOW + 6 * MINUTE

    seen = concluded(connection, replace(look(True, both), is_next_seen=True), after=DAY)
    assert seen.is_switched
    assert seen.domain.keys == (replace(KEY, state=RETIRED), NEW_KEY)
    assert domains.signing_keys(connection) == {"sender.example": (NEW_KEY,)}
    assert domains.keys_version(connection) == version + 1

    later = concluded(connection, look(True, seen.domain.keys), after=8 * DAY)
    assert later.forgotten == ()
    last = concluded(connection, look(True, seen.domain.keys), after=8 * DAY + MINUTE)
    assert last.forgotten == (replace(KEY, state=RETIRED),)
    assert last.domain.keys == (NEW_KEY,)
    assert domains.keys_version(connection) == version + 1


def test_a_domain_that_is_gone(connection: Connection) -> None:
    found = domain_checks.conclude(connection, "dom_x", look(True), rules=RULES, now=NOW)
    assert found is None


def test_hosts_and_pages(connection: Connection) -> None:
    for name in ("a.example", "b.example", "c.example"):
        add(connection, name)
    domains.set_hosts(
        connection, "dom_a.example", return_path="r.a.example", tracking_host="", now=NOW
    )
    assert domain_checks.due(connection, NOW, limit=9) == ["dom_a.example"]
    [listed] = [one for one in domains.list_domains(connection) if one.name == "a.example"]
    assert listed.return_path == "r.a.example"

    def names(**bounds: str) -> list[str]:
        return [d.name[0] for d in domains.page(connection, 1, limit=2, **bounds)]

    assert names() == ["c", "b"]
    assert names(after="dom_b.example") == ["a"]
    assert names(before="dom_a.example") == ["c", "b"]
    assert domains.page(connection, 2, limit=9) == []
    assert (domains.count(connection, 1), domains.count(connection, 2)) == (3, 0)
