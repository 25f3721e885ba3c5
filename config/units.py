"""Single values of mta.toml: durations, sizes, endpoints, networks, names, paths.

Every reader takes what the TOML parser gave and returns a typed value, or raises BadValueError with
what is allowed there ("must be ..."). Naming the file, the key and the value is loader.py's part.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from mta.core.address import AddressError, to_ascii_domain
from mta.core.frozen import frozen
from mta.core.network import IpNetwork, parse_endpoint
from mta.core.pin import Pin, PinError, parse_pin
from mta.core.rate_limit import Limit, parse_limit

T = TypeVar("T")
Reader = Callable[[object], T]

FALLBACK_HOSTNAME = "localhost.localdomain"
"""Stands in when the machine does not know its full name; other mail servers distrust it."""

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZE_UNITS = {
    "B": 1.0,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,6})?) ?([A-Za-z]+)", re.ASCII)
_DNS_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{1,61}", re.ASCII
)
_CREDENTIAL = re.compile(r"credential:([A-Za-z0-9_.-]{1,255})", re.ASCII)
_SYSTEMD_CREDENTIALS = "/run/credentials/mta.service"
_LONGEST_DURATION = timedelta(days=3650)


class BadValueError(Exception):
    """A reader refuses a value; the message says what is allowed and starts with "must"."""


@frozen
class Endpoint:
    """Where to listen or whom to ask: an IP address or host name without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def text(value: object) -> str:
    """Read a string of printable characters; it may be empty."""
    if not isinstance(value, str) or not value.isprintable():
        raise BadValueError("must be text in quotes, without control characters")
    return value


