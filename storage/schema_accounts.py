"""What accounts add to the schema: users and their tokens. The conventions of schema.py hold."""

from __future__ import annotations

USERS: tuple[str, ...] = (
    """
CREATE TABLE users (
    -- People who log in with a password, each for one tenant.
    id TEXT PRIMARY KEY,         -- "usr_..."
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    email TEXT NOT NULL,         -- as it was given, for display
    key TEXT NOT NULL UNIQUE,    -- what is compared when they log in, of all tenants
    role TEXT NOT NULL,          -- a core.role.Role
    first_name TEXT NOT NULL,    -- may be ''
    last_name TEXT NOT NULL,     -- may be ''
    image_url TEXT NOT NULL,     -- of a picture; may be ''
    password TEXT NOT NULL,      -- Argon2id, see core/password.py; '' has none: links only
    created_at INTEGER NOT NULL,
    login_at INTEGER             -- when they last logged in; NULL: never
)
""",
    "CREATE INDEX users_by_tenant ON users (tenant_id, id)",
    """
CREATE TABLE user_tokens (
    -- What users have in hand: tokens of those who logged in, and one-time links. The token itself
    -- is nowhere, only its hash.
    hash BLOB PRIMARY KEY,       -- SHA-256 of the token
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose TEXT NOT NULL,       -- "session" or "link"
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL  -- it is refused from then on, and removed some time later
) WITHOUT ROWID
""",
    "CREATE INDEX user_tokens_by_user ON user_tokens (user_id, purpose, created_at)",
    "CREATE INDEX user_tokens_by_end ON user_tokens (expires_at)",
)
