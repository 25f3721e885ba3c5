"""Random histories of mail under a quota: entries, their messages and the quota always agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from mta.core import ids
from mta.core.disposition import Why
from mta.core.envelope import Priority
from mta.core.quota import Quota, Span
from storage import operators, queue, retries, submissions, suppressed_entries, suppressions
from storage.database import Connection
from storage.entries import EntryState, final_status
from storage.operators import Selection
from storage.submissions import AcceptedEmail
from storage.suppressions import NewSuppression
from tests.storage.builders import ANY_SENDER, NOW, OUTCOMES, claim, settlement, submission
from tests.storage.test_stats_invariant import undone

QUOTA = Quota(per_hour=3, per_day=40)
LIMITED = replace(ANY_SENDER, quota=QUOTA)
EVERYTHING = Selection(is_all=True)
DOMAINS = ("example.net", "example.org")
STEP = timedelta(minutes=25)

Place = tuple[str, int]
"""A window of the quota: its span, and its start in ms."""


@dataclass
class Office:
    """Mail of one tenant and lane, and the places in its quota that attempts have used up."""

    connection: Connection
    priority: Priority
    now: datetime = NOW
    used: Counter[Place] = field(default_factory=Counter)

    def check(self) -> None:
        self._check_messages()
        self._check_places()

    def _check_messages(self) -> None:
        messages = "SELECT id, pending, status, settled_at, recipients FROM messages"
        for row, pending, status, settled_at, recipients in self.connection.execute(messages):
            states = [
                EntryState(state)
                for (state,) in self.connection.execute(
                    "SELECT state FROM entries WHERE message_id = ?", (row,)
                )
            ]
            assert len(states) == recipients
            assert pending == sum(not state.is_final for state in states)
            assert (settled_at is None) == (pending > 0)
            if pending == 0:
                assert status == final_status(states)
            else:
                assert status in {"queued", "scheduled", "deferred"}

    def _check_places(self) -> None:
        found = self.connection.execute(
            "SELECT span, start, taken FROM quota_windows WHERE lane = 'all' AND taken > 0"
        )
        taken = {(span, start): count for span, start, count in found}
        assert taken == self.used + self._places("state < 10 AND attempts = 0")

    def _places(self, condition: str) -> Counter[Place]:
        promised = self.connection.execute(
            "SELECT COALESCE(e.eligible_at, m.send_at, m.created_at)"  # noqa: S608 - constants
            f" FROM entries e JOIN messages m ON m.id = e.message_id WHERE {condition}"
        )
        times = [ids.moment(at) for (at,) in promised]
        return Counter(
            (span.value, ids.milliseconds(span.start(at))) for at in times for span in Span
        )

    def claim(self, choice: int) -> list[queue.QueuedEntry]:
        entries = claim(self.connection, DOMAINS[choice % 2], 2, self.now)
        assert all(one.eligible_at <= self.now for one in entries)
        return entries


def send(office: Office, choice: int) -> None:
    people = [f"p{number}@{DOMAINS[number % 2]}" for number in range(1 + choice % 3)]
    made = submission(
        *people,
        send_at=office.now + STEP * 3 if choice % 2 else None,
        priority=office.priority,
    )
    accepted = submissions.accept(office.connection, made, policy=LIMITED, now=office.now)
    assert isinstance(accepted, AcceptedEmail)


def attempt(office: Office, choice: int) -> None:
    entries = office.claim(choice)
    for one in entries:
        if one.attempts == 0:
            office.used += office._places(f"e.id = {one.id}")
    result = tuple(OUTCOMES)[choice % len(OUTCOMES)]
    queue.settle(office.connection, [settlement(one, result) for one in entries])


def interrupt(office: Office, choice: int) -> None:
    """Something is wished of what is under way, which then comes back untried."""
    entries = [one.id for one in office.claim(choice)]
    (hold, cancel, suppress)[choice % 3](office, choice)
    if choice % 2:
        queue.free_claims(office.connection, office.now)
    else:
        queue.give_back(office.connection, entries, due_at=office.now, why=Why.SITE_BUSY)


def hold(office: Office, choice: int) -> None:
    operators.hold(office.connection, Selection(domain=DOMAINS[choice % 2]), now=office.now)


def release(office: Office, _: int) -> None:
    operators.release(office.connection, EVERYTHING, now=office.now)


def cancel(office: Office, choice: int) -> None:
    rows = office.connection.execute("SELECT public_id FROM messages ORDER BY id DESC LIMIT 6")
    some = tuple(public_id for (public_id,) in rows.fetchall()[choice:])
    if some:
        operators.cancel(office.connection, Selection(ids=some), now=office.now)


def suppress(office: Office, choice: int) -> None:
    address = f"p{choice % 3}@{DOMAINS[choice % 3 % 2]}"
    listed = [NewSuppression(address, address, "manual")]
    suppressed_entries.add_and_settle(office.connection, 1, listed, now=office.now)


def forgive(office: Office, choice: int) -> None:
    key = f"p{choice % 3}@{DOMAINS[choice % 3 % 2]}"
    suppressions.remove(office.connection, tenant_id=1, key=key, now=office.now)


def _some_message(office: Office, choice: int) -> int:
    [(row,)] = office.connection.execute(
        "SELECT COALESCE(MAX(id), 0) - ? FROM messages", (choice,)
    ).fetchall()
    return int(row)


def try_anew(office: Office, choice: int) -> None:
    row, at = _some_message(office, choice), office.now + STEP * (choice % 2)
    retries.retry_failed(office.connection, 1, row, at=at, now=office.now, quota=QUOTA)


def move(office: Office, choice: int) -> None:
    row, at = _some_message(office, choice), office.now + STEP * choice
    retries.reschedule(office.connection, 1, row, at=at, now=office.now, quota=QUOTA)


STEPS: tuple[Callable[[Office, int], None], ...] = (
    *(send, send, send, attempt, attempt, interrupt, hold, release, cancel, suppress, forgive),
    *(try_anew, move),
)
MOVES = st.tuples(st.sampled_from(STEPS), st.integers(0, 5))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(priority=st.sampled_from(Priority), moves=st.lists(MOVES, min_size=10, max_size=40))
def test_entries_messages_and_quota_agree(
    connection: Connection,
    priority: Priority,
    moves: list[tuple[Callable[[Office, int], None], int]],
) -> None:
    with undone(connection):
        office = Office(connection, priority)
        for step, choice in moves:
            office.now += STEP
            note(f"{step.__name__} {choice}")
            step(office, choice)
            office.check()
