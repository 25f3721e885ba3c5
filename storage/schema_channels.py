"""What text messages and letters add to the schema. The conventions of schema.py hold."""

from __future__ import annotations

CHANNELS = (
    """
CREATE TABLE channel_items (
    -- Text messages and letters that a tenant has handed in.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "sms_..." and "pm_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    channel TEXT NOT NULL,       -- "sms" or "mail"
    provider TEXT NOT NULL,      -- who carries it: "sandbox"
    recipient TEXT NOT NULL,     -- number, or name of who gets a letter
    content TEXT NOT NULL,       -- JSON: what was asked for
    created_at INTEGER NOT NULL, -- when it was taken
    canceled_at INTEGER          -- NULL: it was not
)
""",
    "CREATE INDEX channel_items_by_tenant ON channel_items (tenant_id, channel, id)",
)
