"""The DNS: each question asked once, the answer a value, remembered for as long as it says.

Owner of dnspython; none of its types or exceptions leaves this module. What an answer means for
mail is routing.py. Names are A-labels and absolute: no search list is ever applied.
Follows RFC 1035 and RFC 2308 (negative answers).
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from dns.rdatatype import RdataType

from mta.core.expiring import ExpiringMap
from mta.core.frozen import frozen

T = TypeVar("T")

TRIES = 3
"""Queries that fit into the time of one lookup: a lost packet must not cost the lookup."""
CACHE_SIZE = 50_000
"""Answers remembered; at some 500 bytes each, 25 MB when full."""
MIN_TTL = 5.0
"""Seconds; a TTL of 0 must not cost one query for each message of a burst."""
MAX_TTL = 3600.0
MAX_NEGATIVE_TTL = 300.0
FAILURE_TTL = 5.0
_UDP_SIZE = 1232
"""Octets that pass every path unfragmented (DNS flag day 2020)."""


class ResolverError(Exception):
    """There is no nameserver to ask; the message is for the operator."""


@frozen
class Found(Generic[T]):
    """The records, at least one, in the order of the answer."""

    records: tuple[T, ...]


@frozen
class NoData:
    """The name exists and has no record of that type."""


@frozen
class NoSuchDomain:
    """The name does not exist (NXDOMAIN), or it could not be the name of anything."""


@frozen
class Failure:
    """No answer for now: SERVFAIL, REFUSED, timeout, garbage. `error` is one printable line."""

    error: str


Answer = Found[T] | NoData | NoSuchDomain | Failure
_Question = tuple[str, RdataType]


class Resolver:
    """Asks nameservers, with a cache; equal questions at the same time are asked once."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]],
        *,
        timeout: timedelta,
        max_queries: int,
        clock: Callable[[], float],
        resolv_conf: str = "/etc/resolv.conf",
    ) -> None:
        """Choose whom to ask.

        Args:
            nameservers: IP addresses and ports; none takes those of resolv_conf.
            timeout: for one lookup with all its queries; waiting for its turn comes on top.
            max_queries: lookups at the same time.
            clock: seconds of a clock that never goes back.
            resolv_conf: the system's configuration file.

        Raises:
            ResolverError: none were given and the system names none.
        """
        self._library = _library(nameservers, resolv_conf)
        self._library.lifetime = timeout.total_seconds()
        self._library.timeout = self._library.lifetime / TRIES
        self._turns = asyncio.Semaphore(max_queries)
        self._clock = clock
        self._cache: ExpiringMap[_Question, Answer[Any]] = ExpiringMap(CACHE_SIZE)
        self._asked: dict[_Question, asyncio.Event] = {}

    async def mx(self, domain: str) -> Answer[tuple[int, str]]:
        """Return preferences and host names, lower case, no final dot; the null MX's is ""."""
        return await self._ask((domain, RdataType.MX))

    async def txt(self, name: str) -> Answer[str]:
        """Return texts, the strings of each record joined; bytes that are not UTF-8 as U+FFFD."""
        return await self._ask((name, RdataType.TXT))

    async def addresses(self, host: str) -> Answer[str]:
        """Return the IPv6 addresses, then the IPv4 addresses of a host."""
        (answer,) = await self.addresses_of((host,))
        return answer

    async def addresses_of(self, hosts: Sequence[str]) -> list[Answer[str]]:
        """Return what addresses() does for each host, all looked up at the same time."""
        types = (RdataType.AAAA, RdataType.A)
        questions = [(host, kind) for host in hosts for kind in types]
        answers = [self._recall(question) for question in questions]
        if None in answers:
            answers = list(await asyncio.gather(*map(self._ask, questions)))
        found = cast("list[Answer[str]]", answers)
        return [_merged(v6, v4) for v6, v4 in zip(found[::2], found[1::2], strict=True)]

    async def records(self, name: str, kind: str) -> Answer[str]:
        """Return the records of one type, "A", "AAAA", "CNAME", "MX", "PTR" or "TXT", as text.

        Names are in lower case without a final dot; MX is "10 mx.example.com".
        """
        answer = await self._ask((name, RdataType.from_text(kind)))
        if isinstance(answer, Found) and kind == "MX":
            return Found(tuple(f"{preference} {host}" for preference, host in answer.records))
        return answer

    def fresh(self) -> Resolver:
        """Return a resolver that asks the same nameservers and remembers nothing yet."""
        return self._asking(self._library.nameservers)

    def each(self) -> tuple[Resolver, ...]:
        """Return one fresh resolver for each nameserver."""
        return tuple(self._asking([server]) for server in self._library.nameservers)

    def _asking(self, nameservers: Sequence[str | dns.nameserver.Nameserver]) -> Resolver:
        other = copy.copy(self)
        other._library = copy.copy(self._library)  # noqa: SLF001 - of the same class
        other._library.nameservers = list(nameservers)  # noqa: SLF001
        other._cache, other._asked = ExpiringMap(CACHE_SIZE), {}  # noqa: SLF001
        return other

    def _recall(self, question: _Question) -> Answer[Any] | None:
        return self._cache.get(question, self._clock())

    async def _ask(self, question: _Question) -> Answer[Any]:
        """Answer from the cache, or by asking, or by waiting for one who is asking."""
        while (answer := self._recall(question)) is None:
            if question in self._asked:
                await self._asked[question].wait()
                continue  # there is an answer now, unless who asked was cancelled
            done = self._asked[question] = asyncio.Event()
            try:
                answer, ttl = await self._query(question)
                self._cache.put(question, answer, self._clock() + max(ttl, MIN_TTL))
                return answer
            finally:
                del self._asked[question]
                done.set()
        return answer

    async def _query(self, question: _Question) -> tuple[Answer[Any], float]:
        """Ask the nameservers; return the answer and how many seconds it may be remembered."""
        name = _absolute(question[0])
        if name is None:
            return NoSuchDomain(), MAX_NEGATIVE_TTL
        try:
            # The library keeps its lifetime except when it does not: hence a limit around it.
            async with self._turns, asyncio.timeout(self._library.lifetime + 1):
                answer = await self._library.resolve(
                    name, question[1], raise_on_no_answer=False, search=False
                )
        except dns.resolver.NXDOMAIN as error:
            refusal = cast("Any", error).response(name)
            return NoSuchDomain(), min(refusal.resolve_chaining().minimum_ttl, MAX_NEGATIVE_TTL)
        except (dns.exception.DNSException, OSError) as error:  # TimeoutError is an OSError
            return Failure(_one_line(error)), FAILURE_TTL
        ttl = answer.chaining_result.minimum_ttl
        if answer.rrset is None:
            return NoData(), min(ttl, MAX_NEGATIVE_TTL)
        return Found(tuple(map(_value, answer.rrset))), min(ttl, MAX_TTL)


