"""[campaigns] of mta.toml."""

from __future__ import annotations

from typing import Annotated

from config import units
from mta.core.campaign import Brakes
from mta.core.frozen import frozen

Percent = Annotated[float, units.number(0.0, 100.0)]


@frozen
class Campaigns:
    """[campaigns]: when a campaign pauses itself."""

    max_bounce_rate: Percent = 8.0
    max_complaint_rate: Percent = 0.3
    min_settled: Annotated[int, units.integer(1, 1_000_000)] = 200

    @property
    def brakes(self) -> Brakes:
        """The same for the sending of campaigns."""
        return Brakes(self.max_bounce_rate / 100, self.max_complaint_rate / 100, self.min_settled)
