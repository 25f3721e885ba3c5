"""Reads the reports that were kept, finds the mail they are about, and writes down what follows.

    take      storage/reports.py       note that reading begins: one that kills its reader, or that
                                       we fail at, is given up after three tries
    parse     report_parser.py         in a process of its own, bounded
    match     storage/correlation.py   sealed address, token, or id -> entry
    apply     storage/feedback.py      event, suppression, and the delivery report that whoever
                                       submitted by SMTP is owed, in one transaction

Nothing here answers whoever sent the report. Not here: receiving (reports.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import assert_never

from mta.core.address import AddressError, parse_address
from mta.core.event import JsonValue
from mta.core.findings import (
    Complaint,
    Failure,
    Finding,
    OptOut,
    about,
    findings_of,
    is_same,
    wants_out,
)
from mta.core.frozen import frozen
from mta.core.report_address import AddressRules, Sealed, read_local
from mta.core.report_facts import ReportFacts
from mta.core.return_path import Purpose
from mta.core.suppression import SuppressionPolicy
from mta.core.unsubscribe import read_token
from mta.logs import log_event, log_warning
from mta.report_doorway import read_known
from mta.report_parser import NoParser, ParserDied, ReportParser
from storage import correlation, faults, feedback, reports, unsubscribes
from storage.database import Connection, Database
from storage.errors import STORAGE_TROUBLE, StorageFull, StorageUnavailable
from storage.feedback import EntryRef
from storage.reports import WaitingReport

STEP = 10
"""Reports taken at a time: as many may be tried once too often by a crash."""
TROUBLE_PAUSE = 5.0
"""Seconds until storage that is full or locked, or what does not start, is asked again."""
IDLE_TIME = 60.0
"""Seconds after which a parser without work is ended."""


logger = logging.getLogger(__name__)


@frozen
class IntakeRules:
    """What follows from reports.

    Attributes:
        addresses: how our own addresses are read; None where there are none.
        secrets: that tokens of unsubscribe links are sealed with.
        policy: which failures suppress an address.
        tells: whether senders who submitted by SMTP are told of failures.
    """

    addresses: AddressRules | None
    secrets: Sequence[bytes]
    policy: SuppressionPolicy
    tells: bool = True


class ReportIntake:
    """One background task."""

    def __init__(
        self,
        database: Database,
        parser: ReportParser,
        rules: IntakeRules,
        *,
        on_events: Callable[[], object],
        now: Callable[[], datetime],
    ) -> None:
        """Take the collaborators, and what to call when the journal has grown."""
        self._database = database
        self._parser = parser
        self._rules = rules
        self._on_events = on_events
        self._now = now
        self._news = asyncio.Event()
        self._news.set()
        self._taken: deque[WaitingReport] = deque()

    def kick(self) -> None:
        """Say that there may be something to read."""
        self._news.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._rest()
                self._news.clear()
                await self._patiently()
        finally:
            await self._parser.close()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(IDLE_TIME):
                await self._news.wait()
        except TimeoutError:
            await self._parser.close()
            await self._news.wait()

    async def _patiently(self) -> None:
        try:
            while await self.read_some():
                pass
        except (StorageFull, StorageUnavailable, NoParser) as error:
            log_warning("report_put_off", error=error)
            await asyncio.sleep(TROUBLE_PAUSE)
            self._news.set()

    async def read_some(self) -> int:
        """Read the reports that have waited longest; return how many that were.

        Raises:
            StorageError, NoParser: the next call goes on with the report that it happened to.
        """
        if not self._taken:
            if not await self._database.read(reports.has_waiting):
                return 0
            self._taken += await self._database.write(partial(reports.take, limit=STEP))
        count = len(self._taken)
        while self._taken:
            await self._read(self._taken[0])
            self._taken.popleft()
        return count

    async def _read(self, report: WaitingReport) -> None:
        """Read one; where that fails, it waits to be taken again, and is given up in the end."""
        try:
            facts = await self._parser.parse(report.data)
            now = self._now()
            faults.reach("before_report_done")
            done = await self._database.write(
                partial(apply, report=report, facts=facts, rules=self._rules, now=now)
            )
        except (*STORAGE_TROUBLE, NoParser):
            raise
        except ParserDied as error:
            log_warning("report_unread", report=report.id, tries=report.tries, error=error)
            return
        except Exception:
            logger.exception("report %d, try %d: we failed at it", report.id, report.tries)
            return
        log_event("report", report=report.id, read_as=facts.kind.value, **done.as_log())
        if done.has_effect:
            self._on_events()


@dataclass(slots=True)
class Effects:
    """What followed from a report.

    Attributes:
        failures, complaints, opt_outs: how many entries were newly found to be so.
        known: how many findings were about entries of which that was known.
        unmatched: how many findings were about no mail that we know of.
    """

    failures: int = 0
    complaints: int = 0
    opt_outs: int = 0
    known: int = 0
    unmatched: int = 0

    @property
    def has_effect(self) -> bool:
        """Whether anything changed."""
        return bool(self.failures or self.complaints or self.opt_outs)

    def as_log(self) -> dict[str, JsonValue]:
        """Return what is not zero."""
        counts = {
            "failures": self.failures,
            "complaints": self.complaints,
            "opt_outs": self.opt_outs,
            "known": self.known,
            "unmatched": self.unmatched,
        }
        return {name: count for name, count in counts.items() if count}


def apply(
    connection: Connection,
    report: WaitingReport,
    facts: ReportFacts,
    rules: IntakeRules,
    now: datetime,
) -> Effects:
    """Write down what follows from a report, once (a write)."""
    effects = Effects()
    if not reports.is_waiting(connection, report.id):
        return effects
    pairs, effects.unmatched = _match(connection, report, facts, rules, now)
    for entry, finding in pairs:
        _apply_one(connection, entry, finding, rules, now, effects)
    outcome: dict[str, JsonValue] = {"kind": facts.kind.value, **effects.as_log()}
    # What nothing followed from may be mail to postmaster@: somebody should be able to read it.
    reports.finish(connection, report.id, outcome, keep=not pairs)
    return effects


Pair = tuple[EntryRef | unsubscribes.Target, Finding]


def _match(
    connection: Connection,
    report: WaitingReport,
    facts: ReportFacts,
    rules: IntakeRules,
    now: datetime,
) -> tuple[list[Pair], int]:
    """Return what was found about which of our mail, and how many findings found none."""
    findings = findings_of(facts)
    sealed = list(_sealed(connection, report.recipients, rules, now))
    pairs: list[Pair] = []
    for one in sealed:
        if one.purpose is Purpose.UNSUBSCRIBE:
            target = unsubscribes.find(connection, one.path.entry_number, one.path.tenant_id, None)
            if target is not None and wants_out(facts):
                pairs.append((target, OptOut(target.recipient)))
            continue
        entry = correlation.entry_of(connection, one.path.entry_number, one.path.tenant_id)
        finding = about(findings, entry.recipient) if entry else None
        if entry is not None and finding is not None:
            pairs.append((entry, finding))
    if sealed or not findings:
        return pairs, 0
    return _match_by_clues(connection, report, facts, rules, findings, now)


def _sealed(
    connection: Connection, recipients: Sequence[str], rules: IntakeRules, now: datetime
) -> Iterator[Sealed]:
    """Yield what the sealed ones among the addresses say that a report came to."""
    for text in recipients:
        try:
            address = parse_address(text)
        except AddressError:
            continue
        found = read_known(connection, address, rules.addresses, now) if rules.addresses else None
        if isinstance(found, Sealed):
            yield found


def _match_by_clues(
    connection: Connection,
    report: WaitingReport,
    facts: ReportFacts,
    rules: IntakeRules,
    findings: Sequence[Finding],
    now: datetime,
) -> tuple[list[Pair], int]:
    """Find the mail of a report that came to no return path, by what it returns of that mail."""
    entries = {entry.id: entry for entry in _entries_by_seal(connection, report, facts, rules, now)}
    if entries:
        found = [(entry, about(findings, entry.recipient)) for entry in entries.values()]
        return [(entry, finding) for entry, finding in found if finding is not None], 0
    pairs: list[Pair] = []
    for email_id in facts.email_ids:
        of_email = correlation.entries_of_email(connection, email_id, report.tenant_id)
        for entry in of_email:
            finding = next((f for f in findings if is_same(f.recipient, entry.recipient)), None)
            if finding is None and len(of_email) == 1:
                finding = about(findings, entry.recipient)
            if finding is not None:
                pairs.append((entry, finding))
        if pairs:
            break
    return pairs, 0 if pairs else len(findings)


def _entries_by_seal(
    connection: Connection,
    report: WaitingReport,
    facts: ReportFacts,
    rules: IntakeRules,
    now: datetime,
) -> Iterator[EntryRef]:
    numbers: list[tuple[int, int]] = []
    for local in facts.locals:
        found = read_local(local, rules.addresses, now) if rules.addresses else None
        if isinstance(found, Sealed):
            numbers.append((found.path.entry_number, found.path.tenant_id))
    for text in facts.tokens:
        wish = read_token(text, rules.secrets)
        if wish is not None:
            numbers.append((wish.entry_number, wish.tenant_id))
    for number, tenant_id in dict.fromkeys(numbers):
        entry = correlation.entry_of(connection, number, tenant_id)
        if entry is not None and report.tenant_id in {None, tenant_id}:
            yield entry


def _apply_one(
    connection: Connection,
    entry: EntryRef | unsubscribes.Target,
    finding: Finding,
    rules: IntakeRules,
    now: datetime,
    effects: Effects,
) -> None:
    if isinstance(entry, unsubscribes.Target):
        is_new = unsubscribes.unsubscribe(connection, entry, via="mailto", now=now)
        effects.opt_outs += is_new
        effects.known += not is_new
        return
    match finding:
        case Failure():
            is_new = feedback.record_failure(
                connection, entry, finding, policy=rules.policy, tells=rules.tells, now=now
            )
            effects.failures += is_new
        case Complaint(_, feedback_type):
            is_new = feedback.record_complaint(connection, entry, feedback_type, now=now)
            effects.complaints += is_new
        case OptOut():
            target = unsubscribes.Target(entry.id, entry.tenant_id, entry.recipient, entry.scope)
            is_new = unsubscribes.unsubscribe(connection, target, via="report", now=now)
            effects.opt_outs += is_new
        case _:
            assert_never(finding)
    effects.known += not is_new
