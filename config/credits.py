"""[credits] of mta.toml: whether mail takes credits that tenants have to have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credits:
    """[credits]: a credit for each recipient, reserved, then charged or given back."""

    enabled: bool = False
