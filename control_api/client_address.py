"""Which client a request is from, with and without a proxy in front.

X-Forwarded-For is believed from trusted proxies only, and only as far as they wrote it: the address
that counts is the last one that is not a proxy's own. Anybody can send the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from starlette.requests import Request

from mta.core.frozen import frozen
from mta.core.network import IpNetwork, in_networks

_FORWARDED_FOR = "x-forwarded-for"
_MAX_ADDRESSES = 20
"""Entries of the header that are looked at, from the end."""


@frozen
class ClientAddress:
    """Where a request is from.

    Attributes:
        text: IP address; "" when it is not known.
        is_certain: False when a proxy that is not trusted speaks for others from this address.
    """

    text: str
    is_certain: bool


def client_address(request: Request, trusted: Sequence[IpNetwork]) -> ClientAddress:
    """Return whom a request is from, given the proxies that are trusted."""
    peer = _address(request.client.host if request.client else "")
    is_forwarded = _FORWARDED_FOR in request.headers or "forwarded" in request.headers
    if not (peer and in_networks(peer, trusted)):
        return ClientAddress(peer, not is_forwarded)
    hops = ",".join(request.headers.getlist(_FORWARDED_FOR)).split(",")
    for hop in reversed(hops[-_MAX_ADDRESSES:]):
        address = _address(hop.strip().removeprefix("[").removesuffix("]"))
        if not address:
            break
        peer = address
        if not in_networks(address, trusted):
            break
    return ClientAddress(peer, is_certain=True)


def _address(text: str) -> str:
    """Return the IP address in normal form, "" for other text."""
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
