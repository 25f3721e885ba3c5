"""The log of API requests. The conventions of schema.py hold."""

from __future__ import annotations

REQUEST_LOG: tuple[str, ...] = (
    """
CREATE TABLE api_requests (
    -- The newest requests that came with a valid key, for those who debug a client: a ring, of
    -- which request_log.py drops the oldest. No bodies, no query strings, no keys.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "log_..." ids
    tenant_id INTEGER NOT NULL,
    key_id TEXT NOT NULL,        -- "key_..."
    at INTEGER NOT NULL,
    request_id TEXT NOT NULL,    -- "req_...", as in the Request-Id header of the answer
    method TEXT NOT NULL,        -- GET, POST, ...
    path TEXT NOT NULL,          -- as asked for, without the query
    status INTEGER NOT NULL,     -- of the answer
    duration_ms INTEGER NOT NULL, -- from the head of the request to the head of the answer
    client TEXT NOT NULL,        -- address it came from
    user_agent TEXT NOT NULL     -- what the client calls itself, or ''
)
""",
    "CREATE INDEX api_requests_by_tenant ON api_requests (tenant_id)",
)
"""The migration."""
