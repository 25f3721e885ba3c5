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
    opens INTEGER NOT NULL,      -- by persons, as far as can be told
    clicks INTEGER NOT NULL,     -- by persons
    machine_opens INTEGER NOT NULL, -- by mail programs and filters
    machine_clicks INTEGER NOT NULL, -- by mail programs and filters
    first_opened_at INTEGER,     -- by a person; NULL: never, as in the next three
    last_opened_at INTEGER,      -- by a person
    first_clicked_at INTEGER,    -- by a person
    last_clicked_at INTEGER      -- by a person
)
""",
    "CREATE INDEX engagement_by_message ON engagement (message_id)",
    """
CREATE TABLE link_clicks (
    -- The same by link, persons only.
    entry_id INTEGER NOT NULL,   -- entries.id
    url TEXT NOT NULL,           -- where it leads
    clicks INTEGER NOT NULL,     -- how many
    first_at INTEGER NOT NULL,   -- when the first came
    PRIMARY KEY (entry_id, url)
) WITHOUT ROWID
""",
)
"""The migration."""
