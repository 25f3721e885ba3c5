"""MX records as decisions: the order of hosts, the null MX, and the name of the site they make.

Not here: the DNS (mta/resolver.py) and pins (pin.py).
Follows RFC 5321 5.1 and RFC 7505.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

Record = tuple[int, str]
"""Preference (lower is better) and host name, with or without a trailing dot, in any case."""


def is_null(records: Sequence[Record]) -> bool:
    """Tell whether the domain says that it takes no mail: "." as its only host (RFC 7505 3)."""
    return bool(records) and not _hosts(records)


def order_hosts(records: Sequence[Record], draws: Sequence[float]) -> tuple[str, ...]:
    """Return distinct host names by preference, at random among equals (RFC 5321 5.1).

    Args:
        records: as the DNS gave them; a "." among others is skipped.
        draws: one number in [0, 1) for each record.

    Returns:
        Lower case names without trailing dots; a name given twice stands where it is best.
    """
    ranked = sorted(zip(records, draws, strict=True), key=lambda pair: (pair[0][0], pair[1]))
    return _hosts([record for record, _ in ranked])


def site_name(records: Sequence[Record]) -> str:
    """Return the name shared by all domains with these MX hosts: sorted, joined by commas.

    Preferences are left out: the servers are the same whatever order each domain prefers.
    """
    return ",".join(sorted(_hosts(records)))


def interleave(
    v6: Sequence[str], v4: Sequence[str], prefer: Literal["ipv6", "ipv4"]
) -> tuple[str, ...]:
    """Return addresses of both families in turn, the preferred family first (RFC 8305 4)."""
    first, second = (v6, v4) if prefer == "ipv6" else (v4, v6)
    pairs = zip_longest(first, second)
    return tuple(address for pair in pairs for address in pair if address is not None)


def _hosts(records: Sequence[Record]) -> tuple[str, ...]:
    names = (name.lower().removesuffix(".") for _, name in records)
    return tuple(dict.fromkeys(name for name in names if name))
