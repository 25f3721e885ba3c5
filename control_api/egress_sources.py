"""The addresses that mail leaves from, for operators. There is one source: this machine.

Those of domains.egress_addresses where it names some, otherwise what the routing table says: behind
a NAT, others see another one. Not here: what SPF should hold.
"""

from __future__ import annotations

import socket

from starlette.responses import Response

from control_api.routes import Call, Route, json_response
from mta.core.access import ADMIN

_FAR = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of documentation (RFC 5737, RFC 3849): routed like any far host, and never sent to."""


async def list_sources(call: Call) -> Response:
    """GET /v1/egress-sources."""
    settings = call.services.settings
    source = {
        "object": "egress_source",
        "id": "default",
        "ehlo_name": settings.delivery.ehlo_name or settings.server.hostname,
        "prefer": settings.delivery.prefer,
        "addresses": list(settings.domains.egress_addresses) or _routed(),
        "max_connections": settings.delivery.max_connections,
    }
    return json_response({"object": "list", "data": [source], "has_more": False})


def _routed() -> list[str]:
    found = (_source_address(family, far) for family, far in _FAR)
    return [address for address in found if address]


def _source_address(family: socket.AddressFamily, far: str) -> str:
    """Return the address that this machine would speak from, "" when it has no route.

    Connecting a datagram socket asks the routing table and sends nothing.
    """
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            address: str = probe.getsockname()[0]
    except OSError:
        return ""
    return address


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/egress-sources", list_sources, ADMIN, "Where mail leaves from"),
)
