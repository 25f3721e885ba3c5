"""What figures by campaign and provider, and of accounts, add; conventions as in schema.py."""

from __future__ import annotations

FIGURES: tuple[str, ...] = (
    """
CREATE TABLE stats_by_campaign (
    -- Events of a campaign's emails, counted as those of schema_stats.py are.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    campaign TEXT NOT NULL,      -- "cmp_...", which may be gone
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, kind, hour, campaign, class)
) WITHOUT ROWID
""",
    """
CREATE TABLE stats_by_provider (
    -- Events by the provider whose server was spoken to.
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    hour INTEGER NOT NULL,       -- when they happened
    provider TEXT NOT NULL,      -- a core.provider name
    class TEXT NOT NULL,         -- of failures a core.bounce.BounceClass, else ''
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (tenant_id, kind, hour, provider, class)
) WITHOUT ROWID
""",
    "CREATE INDEX stats_by_campaign_age ON stats_by_campaign (hour)",
    "CREATE INDEX stats_by_provider_age ON stats_by_provider (hour)",
    "CREATE INDEX campaigns_by_status ON campaigns (tenant_id, status)",
    """
CREATE TABLE contact_counts (
    -- How many contacts a tenant has; kept by triggers, because contacts come and go by many ways.
    tenant_id INTEGER PRIMARY KEY,
    count INTEGER NOT NULL       -- how many, perhaps 0
)
""",
    """
INSERT INTO contact_counts (tenant_id, count)
SELECT tenant_id, COUNT(*) FROM contacts GROUP BY tenant_id
""",
    """
CREATE TRIGGER contacts_counted AFTER INSERT ON contacts BEGIN
    INSERT INTO contact_counts (tenant_id, count) VALUES (NEW.tenant_id, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET count = count + 1;
END
""",
    """
CREATE TRIGGER contacts_uncounted AFTER DELETE ON contacts BEGIN
    UPDATE contact_counts SET count = count - 1 WHERE tenant_id = OLD.tenant_id;
END
""",
)
"""The migration."""
