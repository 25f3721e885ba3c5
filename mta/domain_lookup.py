"""One look at the DNS records of a domain: everything is asked at once, within one time.

What does not answer in that time is unreachable, never missing. Nothing is remembered between two
looks, so that a record that has just been published is seen as soon as the nameservers give it.

Not here: what the answers mean (core/domain_check.py), and what follows (domain_verification.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar, assert_never

from mta.core.dmarc import Walk, walk, walk_names
from mta.core.domain_check import (
    Alignment,
    DomainReport,
    Finding,
    SpfLook,
    Status,
    alignment_of,
    check_dkim,
    check_dmarc,
    check_mx,
    check_note,
    check_spf,
    check_tracking,
)
from mta.core.domain_records import (
    DomainFacts,
    Instance,
    KeyState,
    RecordKind,
    WantedRecord,
    is_within,
    wanted_records,
)
from mta.core.lookup import Answer, Asking, NoAnswer, Question, Records, RecordType
from mta.core.spf import Sender, Verdict, check_host, count_lookups
from mta.resolver import Failure, Found, Resolver

T = TypeVar("T")

PATIENCE = timedelta(seconds=10)
"""For a whole look: somebody may be waiting for it."""


async def look_at(
    domain: DomainFacts, instance: Instance, resolver: Resolver, patience: timedelta = PATIENCE
) -> DomainReport:
    """Look all records of a domain up.

    Args:
        domain: whose.
        instance: the server that sends its mail.
        resolver: names the nameservers; what it remembers is not used.
        patience: for all lookups together.
    """
    return await _Look(domain, instance, resolver, patience).report()


class _Look:
    """The lookups of one look, which share what is remembered and the time."""

    def __init__(
        self, domain: DomainFacts, instance: Instance, resolver: Resolver, patience: timedelta
    ) -> None:
        self._domain = domain
        self._instance = instance
        self._resolver = resolver.fresh()
        self._each = resolver.each()
        self._deadline = asyncio.get_running_loop().time() + patience.total_seconds()
        self._patience = patience

    async def report(self) -> DomainReport:
        """Ask everything at once and judge it."""
        async with asyncio.TaskGroup() as group:
            egress = group.create_task(self._egress())
            walked = group.create_task(self._walk(self._domain.name))
            alignment = group.create_task(self._alignment(walked))
            findings = [
                group.create_task(self._finding(wanted, egress, walked))
                for wanted in wanted_records(self._domain, self._instance)
            ]
        found = tuple(task.result() for task in findings)
        following = [one.status for one in found if one.wanted.key_state is KeyState.NEXT]
        is_next_seen = bool(following) and set(following) == {Status.GOOD}
        return DomainReport(found, alignment.result(), is_next_seen)

    async def _finding(
        self,
        wanted: WantedRecord,
        egress: asyncio.Task[tuple[str, ...] | NoAnswer],
        walked: asyncio.Task[Walk | NoAnswer],
    ) -> Finding:
        match wanted.kind:
            case RecordKind.DKIM:
                return await self._dkim(wanted)
            case RecordKind.DMARC:
                own = await self._ask(wanted.name, "TXT")
                return check_dmarc(wanted, own, await walked)
            case RecordKind.SPF | RecordKind.RETURN_PATH:
                if wanted.type == "MX":
                    return check_mx(wanted, await self._ask(wanted.name, "MX"))
                return check_spf(wanted, await self._spf(wanted.name, await egress))
            case RecordKind.TRACKING:
                return await self._tracking(wanted)
            case RecordKind.MTA_STS | RecordKind.TLS_RPT:
                return check_note(wanted, await self._ask(wanted.name, "TXT"))
            case _:
                assert_never(wanted.kind)

    async def _dkim(self, wanted: WantedRecord) -> Finding:
        if wanted.key_state is KeyState.NEXT:
            return await self._everywhere(wanted)
        return check_dkim(wanted, await self._ask(wanted.name, "TXT"))

    async def _tracking(self, wanted: WantedRecord) -> Finding:
        alias, addresses, ours = await asyncio.gather(
            self._ask(wanted.name, "CNAME"),
            self._addresses(wanted.name),
            self._addresses(wanted.value),
        )
        return check_tracking(wanted, alias, addresses, ours)

    async def _everywhere(self, wanted: WantedRecord) -> Finding:
        """Return the finding about a key to be used next, good only if every server has it."""
        answers = await asyncio.gather(
            *(self._ask(wanted.name, "TXT", resolver) for resolver in self._each)
        )
        found = [check_dkim(wanted, answer) for answer in answers]
        lacking = [one for one in found if one.status is not Status.GOOD]
        if not lacking or len(lacking) == len(found):
            return found[0]
        seen = len(found) - len(lacking)
        advice = f"nothing to do now: {seen} of {len(found)} DNS servers have it, all have to"
        return replace(lacking[0], advice=advice)

    async def _egress(self) -> tuple[str, ...] | NoAnswer:
        """Return the addresses that mail leaves from."""
        if self._instance.egress:
            return self._instance.egress
        found = await self._addresses(self._instance.hostname)
        return found if isinstance(found, NoAnswer) else found.values

    async def _spf(self, name: str, egress: tuple[str, ...] | NoAnswer) -> SpfLook:
        texts = await self._ask(name, "TXT")
        if isinstance(egress, NoAnswer):
            return SpfLook(texts, egress, 0)
        verdicts: Mapping[str, Verdict] = dict(
            zip(
                egress,
                await asyncio.gather(*(self._verdict(address, name) for address in egress)),
                strict=True,
            )
        )
        return SpfLook(texts, verdicts, await self._follow(count_lookups(name)))

    async def _verdict(self, address: str, name: str) -> Verdict:
        sender = Sender(address, f"postmaster@{name}", self._instance.hostname)
        return await self._follow(check_host(sender, name))

    async def _walk(self, name: str) -> Walk | NoAnswer:
        names = walk_names(name)
        answers = await asyncio.gather(*(self._ask(f"_dmarc.{one}", "TXT") for one in names))
        return walk(name, dict(zip(names, answers, strict=True)))

    async def _alignment(self, walking: asyncio.Task[Walk | NoAnswer]) -> Alignment | None:
        walked, domain = await walking, self._domain.name
        if isinstance(walked, NoAnswer):
            return None
        is_signed = any(key.state is KeyState.ACTIVE for key in self._domain.keys)
        host = self._domain.return_path or self._instance.reports_domain
        if not host:
            return alignment_of(domain, walked, None, is_signed=is_signed)
        above = await self._walk(host)
        if isinstance(above, NoAnswer):
            return None
        organisation = above.organisation
        if walked.record is None and is_within(host, domain):
            organisation = walked.organisation  # as it will be once the domain has its record
        return alignment_of(domain, walked, (host, organisation), is_signed=is_signed)

    async def _addresses(self, host: str) -> Answer:
        """Return all addresses of a host; what was found counts where the other type failed."""
        v6, v4 = await asyncio.gather(self._ask(host, "AAAA"), self._ask(host, "A"))
        match v6, v4:
            case Records(first), Records(second):
                return Records(second + first)
            case (Records([_, *_]) as found, _) | (_, Records([_, *_]) as found):
                return found
            case (NoAnswer() as lost, _) | (_, NoAnswer() as lost):
                return lost
        return v4

    async def _follow(self, asking: Asking[T]) -> T:
        """Answer the questions of a decision until it is made."""
        try:
            question = next(asking)
            while True:
                question = asking.send(await self._answer(question, self._resolver))
        except StopIteration as end:
            decided: T = end.value
            return decided

    async def _ask(self, name: str, kind: RecordType, resolver: Resolver | None = None) -> Answer:
        return await self._answer(Question(name, kind), resolver or self._resolver)

    async def _answer(self, question: Question, resolver: Resolver) -> Answer:
        try:
            async with asyncio.timeout_at(self._deadline):
                answer = await resolver.records(question.name, question.type)
        except TimeoutError:
            return NoAnswer(f"no answer within {self._patience.total_seconds():g} seconds")
        match answer:
            case Found(values):
                return Records(values)
            case Failure(error):
                return NoAnswer(error)
        return Records()
