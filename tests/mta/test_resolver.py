from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from mta.resolver import (
    FAILURE_TTL,
    MAX_NEGATIVE_TTL,
    MAX_TTL,
    MIN_TTL,
    Failure,
    Found,
    NoData,
    NoSuchDomain,
    Resolver,
    ResolverError,
)
from tests.support.fake_dns import FakeDns, Fault, Records


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def resolver_of(
    dns: FakeDns,
    *,
    seconds: float = 5.0,
    max_queries: int = 50,
    clock: Callable[[], float] | None = None,
) -> Resolver:
    return Resolver(
        [dns.endpoint],
        timeout=timedelta(seconds=seconds),
        max_queries=max_queries,
        clock=clock or Clock(),
    )


async def test_mx_gives_preferences_and_plain_names() -> None:
    async with FakeDns({"a.test": {"MX": ["20 B.test.", "10 c.test."]}}) as dns:
        answer = await resolver_of(dns).mx("a.test")
    assert isinstance(answer, Found)
    assert sorted(answer.records) == [(10, "c.test"), (20, "b.test")]


async def test_null_mx_is_an_empty_host() -> None:
    async with FakeDns({"null.test": {"MX": ["0 ."]}}) as dns:
        assert await resolver_of(dns).mx("null.test") == Found(((0, ""),))


async def test_txt_joins_the_strings_of_a_record() -> None:
    records: dict[str, Records] = {
        "k._domainkey.a.test": {"TXT": ['"v=DKIM1; " "p=AAAA"', '"other"']}
    }
    async with FakeDns(records) as dns:
        answer = await resolver_of(dns).txt("k._domainkey.a.test")
    assert isinstance(answer, Found)
    assert set(answer.records) == {"v=DKIM1; p=AAAA", "other"}


async def test_long_txt_comes_over_tcp() -> None:
    text = "x" * 250
    async with FakeDns({"a.test": {"TXT": [f'"{text}{i}"' for i in range(20)]}}) as dns:
        dns.records["t.test"] = Fault.TRUNCATED
        answer = await resolver_of(dns).txt("a.test")
        assert isinstance(answer, Found)
        assert len(answer.records) == 20
        assert await resolver_of(dns).mx("t.test") == Found(((10, "spare.test"),))
        assert dns.queries["t.test", "MX"] == 2


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"A": ["192.0.2.1"]}, Found(("192.0.2.1",))),
        ({"AAAA": ["2001:db8::1"]}, Found(("2001:db8::1",))),
        ({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}, Found(("2001:db8::1", "192.0.2.1"))),
        ({"TXT": ['"x"']}, NoData()),
        ({"CNAME": ["real.test."]}, Found(("192.0.2.7",))),
        ({"CNAME": ["nowhere.test."]}, NoSuchDomain()),
        (None, NoSuchDomain()),
    ],
)
async def test_addresses(records: dict[str, list[str]] | None, expected: object) -> None:
    names: dict[str, Records] = {"real.test": {"A": ["192.0.2.7"]}}
    if records is not None:
        names["host.test"] = records
    async with FakeDns(names) as dns:
        assert await resolver_of(dns).addresses("host.test") == expected


# D01, D03, D04, D09, D10: what is for good, what is for now, and what is no fault at all.
@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.SPOOFED])
async def test_faults_are_failures_for_now(fault: Fault) -> None:
    async with FakeDns({"bad.test": fault}) as dns:
        never_ends = fault in {Fault.TIMEOUT, Fault.GARBAGE, Fault.WRONG_ID}
        answer = await resolver_of(dns, seconds=0.3 if never_ends else 5).mx("bad.test")
    if fault is Fault.TRUNCATED:
        assert isinstance(answer, Found)
        return
    assert isinstance(answer, Failure)
    assert answer.error.isprintable()
    assert answer.error


async def test_the_right_answer_wins_over_forged_ones() -> None:
    async with FakeDns({"spoof.test": Fault.SPOOFED}) as dns:
        assert await resolver_of(dns).mx("spoof.test") == Found(((10, "spare.test"),))
        assert dns.queries.total() == 1


async def test_a_dead_nameserver_does_not_matter_when_another_answers() -> None:
    async with FakeDns({"a.test": {"A": ["192.0.2.1"]}}) as dns, FakeDns() as dead:
        dead.gate.clear()
        resolver = Resolver(
            [dead.endpoint, dns.endpoint],
            timeout=timedelta(seconds=1.5),
            max_queries=5,
            clock=Clock(),
        )
        assert await resolver.addresses("a.test") == Found(("192.0.2.1",))


@pytest.mark.parametrize(
    "name", ["a..test", "x" * 64 + ".test", "", ".".join(["abc"] * 70), "ä.test"]
)
async def test_impossible_names_are_not_asked(name: str) -> None:
    async with FakeDns() as dns:
        answer = await resolver_of(dns).mx(name)
        if name:  # the empty name is the root
            assert answer == NoSuchDomain()
            assert not dns.queries


async def test_idn_names_are_asked_as_they_are() -> None:  # D15
    async with FakeDns({"xn--fa-hia.test": {"A": ["192.0.2.1"]}}) as dns:
        assert await resolver_of(dns).addresses("xn--fa-hia.test") == Found(("192.0.2.1",))


