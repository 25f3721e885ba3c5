"""Counters of what happened, so that no question about the past reads the past.

The conventions of schema.py hold. Counted from the journal by stats.py, each event once: the
counter 'statistics' is the seq of the last one counted. `hour` is hours since the epoch (UTC).
"""

from __future__ import annotations

STATISTICS: tuple[str, ...] = (
    """
CREATE TABLE stats_by_hour (
    -- Events of a tenant by the hour: what totals and their course are read from.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, kind, hour, class)
) WITHOUT ROWID
""",
    """
CREATE TABLE stats_by_domain (
    -- The same by recipient domain and by the server that was spoken to.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    domain TEXT NOT NULL,        -- recipient domain, A-label
    host TEXT NOT NULL,          -- server of the attempt, '' when none was reached or none needed
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, kind, hour, domain, host, class)
) WITHOUT ROWID
""",
    """
CREATE TABLE stats_by_tag (
    -- The same by tag; an event of a message with two tags counts for both.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    name TEXT NOT NULL,          -- of the tag
    value TEXT NOT NULL,         -- of the tag
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, kind, hour, name, value, class)
) WITHOUT ROWID
""",
    """
CREATE TABLE stats_totals (
    -- Events of all tenants since the beginning, for monitoring: some hundred rows at most.
    kind TEXT NOT NULL,          -- a core.event.EventKind
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    provider TEXT NOT NULL,      -- a core.provider name, '' when no server was spoken to
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (kind, class, provider)
) WITHOUT ROWID
""",
    "CREATE INDEX stats_by_hour_age ON stats_by_hour (hour)",
    "CREATE INDEX stats_by_domain_age ON stats_by_domain (hour)",
    "CREATE INDEX stats_by_tag_age ON stats_by_tag (hour)",
)
"""The migration."""
