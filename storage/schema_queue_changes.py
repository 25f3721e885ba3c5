"""What large changes of the queue add to the schema; the conventions of schema.py hold."""

from __future__ import annotations

_QUEUE_CHANGES = """
CREATE TABLE queue_changes (
    -- Large changes of the queue that are being carried out: a row goes when its change is done.
    id INTEGER PRIMARY KEY,
    operation TEXT NOT NULL,     -- "hold", "release", "retry", "cancel"
    ids TEXT NOT NULL,           -- JSON array of "dl_..." and "em_..."; [] when others select
    domain TEXT NOT NULL,        -- recipient domain, A-label, or ''
    is_all INTEGER NOT NULL,     -- 1: everything is meant
    tag_name TEXT,               -- NULL: no tag
    tag_value TEXT,              -- NULL without tag_name
    site TEXT NOT NULL,          -- names of servers with commas between, or ''
    at INTEGER NOT NULL,         -- when it was asked for
    tenant_id INTEGER            -- whose entries; NULL: everybody's
)
"""

QUEUE_CHANGES = (_QUEUE_CHANGES,)
