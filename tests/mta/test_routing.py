from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from random import Random

import pytest

from mta.core.outcome import Stage, Unreachable
from mta.core.pin import Pin, parse_pin
from mta.core.route import Hop, Route, TlsMode
from mta.resolver import Resolver
from mta.routing import BROKEN_FOR, MAX_HOPS, MAX_HOSTS, HostMemory, Router, RoutingRules
from tests.support.fake_dns import FakeDns, Fault, Records

PUBLIC = "11.0.0.1"
OTHER = "11.0.0.2"
PUBLIC_V6 = "2600::1"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def router_of(
    dns: FakeDns,
    *,
    pins: Mapping[str, str] | None = None,
    rules: RoutingRules | None = None,
    memory: HostMemory | None = None,
    seconds: float = 5.0,
) -> Router:
    clock = Clock()
    parsed: dict[str, Pin] = {domain: parse_pin(url) for domain, url in (pins or {}).items()}
    return Router(
        parsed,
        Resolver([dns.endpoint], timeout=timedelta(seconds=seconds), max_queries=20, clock=clock),
        rules or RoutingRules(),
        memory=memory or HostMemory(clock=clock),
        random=Random(1),
    )


def hosts(routed: object) -> list[str]:
    assert isinstance(routed, Route), routed
    return [hop.host for hop in routed.hops]


def addresses(routed: object) -> list[str]:
    assert isinstance(routed, Route), routed
    return [hop.address for hop in routed.hops]


def host(*ips: str) -> dict[str, list[str]]:
    return {
        "A": [ip for ip in ips if ":" not in ip],
        "AAAA": [ip for ip in ips if ":" in ip],
    }


# D01-D06 and D09: what the DNS says about a domain -> what becomes of its mail.
@pytest.mark.parametrize(
    ("records", "is_permanent", "enhanced"),
    [
        ({}, True, "5.1.2"),
        ({"a.test": {"TXT": ['"x"']}}, True, "5.4.4"),
        ({"a.test": {"MX": ["0 ."]}}, True, "5.1.10"),
        ({"a.test": {"MX": ["0 ."], "A": [PUBLIC]}}, True, "5.1.10"),
        ({"a.test": {"MX": ["10 mx.test."]}}, True, "5.4.4"),
        ({"a.test": {"MX": ["10 11.0.0.1."]}}, True, "5.4.4"),
        ({"a.test": {"MX": ["10 mx.test."]}, "mx.test": host("10.0.0.1")}, True, "5.4.6"),
        ({"a.test": Fault.SERVFAIL}, False, "4.4.3"),
        ({"a.test": Fault.REFUSED}, False, "4.4.3"),
        ({"a.test": Fault.TIMEOUT}, False, "4.4.3"),
        ({"a.test": Fault.GARBAGE}, False, "4.4.3"),
        ({"a.test": Fault.NO_TCP}, False, "4.4.3"),
        ({"a.test": Fault.CNAME_LOOP}, False, "4.4.3"),
        ({"a.test": {"MX": ["10 mx.test."]}, "mx.test": Fault.SERVFAIL}, False, "4.4.3"),
    ],
)
async def test_no_route(records: dict[str, Records], is_permanent: bool, enhanced: str) -> None:
    never_ends = records.get("a.test") in (Fault.TIMEOUT, Fault.GARBAGE)
    async with FakeDns(records) as dns:
        routed = await router_of(dns, seconds=0.5 if never_ends else 5.0).route("a.test")
    assert isinstance(routed, Unreachable)
    assert routed.stage is Stage.ROUTE
    assert (routed.is_permanent, routed.enhanced) == (is_permanent, enhanced), routed
    assert routed.error.isprintable()


async def test_mx_by_preference_and_addresses_in_turn() -> None:
    records: dict[str, Records] = {
        "a.test": {"MX": ["20 backup.test.", "10 MX.test."]},
        "mx.test": host(PUBLIC, OTHER, PUBLIC_V6),
        "backup.test": host("11.0.0.3"),
    }
    async with FakeDns(records) as dns:
        routed = await router_of(dns, rules=RoutingRules(port=2525)).route("a.test")
        prefer_v4 = await router_of(dns, rules=RoutingRules(prefer="ipv4")).route("a.test")
    assert isinstance(routed, Route)
    assert routed.site == "backup.test,mx.test"
    assert routed.tls is TlsMode.OPPORTUNISTIC
    assert routed.hops[0] == Hop("mx.test", PUBLIC_V6, 2525)
    assert hosts(routed) == ["mx.test"] * 3 + ["backup.test"]
    assert addresses(prefer_v4)[1] == PUBLIC_V6


