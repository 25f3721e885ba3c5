"""From what attempts led to, to what is written down: decide, settle, and note when to try again.

The decision is core/disposition.py, the writing storage/settlement.py. Everything that ends an
attempt comes through here: transactions, sites that cannot be reached, domains without a route.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import TypeVar

from mta.core.bounce import HARD
from mta.core.bounce_rules import Classifier
from mta.core.diagnostic import Diagnostic
from mta.core.disposition import (
    Bounced,
    Deferred,
    Delivered,
    Disposition,
    EntryFacts,
    Expired,
    Quarantined,
    Why,
    decide,
)
from mta.core.frozen import frozen
from mta.core.outcome import Accepted, Ambiguous, Attempt, Outcome, Refused, Unreachable
from mta.core.reply import Reply
from mta.core.retry import RetrySchedule
from mta.core.sandbox import complains
from mta.engine_store import EngineStore
from mta.logs import log_event
from mta.telling import NOBODY, TellingRules
from mta.timetable import Timetable
from storage.queue import QueuedEntry, QueuedMessage, Settlement, without_words

T = TypeVar("T")
logger = logging.getLogger(__name__)

CHUNK = 250
"""Entries in one transaction when a whole ready queue shares its fate; others wait behind it."""


@frozen
class Result:
    """An attempt of one entry of a message.

    has_peer_dsn: the server was told what the sender wants to know, and reports to it by itself.
    """

    message: QueuedMessage
    entry: QueuedEntry
    attempt: Attempt
    has_peer_dsn: bool = False


NO_RULES = Classifier()
"""Looks at codes only."""


@frozen
class SettlingRules:
    """What decides the fate of an entry.

    Attributes:
        retry: when to try again.
        classifier: tells what a refusal means; the default looks at its codes only.
        telling: which senders are told of what.
        sandbox_domain: whose recipients may complain of what was delivered; "": there is none.
    """

    retry: RetrySchedule
    classifier: Classifier = NO_RULES
    telling: TellingRules = NOBODY
    sandbox_domain: str = ""


class Settler:
    """Writes down results; what comes back from here is committed, and synced soon."""

    def __init__(
        self, store: EngineStore, timetable: Timetable, rules: SettlingRules, draws: Random
    ) -> None:
        """Take the collaborators, and the rules, whose retries `draws` jitters."""
        self._store = store
        self._timetable = timetable
        self._rules = rules
        self._draws = draws

    @property
    def lifetime(self) -> timedelta:
        """How long mail may wait from when it could first be tried."""
        return self._rules.retry.lifetime

    @property
    def longest_wait(self) -> timedelta:
        """How long mail may wait between two attempts."""
        return self._rules.retry.ceiling * (1 + self._rules.retry.jitter)

    async def settle(self, results: Iterable[Result]) -> None:
        """Decide the fate of each entry and write it down."""
        for chunk in _chunks(results):
            decided = [self._decide_whatever(result) for result in chunk]
            await self._store.settle(decided)
            for result, settlement in zip(chunk, decided, strict=True):
                self._note(result, settlement.disposition)

    async def give_back(self, entries: Sequence[QueuedEntry], due_at: datetime) -> None:
        """Let entries wait in storage again, untried."""
        for chunk in _chunks(entries):
            await self._store.give_back([entry.id for entry in chunk], due_at, Why.SITE_BUSY)
        for entry in entries:
            self._timetable.note(entry.domain, due_at)

    async def suspend(self, site: str, until: datetime, why: Why, error: str) -> None:
        """Write down that a site is left alone."""
        await self._store.suspend(site, until, why, error)

    async def lift(self, site: str) -> None:
        """Write down that a site works again."""
        await self._store.lift(site)

    def _decide_whatever(self, result: Result) -> Settlement:
        """Decide, also where we fail at it: an attempt that was made is never forgotten."""
        try:
            return self._decide(result)
        except Exception:
            logger.exception("email %s: we failed at settling", result.message.public_id)
            return without_words(result.entry.id, result.entry.attempts + 1, result.attempt)

    def _decide(self, result: Result) -> Settlement:
        entry, attempt = result.entry, result.attempt
        attempts = entry.attempts + 1
        disposition = decide(
            attempt.outcome,
            EntryFacts(entry.eligible_at, attempts),
            self._rules.retry,
            now=attempt.ended_at,
            draw=self._draws.random(),
            classify=self._rules.classifier.classify,
        )
        is_complaint = isinstance(disposition, Delivered) and complains(
            entry.recipient, self._rules.sandbox_domain
        )
        tell = self._rules.telling.wish(
            result.message,
            entry,
            disposition,
            attempt.ended_at,
            has_peer_dsn=result.has_peer_dsn,
        )
        is_hard = self._is_hard(attempt.outcome, disposition)
        return Settlement(entry.id, attempts, disposition, attempt, is_complaint, tell, is_hard)

    def _is_hard(self, outcome: Outcome, disposition: Disposition) -> bool:
        """Tell whether an address is dead: by the rule that fits what a server said."""
        if not isinstance(disposition, Bounced):
            return False
        if not isinstance(outcome, Refused):
            return disposition.bounce_class in HARD
        return self._rules.classifier.judge(
            Diagnostic.of_reply(outcome.reply, outcome.command)
        ).is_hard

    def _note(self, result: Result, disposition: Disposition) -> None:
        if isinstance(disposition, Deferred):
            self._timetable.note(result.entry.domain, disposition.due_at)
        attempt = result.attempt
        log_event(
            _EVENT_NAMES[type(disposition)],
            email=result.message.public_id,
            to=result.entry.domain,
            host=attempt.peer.host,
            answer=answer(attempt.outcome),
        )


_EVENT_NAMES = {
    Delivered: "delivered",
    Deferred: "deferred",
    Bounced: "bounced",
    Expired: "expired",
    Quarantined: "quarantined",
}


def answer(outcome: Outcome) -> Reply | str:
    """Return what happened, as text or to be made text: the reply, or the error in our words."""
    match outcome:
        case Accepted(reply) | Refused(reply):
            return reply
        case Unreachable(_, error) | Ambiguous(error):
            return error


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk
