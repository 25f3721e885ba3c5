"""What tracking adds to the schema; the conventions of schema.py hold."""

from __future__ import annotations

TRACKING: tuple[str, ...] = (
    """
    ALTER TABLE messages ADD COLUMN tracking -- JSON of core.tracking.Places; NULL: not tracked
    TEXT
    """,
    """
CREATE TABLE engagement (
    -- How often the recipient of a tracked message opened it and clicked. Machines are counted
    -- apart (core/tracking_agents.py); the first and last times are those of persons.
    entry_id INTEGER PRIMARY KEY, -- entries.id
    message_id INTEGER NOT NULL, -- messages.id
    tenant_id INTEGER NOT NULL,
    opens INTEGER NOT NULL,
    clicks INTEGER NOT NULL,
    machine_opens INTEGER NOT NULL,
    machine_clicks INTEGER NOT NULL,
    first_opened_at INTEGER,
    last_opened_at INTEGER,
    first_clicked_at INTEGER,
    last_clicked_at INTEGER
)
""",
    "CREATE INDEX engagement_by_message ON engagement (message_id)",
    """
CREATE TABLE link_clicks (
    -- The same by link, persons only.
    entry_id INTEGER NOT NULL,   -- entries.id
    url TEXT NOT NULL,
    clicks INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    PRIMARY KEY (entry_id, url)
) WITHOUT ROWID
""",
)
"""The migration."""