def boolean(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise BadValueError("must be true or false, without quotes")
    return value


def integer(minimum: int, maximum: int) -> Reader[int]:
    """Return a reader of whole numbers in a range, both ends included."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
            raise BadValueError(f"must be a whole number from {minimum} to {maximum}")
        return value

    return read


def number(minimum: float, maximum: float) -> Reader[float]:
    """Return a reader of numbers in a range, both ends included."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadValueError(f"must be a number from {minimum:g} to {maximum:g}, without quotes")
        if not minimum <= value <= maximum:
            raise BadValueError(f"must be a number from {minimum:g} to {maximum:g}")
        return float(value)

    return read


def _quantity(value: object, units: Mapping[str, float]) -> float | None:
    """Return number times unit for text such as "5m"; None for anything else."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match.group(2) not in units:
        return None
    return float(match.group(1)) * units[match.group(2)]


def duration_or_zero(value: object) -> timedelta:
    """Read a time span such as "90s"; "0s" is allowed."""
    seconds = _quantity(value, _DURATION_UNITS)
    if seconds is None or seconds > _LONGEST_DURATION.total_seconds():
        raise BadValueError('must be a time span in quotes with ms, s, m, h or d, such as "90s"')
    return timedelta(seconds=seconds)


def duration(value: object) -> timedelta:
    """Read a time span such as "500ms", "90s", "5m", "4h" or "1d", longer than zero."""
    span = duration_or_zero(value)
    if not span:
        raise BadValueError("must be longer than zero")
    return span


def size(value: object) -> int:
    """Read a number of bytes: a whole number, or text such as "100KB" (1000) or "25MiB" (1024)."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    count = value if is_number else _quantity(value, _SIZE_UNITS)
    if not isinstance(count, int | float) or not 1 <= count < 2**40:
        raise BadValueError('must be a size: bytes, or text such as "100KiB" or "25MiB"')
    return int(count)


def rate(value: object) -> Limit:
    """Read a rate such as "100/s", "5000/m" or "20/10s"."""
    try:
        return parse_limit(text(value))
    except ValueError:
        raise BadValueError('must be a rate such as "100/s", "5000/m" or "20/10s"') from None


def choice(*allowed: str) -> Reader[str]:
    """Return a reader of one word out of several."""
    listed = " or ".join(f'"{word}"' for word in allowed)

    def read(value: object) -> str:
        if value not in allowed:
            raise BadValueError(f"must be {listed}")
        return str(value)

    return read


def processes(value: object) -> int | str:
    """Read a number of processes, or "auto"."""
    if value == "auto":
        return "auto"
    try:
        return integer(1, 256)(value)
    except BadValueError as error:
        raise BadValueError(f'{error}, or "auto"') from None


def several(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """Return a reader of lists whose items another reader reads; repeated items are refused."""

    def read_all(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise BadValueError("must be a list in square brackets")
        items = tuple(_item(read, item) for item in value)
        if len(set(items)) != len(items):
            raise BadValueError("must not name anything twice")
        return items

    return read_all


def _item(read: Reader[T], item: object) -> T:
    try:
        return read(item)
    except BadValueError as error:
        raise BadValueError(f"each item {error}") from None


def endpoint(value: object) -> Endpoint:
    """Read "host:port", "address:port" or "[IPv6]:port"."""
    try:
        return Endpoint(*parse_endpoint(text(value)))
    except ValueError:
        message = 'must be "host:port", such as "127.0.0.1:2525" or "[::1]:2525"'
        raise BadValueError(message) from None


def optional_endpoint(value: object) -> Endpoint | None:
    """Read an endpoint; "" is None, which switches a listener off."""
    if value == "":
        return None
    try:
        return endpoint(value)
    except BadValueError as error:
        raise BadValueError(f'{error}, or "" to switch it off') from None


def nameserver(value: object) -> Endpoint:
    """Read the IP address of a DNS server with or without a port; the port is 53 when not given."""
    given = text(value)
    try:
        host, port = (given, 53) if _is_address(given) else parse_endpoint(given, default_port=53)
    except ValueError:
        host = ""
    if not _is_address(host):
        raise BadValueError('must be an IP address with or without a port, such as "127.0.0.1:53"')
    return Endpoint(host, port)


def _is_address(given: str) -> bool:
    try:
        ipaddress.ip_address(given)
    except ValueError:
        return False
    return True


def network(value: object) -> IpNetwork:
    """Read an IP network or a single address."""
    try:
        return ipaddress.ip_network(text(value))
    except ValueError:
        message = 'must be an IP address or network without host bits, such as "10.0.0.0/8"'
        raise BadValueError(message) from None


def domain(value: object) -> str:
    """Read a domain name; returns its A-label form in lower case."""
    try:
        return to_ascii_domain(text(value))
    except AddressError as error:
        raise BadValueError(f"must be a domain name: {error}") from None


def optional_domain(value: object) -> str:
    """Read a domain name, or "" for none."""
    return "" if value == "" else domain(value)


def optional_dns_name(value: object) -> str:
    """Read a name such as "_spf.example.com", whose labels may hold "_"; "" is none."""
    given = text(value).lower()
    if given and (len(given) > 253 or not _DNS_NAME.fullmatch(given)):
        raise BadValueError('must be a name of the DNS, such as "_spf.example.com"')
    return given


def address(value: object) -> str:
    """Read an IP address; returns its shortest form."""
    try:
        return str(ipaddress.ip_address(text(value)))
    except ValueError:
        raise BadValueError('must be an IP address, such as "192.0.2.25"') from None


def hostname(value: object) -> str:
    """Read a host name; "" is the machine's own full name."""
    return system_hostname() if value == "" else domain(value)


def system_hostname() -> str:
    """Return this machine's full name without asking the DNS, which may be slow or away.

    That is the kernel's name when it has a dot, else the first name with a dot that /etc/hosts
    gives it, else FALLBACK_HOSTNAME.
    """
    own = socket.gethostname()
    return own.lower() if "." in own else name_in_hosts(own, Path("/etc/hosts"))


def name_in_hosts(own: str, hosts: Path) -> str:
    """Return the first name with a dot that a hosts(5) file gives `own`, or FALLBACK_HOSTNAME."""
    lines = hosts.read_text(errors="replace").splitlines() if hosts.is_file() else []
    for line in lines:
        names = line.partition("#")[0].split()[1:]
        if own in names:
            for name in names:
                if "." in name:
                    return name.lower()
    return FALLBACK_HOSTNAME


def route_domain(key: str) -> str:
    """Read the left side of a routing pin: a domain name, or "*" for all others."""
    return key if key == "*" else domain(key)


def pin(value: object) -> Pin:
    """Read the right side of a routing pin, such as "smtp://user:password@relay.example:587"."""
    try:
        return parse_pin(text(value))
    except PinError as error:
        raise BadValueError(f"must be a pin such as smtp://relay.example:587: {error}") from None


def path(value: object) -> Path:
    """Read a path; loader.py makes it relative to the configuration file's folder."""
    if not text(value):
        raise BadValueError("must be a path")
    return Path(text(value))


def optional_path(value: object) -> Path | None:
    """Read a path, "" for none, or "credential:NAME" for a file that LoadCredential= provides.

    Outside the service, where $CREDENTIALS_DIRECTORY is not set, the place is named where systemd
    keeps the credentials of mta.service.
    """
    if value == "":
        return None
    match = _CREDENTIAL.fullmatch(text(value))
    if match:
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", _SYSTEMD_CREDENTIALS), match.group(1))
    return path(value)


def public_url(value: object) -> str:
    """Read a base URL without a path's final slash, or "" for none."""
    given = text(value).rstrip("/")
    try:
        parts = urlsplit(given)
    except ValueError:
        parts = urlsplit("")
    is_base = parts.scheme in {"http", "https"} and parts.hostname and not parts.query
    if given and (not is_base or parts.fragment or parts.username is not None):
        raise BadValueError('must be "" or a URL such as "https://mail.example.com"')
    return given
