"""What reports, suppression by policy, delivery reports and unsubscribing add to the schema.

The conventions of schema.py hold. Mail that nothing of this happens to costs two bytes a row.
"""

from __future__ import annotations

_INSTANCE_SECRETS = """
CREATE TABLE instance_secrets (
    -- What return paths and unsubscribe links are sealed with; the newest seals, all are believed.
    id INTEGER PRIMARY KEY,
    secret BLOB NOT NULL,        -- 32 random bytes
    created_at INTEGER NOT NULL
)
"""

_REPORTS = """
CREATE TABLE reports (
    -- Mail about our mail: taken over SMTP, imported, or handed to the API, as it came.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "rp_..." ids
    tenant_id INTEGER,           -- only mail of this tenant can be meant; NULL: any
    source TEXT NOT NULL,        -- "smtp", "import" or "api"
    client TEXT NOT NULL,        -- IP address over SMTP, '' otherwise
    recipients TEXT NOT NULL,    -- JSON list of the addresses it came to, in lower case
    digest BLOB NOT NULL UNIQUE, -- of recipients and body: the same report again is dropped
    received_at INTEGER NOT NULL, -- when it was taken
    size INTEGER NOT NULL,       -- bytes of the mail
    data BLOB,                   -- the mail; NULL once something followed from it
    state INTEGER NOT NULL,      -- 0 waiting, 1 read, 2 given up: its parser died three times
    tries INTEGER NOT NULL,      -- how often reading it was begun
    outcome TEXT NOT NULL        -- JSON object: what it was and what followed; '{}' while waiting
)
"""

_REPORT_COUNTS = """
CREATE TABLE report_counts (
    -- How many different reports came to one return path; nobody sends many in good faith.
    entry_id INTEGER PRIMARY KEY, -- entries.id
    count INTEGER NOT NULL,      -- so many
    at INTEGER NOT NULL          -- of the newest
)
"""

_FAILURES = """
CREATE TABLE failures (
    -- Failures of classes that suppress an address only when they repeat, until they are too old.
    tenant_id INTEGER NOT NULL,
    key TEXT NOT NULL,           -- of the address, see core.address
    class TEXT NOT NULL,         -- a core.bounce.BounceClass
    at INTEGER NOT NULL,         -- when it failed
    is_reported INTEGER NOT NULL, -- 1: learned from a report; then a later 250 proves nothing
    PRIMARY KEY (tenant_id, key, class, at)
) WITHOUT ROWID
"""

_DELIVERY_REPORTS = """
CREATE TABLE delivery_reports (
    -- Delivery reports (RFC 3464) that we owe to whoever submitted by SMTP, or have sent.
    entry_id INTEGER NOT NULL,   -- entries.id
    action TEXT NOT NULL,        -- "failed", "delayed" or "relayed": told at most once each
    message_id INTEGER NOT NULL, -- messages.id
    at INTEGER NOT NULL,         -- when that happened
    sent_at INTEGER,             -- when the report was queued, or found not to be wanted; NULL: due
    code INTEGER,                -- reply code, NULL when no server spoke to us
    enhanced TEXT NOT NULL,      -- enhanced status, '' for none
    reply TEXT NOT NULL,         -- what the server or a report said, or the error in our words
    host TEXT NOT NULL,          -- the server, '' for none
    PRIMARY KEY (entry_id, action)
) WITHOUT ROWID
"""

_UNSUBSCRIBE_TARGETS = """
CREATE TABLE unsubscribe_targets (
    -- Who got mail that offered to unsubscribe, after the mail is gone: links never expire.
    entry_id INTEGER PRIMARY KEY, -- what was entries.id
    tenant_id INTEGER NOT NULL,
    recipient TEXT NOT NULL,     -- address as text
    scope TEXT NOT NULL          -- the list it was sent to, '' for none
)
"""

REPORTS: tuple[str, ...] = (
    _INSTANCE_SECRETS,
    _REPORTS,
    "CREATE INDEX reports_waiting ON reports (id) WHERE state = 0",
    "CREATE INDEX reports_by_age ON reports (received_at)",
    _REPORT_COUNTS,
    "CREATE INDEX report_counts_by_age ON report_counts (at)",
    _FAILURES,
    "CREATE INDEX failures_by_age ON failures (at)",
    _DELIVERY_REPORTS,
    "CREATE INDEX delivery_reports_due ON delivery_reports (at) WHERE sent_at IS NULL",
    """
    CREATE INDEX delivery_reports_of_message ON delivery_reports (message_id)
    WHERE sent_at IS NULL
    """,
    "CREATE INDEX delivery_reports_by_age ON delivery_reports (at)",
    _UNSUBSCRIBE_TARGETS,
    """
    ALTER TABLE messages ADD COLUMN unsubscribe -- JSON: scope, url, one_click; NULL: not offered
    TEXT
    """,
    """
    ALTER TABLE entries ADD COLUMN reported -- what came back after it was final, added up:
        -- 1 it bounced, 2 its recipient complained
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE tenants ADD COLUMN dsn -- 1 or 0: whether it gets delivery reports; NULL: as [dsn]
    INTEGER
    """,
)
"""The migration's statements."""
