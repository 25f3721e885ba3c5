"""From a recipient domain to the addresses to connect to, in order.

Pins of mta.toml come first, then address literals, then the DNS. Every address is checked here and
connected to as it is, never looked up again. Not here: asking the DNS (resolver.py), connecting
(smtp_client.py). Follows RFC 5321 5.1 and 2.3.5, RFC 7505 (null MX) and RFC 3463 for the statuses.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Literal

from mta.core.expiring import ExpiringMap
from mta.core.frozen import frozen
from mta.core.mx import Record, interleave, is_null, order_hosts, site_name
from mta.core.network import is_public
from mta.core.outcome import Stage, Unreachable
from mta.core.pin import Pin
from mta.core.route import Hop, Route, Routed
from mta.resolver import Answer, Failure, Found, NoData, NoSuchDomain, Resolver

MAX_HOSTS = 5
"""MX hosts looked up for one route; the rest of a longer list is never needed."""
MAX_HOPS = 10
"""Addresses in one route: bounds how long one attempt may go on connecting."""
BROKEN_FOR = 300.0
"""Seconds that an address that did not answer is tried last."""
_MAX_BROKEN = 10_000

_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*(?![0-9]+\Z)[a-z0-9_-]{1,63}")
_WILDCARDS = {str(IPv4Address(0)), str(IPv6Address(0))}
_NEVER = 65_536
"""Worse than every preference of an MX record."""


class HostMemory:
    """Addresses, and whole address families, that lately could not be connected to."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """Use a clock that never goes back, in seconds."""
        self._clock = clock
        self._broken: ExpiringMap[str, bool] = ExpiringMap(_MAX_BROKEN)

    def mark_broken(self, address: str) -> None:
        """Note that the server at this address does not answer."""
        self._broken.put(address, True, self._clock() + BROKEN_FOR)

    def mark_family_broken(self, address: str) -> None:
        """Note that no address of the family of this one can be reached from here."""
        self.mark_broken(_family(address))

    def is_broken(self, address: str) -> bool:
        """Tell whether to try other addresses before this one."""
        if not self._broken:
            return False
        now = self._clock()
        return any(self._broken.get(key, now) for key in (address, _family(address)))


@frozen
class RoutingRules:
    """What the operator says about routes.

    Attributes:
        port: TCP port of MX hosts.
        prefer: address family to try first.
        allow_private: deliver to private and loopback addresses that the DNS names.
        own_names: host names of this server, lower case: an MX of that name is itself.
        own_endpoints: addresses and ports that this server listens on.
    """

    port: int = 25
    prefer: Literal["ipv6", "ipv4"] = "ipv6"
    allow_private: bool = False
    own_names: frozenset[str] = frozenset()
    own_endpoints: frozenset[tuple[str, int]] = frozenset()


class Router:
    """Finds routes."""

    def __init__(
        self,
        pins: Mapping[str, Pin],
        resolver: Resolver,
        rules: RoutingRules,
        *,
        memory: HostMemory,
        random: Random,
    ) -> None:
        """Keep the collaborators.

        Args:
            pins: domain (A-label, lower case) or "*" for all others -> server.
            resolver: for everything that is not an address already.
            rules: the operator's.
            memory: addresses to try last.
            random: chooses among MX hosts of equal preference.
        """
        self._resolver = resolver
        self._rules = rules
        self._memory = memory
        self._random = random
        self._pins: dict[str, Pin | Route] = {
            domain: _route_of_literal_pin(pin) or pin for domain, pin in pins.items()
        }

    async def route(self, domain: str) -> Routed:
        """Return where mail for a domain goes, or why nowhere.

        Args:
            domain: A-labels in lower case, or a literal: "[192.0.2.1]", "[IPv6:2001:db8::1]".
        """
        match self._pins.get(domain) or self._pins.get("*"):
            case Route() as route:
                return route
            case Pin() as pin:
                return await self._to_pin(pin)
        return self._to_literal(domain) if domain[:1] == "[" else await self._to_domain(domain)

    async def _to_domain(self, domain: str) -> Routed:
        match await self._resolver.mx(domain):
            case Found(records):
                return await self._to_mx(domain, records)
            case NoData():  # the domain itself is the host, the "implicit MX"
                return await self._to_mx(domain, ((0, domain),))
            case NoSuchDomain():
                return _permanent("5.1.2", f"{domain} does not exist")
            case Failure(error):
                return _temporary(error)

    async def _to_pin(self, pin: Pin) -> Routed:
        match await self._resolver.addresses(pin.host):
            case Found(addresses):
                hops = [Hop(pin.host, address, pin.port) for address in self._in_turn(addresses)]
                return _pin_route(pin, self._best(hops))
            case Failure(error):
                return _temporary(error)
            case NoData() | NoSuchDomain():  # the operator's slip must not bounce mail
                return _temporary(f"the server {pin.host} of [routing] has no address")

    def _to_literal(self, domain: str) -> Routed:
        text = domain[1:-1].lower().removeprefix("ipv6:")
        try:
            address = str(ip_address(text))
        except ValueError:
            return _permanent("5.1.2", f"{domain} is no IP address")
        return self._choose(domain, domain, [(0, address, Found((address,)))])

    async def _to_mx(self, domain: str, records: Sequence[Record]) -> Routed:
        if is_null(records):
            return _permanent("5.1.10", f"{domain} takes no mail (null MX)")
        hosts = {
            host: rank for rank, host in sorted(records, reverse=True) if _HOST.fullmatch(host)
        }
        own_rank = min((hosts.get(name, _NEVER) for name in self._rules.own_names), default=_NEVER)
        ahead = [(rank, host) for host, rank in hosts.items() if rank < own_rank]
        if hosts and not ahead:
            return _loop(domain)
        draws = [self._random.random() for _ in ahead]
        names = order_hosts(ahead, draws)[:MAX_HOSTS]
        answers = await self._resolver.addresses_of(names)
        found = [(hosts[name], name, answer) for name, answer in zip(names, answers, strict=True)]
        return self._choose(domain, site_name(records), found)

    def _choose(
        self, domain: str, site: str, hosts: Sequence[tuple[int, str, Answer[str]]]
    ) -> Routed:
        """Return the route over those addresses that mail may go to.

        A server that finds itself among the MX hosts drops those that rank no better than itself:
        they would only hand the mail back (RFC 5321 5.1).
        """
        candidates = [
            (rank, Hop(name, address, self._rules.port))
            for rank, name, answer in hosts
            if isinstance(answer, Found)
            for address in self._in_turn(answer.records)
        ]
        own_rank = min((rank for rank, hop in candidates if self._is_own(hop)), default=_NEVER)
        ahead = [hop for rank, hop in candidates if rank < own_rank]
        allowed = [hop for hop in ahead if self._rules.allow_private or is_public(hop.address)]
        if allowed:
            return Route(site, self._best(allowed))
        for _, _, answer in hosts:
            if isinstance(answer, Failure):
                return _temporary(answer.error)
        if ahead:
            private = ", ".join(hop.address for hop in ahead[:MAX_HOPS])
            hint = "[delivery] allow_private_destinations is off"
            return _permanent("5.4.6", f"{domain} has private addresses only: {private}; {hint}")
        if candidates:
            return _loop(domain)
        return _permanent("5.4.4", f"no mail server of {domain} has an address")

    def _in_turn(self, addresses: Sequence[str]) -> tuple[str, ...]:
        v6 = [address for address in addresses if ":" in address]
        v4 = [address for address in addresses if ":" not in address]
        return interleave(v6, v4, self._rules.prefer)

    def _best(self, hops: Sequence[Hop]) -> tuple[Hop, ...]:
        ordered = sorted(hops, key=lambda hop: self._memory.is_broken(hop.address))
        return tuple(ordered[:MAX_HOPS])

    def _is_own(self, hop: Hop) -> bool:
        """Tell whether this server itself listens there."""
        return any(
            port == hop.port and (address == hop.address or _covers(address, hop.address))
            for address, port in self._rules.own_endpoints
        )


def _route_of_literal_pin(pin: Pin) -> Route | None:
    """Return the route of a pin that needs no DNS, made once; None for one that names a host."""
    address = "127.0.0.1" if pin.host == "localhost" else pin.host
    try:
        address = str(ip_address(address))
    except ValueError:
        return None
    return _pin_route(pin, (Hop(pin.host, address, pin.port),))


def _pin_route(pin: Pin, hops: tuple[Hop, ...]) -> Route:
    # Two accounts with one smarthost are two sites: their sessions are not interchangeable.
    user = f"{pin.credentials.user}@" if pin.credentials else ""
    return Route(f"pin:{user}{pin.host}:{pin.port}", hops, pin.tls, pin.credentials)


def _covers(listening: str, address: str) -> bool:
    """Tell whether a wildcard listener receives what is sent to the address.

    A datagram socket connects without sending anything; the kernel then answers from the address
    itself when that is one of this machine's.
    """
    if listening not in _WILDCARDS:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


def _family(address: str) -> str:
    return "ipv6" if ":" in address else "ipv4"


def _permanent(enhanced: str, error: str) -> Unreachable:
    return Unreachable(Stage.ROUTE, error, is_permanent=True, enhanced=enhanced)


def _loop(domain: str) -> Unreachable:
    return _permanent("5.4.6", f"mail for {domain} loops back to this server")


def _temporary(error: str) -> Unreachable:
    return Unreachable(Stage.ROUTE, error, enhanced="4.4.3")
