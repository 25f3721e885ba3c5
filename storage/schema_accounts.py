"""What accounts add to the schema: users, their tokens, credits; conventions as in schema.py."""

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

CREDITS: tuple[str, ...] = (
    """
CREATE TABLE credit_accounts (
    -- What tenants have to spend, a credit for each recipient. The amounts of their transactions of
    -- the types purchase, adjust and charge sum up to the balance; those of reserve and refund, and
    -- charges the other way round, to what is reserved, negative.
    tenant_id INTEGER PRIMARY KEY REFERENCES tenants (id),
    balance INTEGER NOT NULL,    -- what was bought and is not spent; never less than reserved
    reserved INTEGER NOT NULL,   -- part of it: for mail in the queue, and campaigns under way
    CHECK (reserved BETWEEN 0 AND balance)
)
""",
    """
CREATE TABLE credit_transactions (
    -- The ledger. Mail has one row of each type: of an email, or of all emails of a campaign.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "txn_..." ids
    tenant_id INTEGER NOT NULL,
    type TEXT NOT NULL,          -- "purchase", "adjust", "reserve", "charge" or "refund"
    amount INTEGER NOT NULL,     -- more is positive: reserve and charge are negative
    description TEXT NOT NULL,   -- for people, may be ''
    reserve_id INTEGER,          -- of charge and refund: the row of the reservation they end
    email_id TEXT NOT NULL,      -- of reserve: for which email, "em_...", or ''
    campaign_id TEXT NOT NULL,   -- of reserve: for which campaign, "cmp_...", or ''
    created_at INTEGER NOT NULL  -- when its first credit moved
)
""",
    "CREATE INDEX credit_transactions_by_tenant ON credit_transactions (tenant_id, id)",
    """
CREATE UNIQUE INDEX credit_transactions_by_reserve ON credit_transactions (reserve_id, type)
WHERE reserve_id IS NOT NULL
""",
    """
CREATE INDEX credit_transactions_of_emails ON credit_transactions (created_at)
WHERE email_id <> ''
""",
    """
CREATE TABLE credit_holds (
    -- Mail in the queue that credits are reserved for; its rows go as its recipients settle.
    message_id INTEGER PRIMARY KEY, -- messages.id
    reserve_id INTEGER NOT NULL, -- credit_transactions.id
    held INTEGER NOT NULL        -- credits: recipients that are not settled
)
""",
    """
CREATE TABLE credit_purses (
    -- What is reserved for campaigns and has not become mail yet.
    campaign INTEGER PRIMARY KEY, -- campaigns.id
    reserve_id INTEGER NOT NULL, -- credit_transactions.id
    held INTEGER NOT NULL        -- credits
)
""",
)
