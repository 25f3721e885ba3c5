"""A queue in memory with the methods of mta.engine_store.EngineStore, and a count of its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mta.core.canonical import body_hash
from mta.core.disposition import Deferred, Disposition, Why
from mta.core.envelope import Priority
from mta.core.message import Message
from mta.core.outcome import Attempt
from mta.engine_store import KeyBook, Marks, News
from storage.queue import (
    Claim,
    ClaimedMessage,
    ClaimRequest,
    DomainDue,
    QueuedEntry,
    QueuedMessage,
    Settlement,
)

HEADER = b"From: a@sender.test\r\n\r\n"


@dataclass
class Row:
    """An entry as it is stored."""

    id: int
    message: QueuedMessage
    recipient: str
    priority: Priority
    due_at: datetime
    eligible_at: datetime
    state: str = "waiting"
    attempts: int = 0
    why: Why = Why.NEW

    @property
    def domain(self) -> str:
        return self.recipient.rpartition("@")[2]


class FakeEngineStore:
    """Entries, what became of them, and how often the engine asked."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.calls: Counter[str] = Counter()
        self.settled: list[tuple[str, Disposition, Attempt]] = []
        self.claims: list[dict[str, int]] = []
        self.suspended: dict[str, tuple[datetime, Why, str]] = {}
        self.directives: list[str] = []
        self.keys = KeyBook({}, 0)
        self.before: Callable[[str], object] = lambda call: None
        self.claimed: list[list[str]] = []
        self._messages = 0
        self._by_domain: dict[str, list[Row]] = {}

    # For tests.

    def add(
        self,
        *recipients: str,
        now: datetime,
        due_at: datetime | None = None,
        priority: Priority = Priority.TRANSACTIONAL,
        body: bytes = b"Hello\r\n",
        campaign: int | None = None,
    ) -> QueuedMessage:
        self._messages += 1
        data = HEADER + body
        message = QueuedMessage(
            id=self._messages,
            public_id=f"em_{self._messages}",
            tenant_id=1,
            mail_from="a@sender.test",
            ret="",
            envid="",
            message=Message(data, None, len(data), len(HEADER), body_hash(body), False),
            header_8bit=False,
            sender_domain="sender.test",
            queued_at=now,
            campaign=campaign,
        )
        for recipient in recipients:
            number = len(self.rows) + 1
            due = due_at or now
            row = self.rows[number] = Row(number, message, recipient, priority, due, due)
            self._by_domain.setdefault(row.domain, []).append(row)
        return message

    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.rows.values())

    def state_of(self, recipient: str) -> str:
        return next(row.state for row in self.rows.values() if row.recipient == recipient)

    # What the engine calls.

    async def begin(self, now: datetime) -> News:
        self._called("begin")
        for row in self.rows.values():
            if row.state == "claimed":
                row.state, row.due_at = "waiting", now
        self.suspended.clear()
        return News(self._due(self.rows.values()), self._marks())

    async def news(self, since: Marks) -> News:
        self._called("news")
        new = [self.rows[number] for number in range(since.entry_id + 1, len(self.rows) + 1)]
        urgent = {row.domain for row in new if row.priority is Priority.TRANSACTIONAL}
        for domain in self.directives[since.directive_id :]:
            new += self._by_domain[domain]
        due = [replace(one, is_urgent=one.domain in urgent) for one in self._due(new)]
        return News(due, self._marks())

    async def after_set_back(self, now: datetime, longest: timedelta) -> News:
        self._called("after_set_back")
        for row in self.rows.values():
            if row.state == "waiting" and row.why not in {Why.SCHEDULED, Why.QUOTA}:
                latest = now if row.why is Why.NEW else now + longest
                row.due_at = min(row.due_at, latest)
        return News(self._due(self.rows.values()), self._marks())

    async def claim(self, requests: Sequence[ClaimRequest], now: datetime) -> Claim:
        self._called("claim")
        assert len({request.domain for request in requests}) == len(requests)
        self.claims.append({request.domain: request.limit for request in requests})
        claimed: list[ClaimedMessage] = []
        next_due: dict[str, datetime | None] = {}
        for request in requests:
            rows = self._by_domain.get(request.domain, [])
            waiting = [row for row in rows if row.state == "waiting"]
            due = sorted(
                (row for row in waiting if row.due_at <= now and _is_wanted(row, request)),
                key=lambda row: (row.priority, row.due_at, row.id),
            )[: request.limit]
            claimed += self._claimed(due)
            left = (row.due_at for row in waiting if row.state == "waiting")
            next_due[request.domain] = min(left, default=None)
        self.claimed.append([entry.recipient for one in claimed for entry in one.entries])
        return Claim(tuple(claimed), next_due, self.keys.version)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        self._called("settle")
        for each in settlements:
            row = self.rows[each.entry_id]
            assert row.state == "claimed", row
            row.attempts = each.attempts
            row.state = type(each.disposition).__name__.lower()
            if isinstance(each.disposition, Deferred):
                row.state, row.due_at = "waiting", each.disposition.due_at
                row.why = each.disposition.why
            self.settled.append((row.recipient, each.disposition, each.attempt))

    async def give_back(self, entry_ids: Sequence[int], due_at: datetime, why: Why) -> None:
        self._called("give_back")
        for number in entry_ids:
            row = self.rows[number]
            assert row.state == "claimed", row
            row.state, row.due_at, row.why = "waiting", due_at, why

    async def suspend(self, site: str, until: datetime, why: Why, detail: str) -> None:
        self._called("suspend")
        self.suspended[site] = (until, why, detail)

    async def lift(self, site: str) -> None:
        self._called("lift")
        self.suspended.pop(site, None)

    async def key_book(self) -> KeyBook:
        self._called("key_book")
        return self.keys

    def _called(self, call: str) -> None:
        self.calls[call] += 1
        self.before(call)

    def _marks(self) -> Marks:
        return Marks(len(self.rows), len(self.directives))

    def _due(self, rows: object) -> list[DomainDue]:
        earliest: dict[str, datetime] = {}
        for row in rows:  # type: ignore[attr-defined]
            if row.state == "waiting":
                known = earliest.get(row.domain, row.due_at)
                earliest[row.domain] = min(known, row.due_at)
        return [DomainDue(domain, due_at) for domain, due_at in earliest.items()]

    def _claimed(self, rows: Sequence[Row]) -> list[ClaimedMessage]:
        by_message: dict[int, list[Row]] = {}
        for row in rows:
            row.state = "claimed"
            by_message.setdefault(row.message.id, []).append(row)
        return [
            ClaimedMessage(group[0].message, tuple(_entry(row) for row in group))
            for group in by_message.values()
        ]


def _entry(row: Row) -> QueuedEntry:
    return QueuedEntry(
        row.id, row.recipient, row.domain, "", "", row.priority, row.attempts, row.eligible_at
    )


def _is_wanted(row: Row, request: ClaimRequest) -> bool:
    since = request.waiting_since
    return row.priority in request.lanes and (since is None or row.eligible_at <= since)
