"""Domains that an operator has suspended. The conventions of schema.py hold."""

from __future__ import annotations

DOMAIN_SUSPENSIONS: tuple[str, ...] = (
    """
CREATE TABLE domain_suspensions (
    -- Recipient domains whose mail waits, whoever's it is, because an operator wants it so. Other
    -- than in suspensions, which the engine writes and forgets, a row here stays after a restart.
    domain TEXT PRIMARY KEY,     -- A-label, or an address literal
    until INTEGER NOT NULL,      -- nothing of the domain is claimed before
    reason TEXT NOT NULL,        -- in the operator's words, or ''
    created_at INTEGER NOT NULL
)
""",
)
"""The migration."""
