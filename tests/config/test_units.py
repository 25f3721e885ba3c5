"""Single values: what each reader takes and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import units
from config.units import BadValueError, Endpoint


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (units.duration, "500ms", timedelta(milliseconds=500)),
        (units.duration, "90s", timedelta(seconds=90)),
        (units.duration, "1.5h", timedelta(minutes=90)),
        (units.duration, "4 d", timedelta(days=4)),
        (units.duration_or_zero, "0s", timedelta()),
        (units.size, 4096, 4096),
        (units.size, "100KB", 100_000),
        (units.size, "25MiB", 25 * 2**20),
        (units.size, "1.5 KiB", 1536),
        (units.integer(1, 3), 3, 3),
        (units.number(0, 1), 1, 1.0),
        (units.processes, "auto", "auto"),
        (units.processes, 4, 4),
        (units.endpoint, "127.0.0.1:2525", Endpoint("127.0.0.1", 2525)),
        (units.endpoint, "[::1]:25", Endpoint("::1", 25)),
        (units.optional_endpoint, "", None),
        (units.nameserver, "192.0.2.53", Endpoint("192.0.2.53", 53)),
        (units.nameserver, "192.0.2.53:5353", Endpoint("192.0.2.53", 5353)),
        (units.nameserver, "2001:db8::53", Endpoint("2001:db8::53", 53)),
        (units.nameserver, "[2001:db8::53]:5353", Endpoint("2001:db8::53", 5353)),
        (units.network, "10.0.0.0/8", ip_network("10.0.0.0/8")),
        (units.network, "::1", ip_network("::1/128")),
        (units.domain, "Bücher.example", "xn--bcher-kva.example"),
        (units.optional_domain, "", ""),
        (units.optional_dns_name, "_spf.Example.com", "_spf.example.com"),
        (units.optional_dns_name, "", ""),
        (units.address, "2001:DB8:0::1", "2001:db8::1"),
        (units.route_domain, "*", "*"),
        (units.public_url, "https://mail.example.com/", "https://mail.example.com"),
        (units.public_url, "", ""),
        (units.optional_path, "", None),
        (units.path, "keys/tls.pem", Path("keys/tls.pem")),
        (units.several(units.integer(0, 9)), [1, 2], (1, 2)),
    ],
)
def test_readers_take(read: Callable[[object], object], value: object, expected: object) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (units.duration, 5, "time span"),  # a bare number has no unit
        (units.optional_dns_name, "_spf", "name of the DNS"),
        (units.optional_dns_name, "a b.example", "name of the DNS"),
        (units.address, "192.0.2.0/24", "IP address"),
        (units.address, "mta.example", "IP address"),
        (units.duration, "5 minutes", "time span"),
        (units.duration, "0s", "longer than zero"),
        (units.duration, "99999d", "time span"),
        (units.duration, "٥m", "time span"),  # digits of another script
        (units.size, "25mb", "must be a size"),  # mb would be millibits
        (units.size, 0, "must be a size"),
        (units.size, True, "must be a size"),
        (units.size, "0.2B", "must be a size"),
        (units.integer(1, 3), True, "whole number from 1 to 3"),
        (units.integer(1, 3), "2", "whole number"),
        (units.integer(1, 3), 4, "whole number"),
        (units.number(0, 1), float("nan"), "number from 0 to 1"),
        (units.number(0, 1), "0.5", "number from 0 to 1"),
        (units.boolean, "true", "without quotes"),
        (units.text, "a\nb", "control characters"),
        (units.processes, 0, 'from 1 to 256, or "auto"'),
        (units.endpoint, "2525", "host:port"),
        (units.endpoint, "127.0.0.1:70000", "host:port"),
        (units.optional_endpoint, "off", 'or "" to switch it off'),
        (units.nameserver, "dns.example", "IP address"),  # a name would need a name server
        (units.network, "10.0.0.1/8", "without host bits"),
        (units.domain, "exa mple.com", "domain name"),
        (units.pin, "relay.example", "pin"),
        (units.public_url, "mail.example.com", "URL"),
        (units.public_url, "https://[", "URL"),
        (units.public_url, "https://user@mail.example.com", "URL"),
        (units.path, "", "path"),
        (units.several(units.boolean), True, "list"),
        (units.several(units.boolean), [1], "each item must be true or false"),
        (units.several(units.integer(0, 9)), [1, 1], "twice"),
        (units.choice("a", "b"), "c", 'must be "a" or "b"'),
        (units.choice("a", "b"), ["a"], 'must be "a" or "b"'),
    ],
)
def test_readers_refuse(read: Callable[[object], object], value: object, message: str) -> None:
    with pytest.raises(BadValueError, match="must") as caught:
        read(value)
    assert message in str(caught.value)


def test_a_credential_is_a_file_that_systemd_provides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/other.service")
    assert units.optional_path("credential:tls.key") == Path(
        "/run/credentials/other.service/tls.key"
    )


def test_a_credential_has_a_place_outside_the_service_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert units.optional_path("credential:key") == Path("/run/credentials/mta.service/key")


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("127.0.1.1 vps.example.com vps\n", "vps.example.com"),
        ("127.0.1.1 vps VPS.Example.com # comment\n", "vps.example.com"),
        ("127.0.0.1 localhost\n# 127.0.1.1 vps.example.com vps\n", units.FALLBACK_HOSTNAME),
        ("127.0.1.1 vps\n", units.FALLBACK_HOSTNAME),
        ("", units.FALLBACK_HOSTNAME),
    ],
)
def test_the_full_name_comes_from_hosts(hosts: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(hosts)
    assert units.name_in_hosts("vps", file) == expected


def test_a_machine_without_hosts_file_has_the_fallback_name(tmp_path: Path) -> None:
    assert units.name_in_hosts("vps", tmp_path / "none") == units.FALLBACK_HOSTNAME


@given(st.text())
def test_any_text_is_a_value_or_our_error(value: str) -> None:
    readers: list[Callable[[object], object]] = [
        units.duration,
        units.size,
        units.endpoint,
        units.nameserver,
        units.network,
        units.public_url,
        units.domain,
        units.pin,
        units.optional_path,
    ]
    for read in readers:
        try:
            read(value)
        except BadValueError as error:
            assert str(error).startswith("must")  # noqa: PT017
