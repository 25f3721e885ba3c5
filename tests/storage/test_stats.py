"""Counters that follow the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Delivered, Disposition
from mta.core.outcome import Attempt, Peer
from storage import events, queue, retention, stats
from storage.database import Connection, Database
from storage.stats import Group, Scope, Total
from tests.storage import builders
from tests.storage.builders import NOW, accept, claim

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCOPE = Scope(1, NOW, NOW + DAY)


def count_up(connection: Connection) -> int:
    """Count all that there is; return in how many steps."""
    steps = 0
    while (tallied := stats.tally(connection)).end > tallied.start:
        stats.record(connection, tallied)
        steps += 1
    return steps


def settle(
    connection: Connection,
    disposition: Disposition,
    *,
    domain: str = "example.net",
    host: str = "mx.example.net",
    at: datetime = NOW,
) -> None:
    """Let one attempt at all that is due for a domain end so."""
    outcome = builders.OUTCOMES[type(disposition).__name__.lower()][0]
    attempt = Attempt(outcome, Peer(host), at, at)
    entries = claim(connection, domain, at=at)
    queue.settle(connection, [queue.Settlement(one.id, 1, disposition, attempt) for one in entries])


def totals(connection: Connection, scope: Scope, *kinds: str) -> dict[str, int]:
    found = stats.totals(connection, scope, kinds)
    return {f"{one.kind} {one.bounce_class}".strip(): one.count for one in found}


def fill(connection: Connection) -> None:
    """Three delivered to two domains, one of them an hour later; one bounced; one waits."""
    accept(connection, "a@example.net", "b@example.net", tags=(("campaign", "x"), ("kind", "n")))
    settle(connection, Delivered())
    accept(connection, "c@example.org", tags=(("campaign", "x"),))
    settle(connection, Delivered(), domain="example.org", host="mx.google.com", at=NOW + HOUR)
    accept(connection, "d@example.net")
    settle(connection, Bounced(BounceClass.BAD_MAILBOX))
    accept(connection, "e@example.net")


def test_every_event_counts_once(connection: Connection) -> None:
    fill(connection)
    assert count_up(connection) == 1
    assert count_up(connection) == 0
    expected = {"queued": 5, "delivered": 3, "bounced bad_mailbox": 1}
    assert totals(connection, SCOPE, "queued", "delivered", "bounced") == expected
    accept(connection, "f@example.net")
    assert count_up(connection) == 1
    assert totals(connection, SCOPE, "queued") == {"queued": 6}


def test_somebody_else_was_faster(connection: Connection) -> None:
    accept(connection, "a@example.net")
    first, second = stats.tally(connection), stats.tally(connection)
    stats.record(connection, first)
    stats.record(connection, second)
    assert totals(connection, SCOPE, "queued") == {"queued": 1}


async def test_catching_up_takes_as_many_steps_as_it_needs(database: Database) -> None:
    def work(connection: Connection) -> None:
        for _ in range(12):
            accept(connection, *(f"u{number}@example.net" for number in range(1000)))

    database.write_now(work)
    await stats.catch_up(database)
    assert database.read_now(lambda c: totals(c, SCOPE, "queued")) == {"queued": 12_000}


def test_only_what_is_asked_for(connection: Connection) -> None:
    fill(connection)
    accept(connection, "x@example.net", tenant_id=2)
    count_up(connection)
    for scope, expected in {
        replace(SCOPE, tenant_id=2): {},
        replace(SCOPE, tenant_id=3): {},
        replace(SCOPE, domain="example.org"): {"delivered": 1},
        replace(SCOPE, tag=("campaign", "x")): {"delivered": 3},
        replace(SCOPE, tag=("kind", "n")): {"delivered": 2},
        replace(SCOPE, tag=("kind", "x")): {},
        replace(SCOPE, until=NOW + HOUR): {"delivered": 2},
        replace(SCOPE, since=NOW + HOUR): {"delivered": 1},
        replace(SCOPE, until=NOW + HOUR + HOUR / 2): {"delivered": 3},  # the hour counts whole
    }.items():
        assert totals(connection, scope, "delivered") == expected, scope
    assert stats.totals(connection, replace(SCOPE, tenant_id=2), ["queued"]) == [
        Total("queued", "", 1)
    ]


def test_series(connection: Connection) -> None:
    fill(connection)
    count_up(connection)
    assert stats.timeseries(connection, SCOPE, "delivered", hours=1) == {NOW: 2, NOW + HOUR: 1}
    midnight = NOW.replace(hour=0)
    assert stats.timeseries(connection, SCOPE, "delivered", hours=24) == {midnight: 3}
    assert stats.timeseries(connection, SCOPE, "expired", hours=1) == {}


def test_groups(connection: Connection) -> None:
    fill(connection)
    count_up(connection)

    def top(group: Group, limit: int = 9) -> Sequence[tuple[str, int]]:
        return stats.top(connection, SCOPE, "delivered", group, limit=limit)

    assert top(Group.DOMAIN) == [("example.net", 2), ("example.org", 1)]
    assert top(Group.DOMAIN, 1) == [("example.net", 2)]
    assert top(Group.MX) == [("mx.example.net", 2), ("mx.google.com", 1)]
    assert top(Group.TAG) == [("campaign=x", 3), ("kind=n", 2)]
    for group, name in ((Group.DOMAIN, "example.org"), (Group.MX, "mx.google.com")):
        series = stats.timeseries_of(connection, SCOPE, "delivered", (group, name), hours=1)
        assert series == {NOW + HOUR: 1}
    tag = (Group.TAG, "campaign=x")
    assert stats.timeseries_of(connection, SCOPE, "delivered", tag, hours=24).values() != []


def test_totals_of_all_tenants_have_few_labels(connection: Connection) -> None:
    fill(connection)
    accept(connection, "x@example.net", tenant_id=2)
    count_up(connection)
    assert stats.all_totals(connection) == [
        ("bounced", "bad_mailbox", "other", 1),
        ("delivered", "", "google", 1),
        ("delivered", "", "other", 2),
        ("queued", "", "", 6),
    ]


def test_events_that_are_not_about_mail_count_too(connection: Connection) -> None:
    none = events.NO_ROW
    row = (none, none, 1, "domain_verified", int(NOW.timestamp() * 1000), '{"domain":"a.test"}')
    events.append(connection, [row])
    count_up(connection)
    assert totals(connection, SCOPE, "domain_verified") == {"domain_verified": 1}


def test_no_event_is_forgotten_before_it_is_counted(connection: Connection) -> None:
    fill(connection)
    count_up(connection)
    accept(connection, "late@example.net")
    much_later = NOW + 99 * DAY
    pruned = retention.prune(
        connection, bodies_before=much_later, events_before=much_later, limit=100
    )
    assert pruned.events == 9
    count_up(connection)
    assert totals(connection, SCOPE, "queued") == {"queued": 6}


def test_what_is_damaged_counts_without_details_and_is_forgotten(connection: Connection) -> None:
    fill(connection)
    connection.execute("UPDATE events SET data = '{' WHERE kind = 'bounced'")
    connection.execute("UPDATE messages SET tags = '[' WHERE tags <> '[]'")
    connection.execute("UPDATE events SET data = '' WHERE kind = 'queued'")
    count_up(connection)
    assert totals(connection, SCOPE, "bounced", "queued") == {"bounced": 1, "queued": 5}
    assert len(events.read(connection, after=0, limit=99)) == 9
    much_later = NOW + 99 * DAY
    pruned = retention.prune(
        connection, bodies_before=much_later, events_before=much_later, limit=100
    )
    assert (pruned.events, pruned.messages) == (9, 3)


def test_old_hours_are_forgotten_in_steps(connection: Connection) -> None:
    fill(connection)
    count_up(connection)
    while stats.forget_before(connection, NOW + HOUR, limit=1):
        pass
    assert totals(connection, SCOPE, "queued", "delivered") == {"delivered": 1}
    assert stats.all_totals(connection)


def test_how_a_sender_domain_fares(connection: Connection) -> None:
    fill(connection)
    count_up(connection)
    fared = stats.fared(connection, 1, "sender.example", since=NOW)
    assert (fared.delivered, fared.bounced, fared.sent) == (3, 1, 4)
    assert stats.fared(connection, 1, "other.example", since=NOW).score is None
    assert stats.fared(connection, 2, "sender.example", since=NOW).score is None


def test_the_sandbox_tells_nothing_of_a_sender_domain(connection: Connection) -> None:
    accept(connection, is_test=True)
    settle(connection, Bounced(BounceClass.BAD_MAILBOX), domain="sandbox.test")
    count_up(connection)
    assert totals(connection, SCOPE, "bounced") == {"bounced bad_mailbox": 1}
    assert stats.fared(connection, 1, "sender.example", since=NOW).score is None
