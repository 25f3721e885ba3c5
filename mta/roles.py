"""Which process of `mta serve` does what.

The front takes mail over SMTP and HTTP, posts webhooks, reads reports and keeps house; an edge only
takes mail over SMTP; deliveries share the sites among themselves. One process does it all when that
is what the configuration asks for. Not here: starting and watching them (supervisor.py), and what
each part is (daemon.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from zlib import crc32

from mta.core.frozen import frozen


@frozen
class Share:
    """One of `count` delivery processes: the sites it owns are nobody else's.

    Limits to a site are then kept exactly, by one process that knows all its connections.
    """

    index: int = 0
    count: int = 1

    def owns(self, site: str) -> bool:
        """Tell whether a site (Route.site) is this process's."""
        return crc32(site.encode()) % self.count == self.index


ALL_SITES = Share()


@frozen
class Part:
    """What one process does.

    Attributes:
        name: for logs, claims and sockets: "all", "front", "edge-1", "delivery-0".
        is_front: API, webhooks, reports and housekeeping; exactly one process has it.
        is_edge: the SMTP port for apps.
        share: the sites it delivers to; None delivers nothing.
    """

    name: str
    is_front: bool = False
    is_edge: bool = False
    share: Share | None = None


ALL = Part("all", is_front=True, is_edge=True, share=ALL_SITES)


def plan(processes: int | Literal["auto"], cores: int) -> Sequence[Part]:
    """Return the processes to run: half of them take mail, the others deliver it.

    Args:
        processes: as configured; "auto" is one for each core, and at least two: the halves use
            the processor at different moments even where there is only one.
        cores: of the machine.
    """
    count = max(2, cores) if processes == "auto" else processes
    if count == 1:
        return (ALL,)
    edges = count // 2
    deliveries = count - edges
    return (
        Part("front", is_front=True, is_edge=True),
        *(Part(f"edge-{number}", is_edge=True) for number in range(1, edges)),
        *(
            Part(f"delivery-{number}", share=Share(number, deliveries))
            for number in range(deliveries)
        ),
    )