def _library(
    nameservers: Sequence[tuple[str, int]], resolv_conf: str
) -> dns.asyncresolver.Resolver:
    try:
        library = dns.asyncresolver.Resolver(resolv_conf, configure=not nameservers)
        if nameservers:
            library.nameservers = [
                dns.nameserver.Do53Nameserver(address, port) for address, port in nameservers
            ]
    except (dns.exception.DNSException, ValueError) as error:
        raise ResolverError(f"no nameserver to ask: {_one_line(error)}") from None
    library.use_edns(0, 0, _UDP_SIZE)
    return library


def _absolute(text: str) -> dns.name.Name | None:
    """Return the name; None for one with a label empty or too long, or not in ASCII."""
    if not text.isascii():
        return None
    try:
        return dns.name.from_text(text)
    except dns.exception.DNSException:
        return None


def _value(record: Any) -> tuple[int, str] | str:
    """Return a record as our own value: by type, see the methods of Resolver."""
    match record.rdtype:
        case RdataType.MX:
            return record.preference, record.exchange.to_text().lower().removesuffix(".")
        case RdataType.CNAME | RdataType.PTR:
            return str(record.target).lower().removesuffix(".")
        case RdataType.TXT:
            return b"".join(record.strings).decode("utf-8", "replace")
        case _:
            return str(record.address)


def _merged(v6: Answer[str], v4: Answer[str]) -> Answer[str]:
    """Return one answer from two; what was found counts even where the other question failed."""
    match v6, v4:
        case Found(first), Found(second):
            return Found(first + second)
        case (Found() as found, _) | (_, Found() as found):
            return found
        case (Failure() as failure, _) | (_, Failure() as failure):
            return failure
    return v4


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