async def test_domain_without_mx_is_its_own_host() -> None:  # D02
    async with FakeDns({"a.test": host(PUBLIC)}) as dns:
        routed = await router_of(dns).route("a.test")
    assert routed == Route("a.test", (Hop("a.test", PUBLIC, 25),))


async def test_hosts_of_equal_preference_take_turns() -> None:
    names = [f"mx{i}.test" for i in range(3)]
    records: dict[str, Records] = {name: host(f"11.0.1.{i}") for i, name in enumerate(names)}
    records["a.test"] = {"MX": [f"10 {name}." for name in names]}
    async with FakeDns(records) as dns:
        router = router_of(dns)
        firsts = {hosts(await router.route("a.test"))[0] for _ in range(60)}
    assert firsts == set(names)


async def test_bad_mx_hosts_are_ignored() -> None:  # D06
    bad = ["5 11.0.0.9.", "6 .", "7 bad\\032name.test.", "8 gone.test.", "9 alias.test."]
    records: dict[str, Records] = {
        "a.test": {"MX": [*bad, "10 mx.test."]},
        "mx.test": host(PUBLIC),
        "alias.test": {"CNAME": ["real.test."]},
        "real.test": host(OTHER),
    }
    async with FakeDns(records) as dns:
        routed = await router_of(dns).route("a.test")
        assert not [name for name, _ in dns.queries if name.startswith("11.")]
    assert addresses(routed) == [OTHER, PUBLIC]


async def test_a_host_that_fails_for_now_is_skipped() -> None:
    records: dict[str, Records] = {
        "a.test": {"MX": ["5 slow.test.", "10 mx.test."]},
        "slow.test": Fault.SERVFAIL,
        "mx.test": host(PUBLIC),
    }
    async with FakeDns(records) as dns:
        assert hosts(await router_of(dns).route("a.test")) == ["mx.test"]


async def test_a_hundred_hosts_are_not_all_looked_up() -> None:  # D08
    names = [f"mx{i}.test" for i in range(100)]
    records: dict[str, Records] = {
        name: host(*(f"11.{i}.0.{j}" for j in range(20))) for i, name in enumerate(names)
    }
    records["a.test"] = {"MX": [f"10 {name}." for name in names]}
    async with FakeDns(records) as dns:
        routed = await router_of(dns).route("a.test")
        assert len({name for name, kind in dns.queries if kind == "A"}) == MAX_HOSTS
    assert len(addresses(routed)) == MAX_HOPS


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
    ],
)
async def test_private_addresses_need_permission(address: str) -> None:  # D07
    records: dict[str, Records] = {"a.test": {"MX": ["10 mx.test."]}, "mx.test": host(address)}
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    async with FakeDns(records) as dns:
        router = router_of(dns)
        for domain in ("a.test", literal):
            routed = await router.route(domain)
            assert isinstance(routed, Unreachable)
            assert (routed.is_permanent, routed.enhanced) == (True, "5.4.6")
            assert address in routed.error
            assert "allow_private_destinations" in routed.error
        allowed = router_of(dns, rules=RoutingRules(allow_private=True))
        assert addresses(await allowed.route("a.test")) == [address]
        records["mx.test"] = host(PUBLIC, address)
        assert addresses(await router_of(dns).route("a.test")) == [PUBLIC]


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[11.0.0.1]", "11.0.0.1"),
        ("[IPv6:2600::1]", "2600::1"),
        ("[ipv6:2600:0::1]", "2600::1"),
        ("[11.0.0.1.2]", None),
        ("[mx.test]", None),
        ("[]", None),
        ("[IPv6:fe80::1%eth0]", None),
    ],
)
async def test_address_literals(domain: str, address: str | None) -> None:
    async with FakeDns() as dns:
        routed = await router_of(dns).route(domain)
        assert not dns.queries
    if address is None:
        assert isinstance(routed, Unreachable)
        assert routed.is_permanent
    else:
        assert routed == Route(domain, (Hop(address, address, 25),))


