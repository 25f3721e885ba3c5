"""What audiences are called elsewhere, and what is noted of them. schema.py's conventions hold."""

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
"""The migration of references."""

METADATA = (
    """
ALTER TABLE audiences ADD COLUMN metadata TEXT -- JSON object of its owner's; nothing depends on it
    NOT NULL DEFAULT '{}'
""",
)
"""The migration of metadata."""
