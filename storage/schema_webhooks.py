"""What webhooks need beyond the first release: health of endpoints, order per email, attempts.

The conventions of schema.py hold. webhook_retries is made anew because its rows now stand for all
that waits of an email, not for one event.
"""

from __future__ import annotations

_ENDPOINTS = (
    """
    ALTER TABLE webhooks ADD COLUMN format TEXT -- shape of the bodies; 'native' is ours
    NOT NULL DEFAULT 'native'
    """,
    """
    ALTER TABLE webhooks ADD COLUMN old_secret -- signs as well until old_secret_until; NULL: none
    TEXT
    """,
    """
    ALTER TABLE webhooks ADD COLUMN old_secret_until -- end of the grace after a rotation
    INTEGER
    """,
    """
    ALTER TABLE webhooks ADD COLUMN disabled_for TEXT -- 'requested', 'gone', 'failing'; '': enabled
    NOT NULL DEFAULT ''
    """,
    """
    ALTER TABLE webhooks ADD COLUMN failing_since -- first failure after the last success
    INTEGER
    """,
    """
    ALTER TABLE webhooks ADD COLUMN failed_at -- last failure
    INTEGER
    """,
    """
    ALTER TABLE webhooks ADD COLUMN paused_until -- end of the last pause that failures led to
    INTEGER
    """,
    """
    ALTER TABLE webhooks ADD COLUMN dropped INTEGER -- events given up because too many waited
    NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE webhooks ADD COLUMN revision INTEGER -- grows when the sender has to look again
    NOT NULL DEFAULT 0
    """,
)

_RETRIES = """
CREATE TABLE webhook_retries_by_email (
    -- Posts that are to be made (again). A row with a message stands for an event and for all later
    -- ones of its message up to the endpoint's cursor: they wait behind it.
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_seq INTEGER NOT NULL,  -- events.seq
    message_id INTEGER,          -- messages.id; NULL: a replay, or an event without a message
    attempts INTEGER NOT NULL,   -- posts of it that failed; 0: a replay, or it waited until now
    due_at INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, event_seq)
) WITHOUT ROWID
"""

_ATTEMPTS = """
CREATE TABLE webhook_attempts (
    -- Every post made, for people; goes with its event. No foreign key: a row that outlives its
    -- endpoint does no harm until then.
    id INTEGER PRIMARY KEY,      -- in the order they were written
    webhook_id TEXT NOT NULL,    -- webhooks.id
    event_seq INTEGER NOT NULL,  -- events.seq
    at INTEGER NOT NULL,
    status INTEGER,              -- HTTP status, NULL when there was no answer
    latency_ms INTEGER NOT NULL, -- from the name lookup to the end of the reply
    error TEXT NOT NULL,         -- why there was no answer, in our words; '' when there was one
    reply TEXT NOT NULL,         -- beginning of the answer's body, escaped
    result TEXT NOT NULL         -- 'delivered', 'failed' (another try follows), 'given_up'
)
"""

WEBHOOK_DELIVERY: tuple[str, ...] = (
    *_ENDPOINTS,
    _RETRIES,
    """
    INSERT INTO webhook_retries_by_email
    SELECT r.webhook_id, MIN(r.event_seq), e.message_id, MAX(r.attempts), MIN(r.due_at)
    FROM webhook_retries r JOIN events e ON e.seq = r.event_seq
    GROUP BY r.webhook_id, e.message_id
    """,
    "DROP TABLE webhook_retries",
    "ALTER TABLE webhook_retries_by_email RENAME TO webhook_retries",
    "CREATE INDEX webhook_retries_due ON webhook_retries (webhook_id, due_at)",
    "CREATE INDEX webhook_retries_events ON webhook_retries (event_seq)",
    """
    CREATE INDEX webhook_retries_emails ON webhook_retries (webhook_id, message_id)
    WHERE message_id IS NOT NULL
    """,
    _ATTEMPTS,
    "CREATE INDEX webhook_attempts_events ON webhook_attempts (event_seq, webhook_id)",
    """
    CREATE INDEX webhook_attempts_given_up ON webhook_attempts (webhook_id, event_seq)
    WHERE result = 'given_up'
    """,
    # A tenant's events of a kind in the order of the journal: event_feed.py merges these ranges.
    "CREATE INDEX events_by_kind ON events (tenant_id, kind)",
)
"""The migration's statements."""
