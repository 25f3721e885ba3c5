"""What the reputation of sender domains adds to the schema; the conventions of schema.py hold."""

from __future__ import annotations

REPUTATION: tuple[str, ...] = (
    """
CREATE TABLE stats_by_sender (
    -- Events of a tenant by the domain of From, counted as those of schema_stats.py are.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    domain TEXT NOT NULL,        -- sender domain, A-label
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, domain, kind, hour)
) WITHOUT ROWID
""",
    "CREATE INDEX stats_by_sender_age ON stats_by_sender (hour)",
)
"""The migration."""