async def test_search_domains_are_never_applied(tmp_path: Path) -> None:  # D13
    conf = tmp_path / "resolv.conf"
    async with FakeDns({"a.corp.test": {"A": ["192.0.2.1"]}}) as dns:
        address, port = dns.endpoint
        conf.write_text(f"search corp.test\noptions ndots:5\nnameserver {address}\n")
        resolver = Resolver(
            [], timeout=timedelta(seconds=1), max_queries=5, clock=Clock(), resolv_conf=str(conf)
        )
        resolver._library.port = port
        assert await resolver.addresses("a") == NoSuchDomain()
        assert {name for name, _ in dns.queries} == {"a"}


async def test_no_nameserver_is_an_error_for_the_operator(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("# nothing\n")
    with pytest.raises(ResolverError, match="no nameserver"):
        Resolver(
            [], timeout=timedelta(seconds=1), max_queries=5, clock=Clock(), resolv_conf=str(conf)
        )


@pytest.mark.parametrize(
    ("records", "ttl", "kept"),
    [
        ({"A": ["192.0.2.1"]}, 60, 60.0),
        ({"A": ["192.0.2.1"]}, 0, MIN_TTL),
        ({"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}, 864_000, MAX_TTL),
        ({"TXT": ['"no address"']}, 60, 60.0),
        ({"TXT": ['"no address"']}, 864_000, MAX_NEGATIVE_TTL),
        (None, 60, 60.0),
        (None, 864_000, MAX_NEGATIVE_TTL),
        (Fault.SERVFAIL, 60, FAILURE_TTL),
    ],
)
async def test_answers_are_kept_for_their_time(
    records: dict[str, list[str]] | Fault | None, ttl: int, kept: float
) -> None:
    clock = Clock()
    async with FakeDns({} if records is None else {"a.test": records}, ttl=ttl) as dns:
        resolver = resolver_of(dns, clock=clock)
        first = await resolver.addresses("a.test")
        asked = dns.queries.total()
        clock.now += kept - 0.1
        assert await resolver.addresses("a.test") == first
        assert dns.queries.total() == asked
        clock.now += 0.2
        assert await resolver.addresses("a.test") == first
        assert dns.queries.total() == 2 * asked


async def test_equal_questions_are_asked_once() -> None:
    async with FakeDns({"a.test": {"MX": ["10 b.test."]}}) as dns:
        resolver = resolver_of(dns)
        answers = await asyncio.gather(*(resolver.mx("a.test") for _ in range(100)))
        assert set(answers) == {Found(((10, "b.test"),))}
        assert dns.queries["a.test", "MX"] == 1


async def test_a_cancelled_asker_leaves_the_question_to_those_who_wait() -> None:
    async with FakeDns({"a.test": {"MX": ["10 b.test."]}}) as dns:
        dns.gate.clear()
        resolver = resolver_of(dns)
        async with asyncio.timeout(5):
            first = asyncio.create_task(resolver.mx("a.test"))
            await dns.wait_for(1)
            second = asyncio.create_task(resolver.mx("a.test"))
            await asyncio.sleep(0)
            first.cancel()
            dns.gate.set()
            assert await second == Found(((10, "b.test"),))
        assert first.cancelled()


async def test_many_domains_stay_within_the_limit() -> None:  # D12
    names = [f"d{i}.test" for i in range(2000)]
    async with FakeDns({name: {"MX": [f"10 mx.{name}."]} for name in names}) as dns:
        resolver = resolver_of(dns, max_queries=20)
        dns.gate.clear()
        async with asyncio.timeout(50), asyncio.TaskGroup() as group:
            lookups = [group.create_task(resolver.mx(name)) for name in names]
            await dns.wait_for(20)
            dns.gate.set()
        assert all(isinstance(lookup.result(), Found) for lookup in lookups)
        assert dns.most_at_once == 20


async def test_one_silent_domain_does_not_delay_another() -> None:  # D04
    async with FakeDns({"slow.test": Fault.TIMEOUT, "a.test": {"A": ["192.0.2.1"]}}) as dns:
        resolver = resolver_of(dns, seconds=30, max_queries=4)
        slow = asyncio.create_task(resolver.mx("slow.test"))
        async with asyncio.timeout(5):
            assert isinstance(await resolver.addresses("a.test"), Found)
        assert not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


async def test_a_resolver_that_returns_is_used_again() -> None:  # D11
    clock = Clock()
    async with FakeDns({"a.test": Fault.TIMEOUT}) as dns:
        resolver = resolver_of(dns, seconds=0.1, clock=clock)
        assert isinstance(await resolver.mx("a.test"), Failure)
        dns.records["a.test"] = {"MX": ["10 b.test."]}
        clock.now += FAILURE_TTL
        assert await resolver.mx("a.test") == Found(((10, "b.test"),))


async def test_one_family_is_enough() -> None:
    async with FakeDns({"a.test": {"A": ["192.0.2.1"]}}) as dns:
        resolver = resolver_of(dns)
        await resolver.addresses("a.test")
        found = await resolver.addresses_of(["a.test", "none.test"])
        assert found == [Found(("192.0.2.1",)), NoSuchDomain()]
