"""The second form of the suppressions table: why each address is there, and for how long.

The conventions of schema.py hold. The table is made anew because SQLite cannot change a UNIQUE
constraint; ids stay what they were.
"""

from __future__ import annotations

_SUPPRESSIONS = """
CREATE TABLE suppressions_with_cause (
    -- Addresses that a tenant's mail no longer goes to.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "sup_..." ids; grows with created_at
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    scope TEXT NOT NULL,         -- which of the tenant's mail: '' is all of it, else a list's id
    key TEXT NOT NULL,           -- what addresses are compared by, see core.address
    address TEXT NOT NULL,       -- as it was given, for display
    reason TEXT NOT NULL,        -- "bounce", "complaint", "unsubscribe", "manual", ...
    rule TEXT NOT NULL,          -- what decided it: a bounce rule, or an import's "imp_..."; or ''
    event_id TEXT NOT NULL,      -- "ev_..." of the event that led to it, or ''
    email_id TEXT NOT NULL,      -- "em_..." of the message that it happened to, or ''
    created_at INTEGER NOT NULL, -- when it was added here
    expires_at INTEGER,          -- it counts until then; NULL: until somebody removes it
    UNIQUE (tenant_id, scope, key)
)
"""

SUPPRESSION_CAUSES: tuple[str, ...] = (
    _SUPPRESSIONS,
    """
    INSERT INTO suppressions_with_cause
    SELECT id, tenant_id, '', key, address, reason, '', '', '', created_at, NULL FROM suppressions
    """,
    "DROP TABLE suppressions",
    "ALTER TABLE suppressions_with_cause RENAME TO suppressions",
    "CREATE INDEX suppressions_by_tenant ON suppressions (tenant_id)",
    "CREATE INDEX suppressions_by_reason ON suppressions (tenant_id, reason)",
    "CREATE INDEX suppressions_by_rule ON suppressions (tenant_id, rule) WHERE rule <> ''",
    "CREATE INDEX suppressions_by_age ON suppressions (tenant_id, created_at)",
    "CREATE INDEX suppressions_by_end ON suppressions (expires_at) WHERE expires_at IS NOT NULL",
)
"""The migration."""