# E25, RFC 5321 5.1: who finds itself among the MX hosts drops those no better than itself.
@pytest.mark.parametrize(
    ("mx", "left"),
    [
        (["10 me.test.", "20 other.test."], None),
        (["10 other.test.", "10 me.test."], None),
        (["5 other.test.", "10 me.test.", "20 third.test."], ["other.test"]),
        (["5 other.test.", "10 alias-of-me.test.", "20 third.test."], ["other.test"]),
        (["10 alias-of-me.test."], None),
    ],
)
async def test_never_to_itself(mx: list[str], left: list[str] | None) -> None:
    records: dict[str, Records] = {
        "a.test": {"MX": mx},
        "me.test": host("11.0.0.9"),
        "alias-of-me.test": host("11.0.0.9"),
        "other.test": host(PUBLIC),
        "third.test": host(OTHER),
    }
    rules = RoutingRules(
        own_names=frozenset({"me.test"}), own_endpoints=frozenset({("11.0.0.9", 25)})
    )
    async with FakeDns(records) as dns:
        routed = await router_of(dns, rules=rules).route("a.test")
    if left is None:
        assert isinstance(routed, Unreachable)
        assert (routed.is_permanent, routed.enhanced) == (True, "5.4.6")
        assert "loops back" in routed.error
    else:
        assert hosts(routed) == left


async def test_a_wildcard_listener_covers_this_machine_only() -> None:
    wildcard = "0.0.0.0"  # noqa: S104
    rules = RoutingRules(allow_private=True, own_endpoints=frozenset({(wildcard, 25)}))
    elsewhere = RoutingRules(allow_private=True, own_endpoints=frozenset({(wildcard, 26)}))
    async with FakeDns({"a.test": host("127.0.0.1"), "b.test": host(PUBLIC)}) as dns:
        assert isinstance(await router_of(dns, rules=rules).route("a.test"), Unreachable)
        assert addresses(await router_of(dns, rules=rules).route("b.test")) == [PUBLIC]
        assert addresses(await router_of(dns, rules=elsewhere).route("a.test")) == ["127.0.0.1"]


async def test_pins_come_first_and_may_be_private() -> None:
    pins = {
        "a.test": "smtp://127.0.0.1:2525",
        "b.test": "smtp://localhost:26",
        "c.test": "smtps://[::1]",
        "*": "smtp://user:secret@smart.test:587",
    }
    records: dict[str, Records] = {"smart.test": host("10.0.0.1"), "a.test": host(PUBLIC)}
    async with FakeDns(records) as dns:
        router = router_of(dns, pins=pins)
        a = await router.route("a.test")
        assert a == Route("pin:127.0.0.1:2525", (Hop("127.0.0.1", "127.0.0.1", 2525),))
        assert await router.route("a.test") is a
        assert addresses(await router.route("b.test")) == ["127.0.0.1"]
        c = await router.route("c.test")
        assert isinstance(c, Route)
        assert (c.tls, c.hops) == (TlsMode.IMPLICIT, (Hop("::1", "::1", 465),))
        assert not dns.queries
        for other in ("z.test", "[11.0.0.1]"):
            route = await router.route(other)
            assert isinstance(route, Route)
            assert (route.site, route.tls) == ("pin:user@smart.test:587", TlsMode.VERIFIED)
            assert route.credentials is not None
            assert addresses(route) == ["10.0.0.1"]


@pytest.mark.parametrize("records", [{}, {"smart.test": Fault.SERVFAIL}])
async def test_a_pin_without_address_only_defers(records: dict[str, Records]) -> None:
    async with FakeDns(records) as dns:
        routed = await router_of(dns, pins={"*": "smtp://smart.test"}).route("a.test")
    assert isinstance(routed, Unreachable)
    assert not routed.is_permanent


async def test_broken_addresses_go_last_for_a_while() -> None:
    clock = Clock()
    memory = HostMemory(clock=clock)
    records: dict[str, Records] = {"a.test": host(PUBLIC, OTHER, PUBLIC_V6)}
    async with FakeDns(records, ttl=3600) as dns:
        router = router_of(dns, memory=memory)
        before = addresses(await router.route("a.test"))
        memory.mark_broken(before[1])
        assert addresses(await router.route("a.test"))[-1] == before[1]
        memory.mark_family_broken("2001:db8::5")
        assert addresses(await router.route("a.test"))[0] not in {before[1], PUBLIC_V6}
        clock.now += BROKEN_FOR
        assert addresses(await router.route("a.test")) == before


def test_memory_keeps_families_apart() -> None:
    memory = HostMemory(clock=Clock())
    assert not memory.is_broken(PUBLIC)
    memory.mark_family_broken(PUBLIC_V6)
    assert memory.is_broken("2001:db8::2")
    assert not memory.is_broken(PUBLIC)
