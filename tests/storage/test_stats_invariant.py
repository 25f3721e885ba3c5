"""Whatever happens to mail and however it is pruned, counters tell what the journal has told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.core.outcome import Attempt, Peer
from mta.core.provider import provider_of
from storage import operators, queue, retention, suppressed_entries
from storage.database import Connection
from storage.operators import Selection
from storage.suppressions import NewSuppression
from tests.storage.builders import NOW, OUTCOMES, accept, claim, settlement
from tests.storage.test_stats import count_up

HOUR = timedelta(hours=1)
DOMAINS = ("example.net", "example.org")
SANDBOX = "sandbox.test"
HOSTS = ("mx.example.net", "aspmx.l.google.com", "mx.example.org")
TAGS = ((), (("kind", "n"),), (("kind", "n"), ("kind", "o"), ("list", "x")))
_EVENTS = """
SELECT e.seq, e.tenant_id, e.kind, e.at, COALESCE(q.domain, ''), json_extract(e.data, '$.host'),
    json_extract(e.data, '$.class'), m.tags, m.sender_domain, m.is_test
FROM events e LEFT JOIN entries q ON q.id = e.entry_id LEFT JOIN messages m ON m.id = e.message_id
WHERE e.seq > ? ORDER BY e.seq
"""


@dataclass
class History:
    """Somebody who reads the journal as it grows, and counts by hand.

    Attributes:
        counts: table -> the key of a row -> how many.
    """

    connection: Connection
    now: datetime = NOW
    seq: int = 0
    counts: dict[str, Counter[tuple[Any, ...]]] = field(default_factory=dict)

    def read(self) -> None:
        for row in self.connection.execute(_EVENTS, (self.seq,)).fetchall():
            self.seq, tenant, kind, at, domain, host, bounce_class, tags, sender, is_test = row
            base, last = (tenant, kind, at // 3_600_000), bounce_class or ""
            provider = provider_of(host or "")
            self._add("stats_by_hour", (*base, last))
            self._add("stats_by_domain", (*base, domain, host or "", last))
            self._add("stats_totals", (kind, last, provider))
            if provider:
                self._add("stats_by_provider", (*base, provider, last))
            if sender and not is_test:
                self._add("stats_by_sender", (tenant, sender, kind, base[2]))
            for tag in {tuple(one) for one in self._decoded(tags)}:
                self._add("stats_by_tag", (*base, *tag, last))

    def _decoded(self, tags: str | None) -> list[list[str]]:
        rows = self.connection.execute(
            "SELECT value ->> 0, value ->> 1 FROM json_each(?)", (tags or "[]",)
        )
        return [list(row) for row in rows]

    def _add(self, table: str, key: tuple[Any, ...]) -> None:
        self.counts.setdefault(table, Counter())[key] += 1


KEYS = {
    "stats_by_hour": "tenant_id, kind, hour, class",
    "stats_by_domain": "tenant_id, kind, hour, domain, host, class",
    "stats_by_tag": "tenant_id, kind, hour, name, value, class",
    "stats_by_sender": "tenant_id, domain, kind, hour",
    "stats_by_provider": "tenant_id, kind, hour, provider, class",
    "stats_totals": "kind, class, provider",
}


def counted(connection: Connection, table: str) -> dict[tuple[Any, ...], int]:
    rows = connection.execute(f"SELECT {KEYS[table]}, count FROM {table}")  # noqa: S608
    return {tuple(row[:-1]): row[-1] for row in rows}


def send(history: History, choice: int) -> None:
    people = [f"p{choice}@{domain}" for domain in DOMAINS[: 1 + choice % 2]]
    accept(
        history.connection,
        *people,
        at=history.now,
        tags=TAGS[choice % 3],
        tenant_id=1 + choice % 2,
        is_test=choice > 6,
    )


def attempt(history: History, choice: int) -> None:
    results = tuple(OUTCOMES)
    for entry in claim(history.connection, (*DOMAINS, SANDBOX)[choice % 3], 3, history.now):
        made = settlement(entry, results[choice % len(results)])
        tried = Attempt(made.attempt.outcome, Peer(HOSTS[choice % 3]), history.now, history.now)
        queue.settle(history.connection, [replace(made, attempt=tried)])


def cancel(history: History, _: int) -> None:
    operators.cancel(history.connection, Selection(is_all=True), now=history.now)


def suppress(history: History, choice: int) -> None:
    address = f"p{choice}@{DOMAINS[0]}"
    suppressed_entries.add_and_settle(
        history.connection, 1, [NewSuppression(address, address, "manual")], now=history.now
    )


def count(history: History, _: int) -> None:
    count_up(history.connection)


def prune(history: History, choice: int) -> None:
    before = history.now - HOUR * (choice % 2)
    retention.prune(
        history.connection, bodies_before=before, events_before=before, limit=1 + choice
    )


STEPS = (send, send, attempt, attempt, cancel, suppress, count, prune, prune)


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT history")
    try:
        yield
    finally:
        connection.execute("ROLLBACK TO history")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 8)), min_size=10, max_size=40))
def test_counters_are_what_the_journal_told(connection: Connection, steps: Any) -> None:
    with undone(connection):
        history = History(connection)
        for step, choice in [(send, 1), (count, 0), *steps]:
            history.now += HOUR / 2
            step(history, choice)
            history.read()
        count(history, 0)
        for table in KEYS:
            assert counted(connection, table) == history.counts.get(table, {}), table
