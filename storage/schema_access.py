"""What keys and limits add to the schema: access of API keys, request rates, sending quotas, tests.

The conventions of schema.py hold.
"""

from __future__ import annotations

_KEYS = (
    """
    ALTER TABLE api_keys ADD COLUMN description TEXT -- for people, '' for none
    NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE api_keys ADD COLUMN scopes TEXT -- JSON list of core.access.SCOPES
    NOT NULL DEFAULT '["full"]'
    """,
    """
    ALTER TABLE api_keys ADD COLUMN sender_domains TEXT -- JSON list of A-labels; []: all
    NOT NULL DEFAULT '[]'
    """,
    """
    ALTER TABLE api_keys ADD COLUMN networks TEXT -- JSON list: where clients may be; []: anywhere
    NOT NULL DEFAULT '[]'
    """,
    """
    ALTER TABLE api_keys ADD COLUMN is_test -- 1: its mail goes to the sandbox
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE api_keys ADD COLUMN expires_at -- NULL: never
    INTEGER
    """,
    """
    ALTER TABLE api_keys ADD COLUMN used_at -- when it was last used, up to a minute late
    INTEGER
    """,
    """
    ALTER TABLE api_keys ADD COLUMN old_hash -- SHA-256 of the secret before the last rotation
    BLOB
    """,
    """
    ALTER TABLE api_keys ADD COLUMN old_until -- until when that secret works too
    INTEGER
    """,
    "CREATE UNIQUE INDEX api_keys_by_old_hash ON api_keys (old_hash) WHERE old_hash IS NOT NULL",
)

_RATE_METERS = """
CREATE TABLE rate_meters (
    -- Requests that API keys have made lately, so that limits survive a restart.
    key_id TEXT NOT NULL,        -- api_keys.id
    policy TEXT NOT NULL,        -- the limit as mta.toml has it, such as "5000/m"
    used REAL NOT NULL,          -- requests in the bucket of that limit
    at INTEGER NOT NULL,         -- when that was so
    PRIMARY KEY (key_id, policy)
) WITHOUT ROWID
"""

_TENANT_QUOTAS = """
CREATE TABLE tenant_quotas (
    -- Sending quotas of tenants that have their own; the others have those of mta.toml.
    tenant_id INTEGER PRIMARY KEY REFERENCES tenants (id),
    per_hour INTEGER,            -- emails; NULL: as many as it likes
    per_day INTEGER              -- emails; NULL: as many as it likes
)
"""

_QUOTA_WINDOWS = """
CREATE TABLE quota_windows (
    -- How many emails have a place in an hour or a day, past ones apart. See core/quota.py.
    tenant_id INTEGER NOT NULL,
    span TEXT NOT NULL,          -- "hour" or "day"
    lane TEXT NOT NULL,          -- "all", or "transactional"
    start INTEGER NOT NULL,      -- when it begins
    taken INTEGER NOT NULL,      -- places given away
    room_at INTEGER,             -- while full: no window before this one has room; NULL: not known
    PRIMARY KEY (tenant_id, span, lane, start)
) WITHOUT ROWID
"""

ACCESS: tuple[str, ...] = (
    *_KEYS,
    """
    ALTER TABLE messages ADD COLUMN is_test -- 1: sent with a test key, goes to the sandbox
    INTEGER NOT NULL DEFAULT 0
    """,
    _RATE_METERS,
    _TENANT_QUOTAS,
    _QUOTA_WINDOWS,
)
"""The migration. Of test messages, and of those the quota delays, entries.domain and
entries.eligible_at say where they are routed to and when they could first be tried."""
