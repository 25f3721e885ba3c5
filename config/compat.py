"""[compat] of mta.toml: other services' APIs, the dialects in control_api/dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from config import units
from config.loader import Entries
from mta.core.frozen import frozen
from mta.core.rate_limit import Limit

Limits = Annotated[tuple[Limit, ...], units.several(units.rate)]


@frozen
class CompatLimits:
    """[compat.limits]: requests of each API key in one dialect, besides [api.limits]."""

    flushit: Limits = (units.rate("100/m"), units.rate("5000/h"), units.rate("50000/d"))
    sk_live: Limits = (units.rate("100/m"),)
    sendflare: Limits = (units.rate("5/s"),)
    emailflow_bulk: Limits = (units.rate("60/m"),)


@frozen
class Compat:
    """[compat]: what operators can choose for dialects; hosts are hosts -> name of a dialect."""

    report_queued_as_sent: bool = True
    limits: CompatLimits = CompatLimits()
    hosts: Annotated[Mapping[str, str], Entries(key=units.domain, value=units.text)] = field(
        default_factory=dict
    )
