"""What lets audiences be named by what another service calls them. schema.py's conventions hold."""

from __future__ import annotations

REFERENCES = (
    """
ALTER TABLE audiences ADD COLUMN reference TEXT -- what its owner calls it; '' for nothing
    NOT NULL DEFAULT ''
""",
    """
CREATE UNIQUE INDEX audiences_by_reference ON audiences (tenant_id, reference) WHERE reference <> ''
""",
)
