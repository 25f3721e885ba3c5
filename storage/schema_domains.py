"""What looks at the DNS and DKIM rotation add to the schema.

The conventions of schema.py hold. Two tables get columns; what is said of each stands in the file
too.
"""

from __future__ import annotations

_DOMAINS = (
    """
    ALTER TABLE domains ADD COLUMN return_path TEXT -- host below name; '': the server's own
    NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE domains ADD COLUMN tracking_host TEXT -- host below name; '': none
    NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE domains ADD COLUMN failed_at -- when it lost its standing; NULL: it did not
    INTEGER
    """,
    """
    ALTER TABLE domains ADD COLUMN failures -- bad looks at the DNS since verified_at
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE domains ADD COLUMN next_check_at -- when to look at its DNS records again
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE domains ADD COLUMN report TEXT -- JSON of the last look, see core.domain_report
    NOT NULL DEFAULT '{}'
    """,
    "CREATE INDEX domains_to_check ON domains (next_check_at)",
    "CREATE INDEX domains_by_tenant ON domains (tenant_id, id)",
)

_DKIM_KEYS = (
    """
    ALTER TABLE dkim_keys ADD COLUMN state TEXT -- a core.domain_records.KeyState
    NOT NULL DEFAULT 'active'
    """,
    """
    ALTER TABLE dkim_keys ADD COLUMN since -- when it got that state
    INTEGER NOT NULL DEFAULT 0
    """,
)

DOMAIN_CHECKS: tuple[str, ...] = (*_DOMAINS, *_DKIM_KEYS)
"""Migration domain_checks."""
