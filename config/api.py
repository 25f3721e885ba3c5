"""[api] of mta.toml: the HTTP control API, its limits, and who logs in with a password."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from config import units
from config.units import Endpoint
from mta.core import sandbox
from mta.core.frozen import frozen
from mta.core.network import IpNetwork
from mta.core.rate_limit import Limit

Count = Annotated[int, units.integer(1, 1_000_000)]
Networks = Annotated[tuple[IpNetwork, ...], units.several(units.network)]
Limits = Annotated[tuple[Limit, ...], units.several(units.rate)]

API_LISTEN = Endpoint("127.0.0.1", 8025)
LOOPBACK: tuple[IpNetwork, ...] = (units.network("127.0.0.0/8"), units.network("::1"))


@frozen
class ApiLimits:
    """[api.limits]: requests of each API key, connections of each client."""

    requests: Limits = (units.rate("100/s"), units.rate("5000/m"))
    exempt_networks: Networks = LOOPBACK
    wrong_keys: Limits = (units.rate("30/m"),)
    pages: Limits = (units.rate("600/m"),)
    connections: Count = 1000
    connections_per_address: Count = 100


@frozen
class Login:
    """[api.login]: users with a password, who get a token for it."""

    enabled: bool = False
    attempts: Limits = (units.rate("10/m"), units.rate("100/h"))
    session: timedelta = timedelta(hours=12)
    link: timedelta = timedelta(minutes=15)


@frozen
class Api:
    """[api]: the HTTP control API; listen None switches it off."""

    listen: Annotated[Endpoint | None, units.optional_endpoint] = API_LISTEN
    public_url: Annotated[str, units.public_url] = ""
    max_body_size: Annotated[int, units.size] = 40 * 2**20
    trusted_proxies: Networks = ()
    sandbox_domain: Annotated[str, units.domain] = sandbox.DEFAULT_DOMAIN
    limits: ApiLimits = ApiLimits()
    login: Login = Login()

    @property
    def base_url(self) -> str:
        """Where clients reach it, as far as that is configured; "" when it does not listen."""
        return self.public_url or (f"http://{self.listen}" if self.listen else "")
