"""IP addresses and endpoints: which addresses are public, which networks hold them.

Not here: looking names up (mta/resolver.py). The decision is on addresses only, so it is asked of
the very address that is connected to, never of a name that may answer differently the next time.
Follows the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

IpNetwork = IPv4Network | IPv6Network

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata services among them
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn (RFC 7526)
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, limited broadcast among them
    )
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: any IPv4 address inside, withdrawn (RFC 7526)
        "3fff::/20",  # documentation (RFC 9637)
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")


def is_public(address: str) -> bool:
    """Tell whether mail and webhooks may go to an address of the open Internet.

    False for loopback, private, link-local, carrier-grade NAT, multicast, unspecified,
    documentation and reserved addresses, and for IPv6 forms that hold one of those.

    Raises:
        ValueError: `address` is not an IP address.
    """
    match _unwrapped(ip_address(address)):
        case IPv4Address() as v4:
            return not any(v4 in network for network in _NOT_PUBLIC_V4)
        case IPv6Address() as v6:
            return v6 in _GLOBAL_UNICAST_V6 and not any(v6 in net for net in _NOT_PUBLIC_V6)


def in_networks(address: str, networks: Iterable[IpNetwork]) -> bool:
    """Tell whether one of the networks holds the address; "::ffff:10.0.0.1" counts as 10.0.0.1.

    Raises:
        ValueError: `address` is not an IP address.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def parse_endpoint(text: str, *, default_port: int | None = None) -> tuple[str, int]:
    """Return host and port of "host:port" or "[IPv6]:port"; the host in lower case, unbracketed.

    Args:
        text: the host is a name or an IP address; whether it exists is not looked at.
        default_port: the port where the text has none; None makes the port mandatory.

    Raises:
        ValueError: another form, or a port above 65535.
    """
    match = _ENDPOINT.fullmatch(text)
    if match is None:
        raise ValueError("expected host:port or [IPv6]:port")
    v6, name, digits = match.groups()
    port = default_port if digits is None else int(digits)
    if port is None:
        raise ValueError("the port is missing")
    if port > 65_535:
        raise ValueError("the port is above 65535")
    return (str(IPv6Address(v6)) if v6 else name.lower()), port


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv4-mapped or NAT64 address leads to, else the address."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def client_network(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 that one IPv6 site has."""
    if ":" not in address:
        return address
    return str(IPv6Network((int(IPv6Address(address)) >> 64 << 64, 64)))
