from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.network import in_networks, is_public, parse_endpoint

PUBLIC = [
    "8.8.8.8",
    "9.255.255.255",
    "100.63.255.255",  # just below carrier-grade NAT
    "100.128.0.0",  # just above
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "223.255.255.255",
    "2001:4860:4860::8888",
    "2a00::1",
    "::ffff:8.8.8.8",  # IPv4-mapped
    "64:ff9b::8.8.8.8",  # NAT64
]
NOT_PUBLIC = [
    ("0.0.0.0", "unspecified"),  # noqa: S104 - an address to refuse, not to bind
    ("0.1.2.3", "this network"),
    ("10.0.0.1", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "link-local: cloud metadata"),
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),
    ("192.0.0.8", "protocol assignment"),
    ("192.0.2.1", "documentation"),
    ("192.88.99.1", "6to4 relay"),
    ("192.168.1.1", "private"),
    ("198.18.0.1", "benchmarking"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::7f00:1", "IPv4-compatible, withdrawn"),
    ("::ffff:127.0.0.1", "loopback, mapped"),
    ("::ffff:a9fe:a9fe", "cloud metadata, mapped"),
    ("64:ff9b::10.0.0.1", "private behind NAT64"),
    ("64:ff9b:1::1", "local NAT64"),
    ("100::1", "discard"),
    ("2001::1", "Teredo"),
    ("2001:db8::1", "documentation"),
    ("2002:7f00:1::1", "6to4 around loopback"),
    ("3fff::1", "documentation"),
    ("5f00::1", "segment routing"),
    ("fc00::1", "unique local"),
    ("fd12:3456::1", "unique local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "link-local with a scope"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(("address", "reason"), NOT_PUBLIC)
def test_not_public(address: str, reason: str) -> None:
    assert not is_public(address), reason


@given(st.ip_addresses())
def test_nothing_is_public_that_the_standard_library_calls_private(address: object) -> None:
    parsed = ip_network(str(address)).network_address
    if parsed.is_private or parsed.is_loopback or parsed.is_link_local or parsed.is_unspecified:
        assert not is_public(str(address))


def test_not_an_address() -> None:
    for text in ("localhost", "", "127.1", "0177.0.0.1", "2130706433"):
        with pytest.raises(ValueError):
            is_public(text)


def test_in_networks() -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert in_networks("10.1.2.3", networks)
    assert in_networks("::ffff:10.1.2.3", networks)
    assert in_networks("fd00::1", networks)
    assert not in_networks("11.0.0.1", networks)
    assert not in_networks("10.0.0.1", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail.example:25", ("mail.example", 25)),
        ("Mail:2525", ("mail", 2525)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:25", ("::1", 25)),
        ("[2001:DB8:0:0::1]:65535", ("2001:db8::1", 65535)),
    ],
)
def test_endpoint(text: str, expected: tuple[str, int]) -> None:
    assert parse_endpoint(text) == expected


def test_endpoint_with_default_port() -> None:
    assert parse_endpoint("mail.example", default_port=587) == ("mail.example", 587)
    assert parse_endpoint("[::1]", default_port=587) == ("::1", 587)
    assert parse_endpoint("[::1]:25", default_port=587) == ("::1", 25)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":25",
        "host",
        "host:",
        "host:65536",
        "host:-1",
        "host:٢٥",
        "host:25 ",
        "host:25\n",
        "::1:25",
        "[::1:25",
        "[::1]",
        "[nonsense]:25",
        "[1.2.3.4]:25",
        "user@host:25",
        "smtp://host:25",
        "[fe80::1%eth0]:25",
    ],
)
def test_bad_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)
