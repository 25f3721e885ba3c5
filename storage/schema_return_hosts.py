"""What return paths below a tenant's own domain add to the schema. The conventions of schema.py
hold.
"""

from __future__ import annotations

RETURN_HOSTS = (
    """
CREATE TABLE return_hosts (
    -- Hosts that the DNS has led to the reports listener, for good; few rows.
    host TEXT NOT NULL,          -- A-label, at or below domain
    tenant_id INTEGER NOT NULL,  -- tenants.id, whose return paths may be in it
    domain TEXT NOT NULL,        -- the sender domain that names it
    is_used INTEGER NOT NULL,    -- 1: return paths of new mail are in it
    PRIMARY KEY (host, tenant_id, domain)
) WITHOUT ROWID
""",
    "CREATE INDEX return_hosts_by_domain ON return_hosts (domain)",
)
