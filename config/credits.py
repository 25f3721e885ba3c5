"""[credits] of mta.toml: whether mail takes credits that tenants have to have."""

from __future__ import annotations

from mta.core.frozen import frozen


@frozen
class Credits:
    """[credits]: a credit for each recipient, reserved, then charged or given back."""

    enabled: bool = False
