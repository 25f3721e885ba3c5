"""What the API has the engine do for domains: private keys, and looks at the DNS.

The API never touches keys or nameservers. In one process it is given the engine's own object; a
process of its own would write a directive and wait for storage to change, behind the same methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from storage.domains import DkimKeyRecord


class DomainWork(Protocol):
    """The engine's side. All methods may raise StorageError."""

    async def verify(self, domain_id: str) -> None:
        """Look at a domain's DNS records now, within some ten seconds; storage has the result."""

    async def make_keys(self, name: str, selector: str) -> tuple[DkimKeyRecord, ...]:
        """Make the private keys of a domain: the selector is the first one's, or all begin so."""

    async def remove_keys(self, keys: Sequence[DkimKeyRecord]) -> None:
        """Remove private keys that nothing refers to any more."""

    def kick(self) -> None:
        """Say that a domain has come or changed."""
