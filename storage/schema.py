"""The statements of the schema, documented where each table and column is defined.

SQLite keeps the comments inside a statement: `.schema` in the sqlite3 shell shows them for a live
file. Times are milliseconds since the epoch (UTC). "JSON" is text.

Choices that hold for all tables:

- Foreign keys are declared, and enforced, between the small tables. messages, bodies, entries and
  events have none: they are written and removed together by submissions.py, queue.py and
  retention.py, and a check for each row would cost more than the row.
- Indexes of the queue are partial, so that what is done costs nothing. No statistics are kept
  (ANALYZE is never run): the plans, which tests assert, cannot change under a running system.
- auto_vacuum is off: the pages of pruned mail are used again by new mail, so the file is as large
  as it ever had to be; moving pages to shrink it would double the writes of every prune. VACUUM,
  with the server stopped, gives the space back.
"""

from __future__ import annotations

_TENANTS = """
CREATE TABLE tenants (
    -- Whose mail it is. Number 1 exists from the start; most installations need no other.
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
)
"""

_DEFAULT_TENANT = """
INSERT INTO tenants (id, name, created_at) VALUES (1, 'default', unixepoch() * 1000)
"""

_API_KEYS = """
CREATE TABLE api_keys (
    -- What an app signs in with, over HTTP and SMTP. The key itself is nowhere, only its hash.
    id TEXT PRIMARY KEY,         -- "key_..."
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,          -- what the operator calls it
    key_hash BLOB NOT NULL UNIQUE, -- SHA-256 of the key
    last4 TEXT NOT NULL,         -- its last characters, to tell keys apart in lists
    created_at INTEGER NOT NULL,
    revoked_at INTEGER           -- NULL: valid
)
"""

_DOMAINS = """
CREATE TABLE domains (
    -- Sender domains that a tenant may use in From.
    id TEXT PRIMARY KEY,         -- "dom_..."
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL UNIQUE,   -- A-label, lower case
    created_at INTEGER NOT NULL,
    verified_at INTEGER,         -- when its DNS records were found right; NULL: never, or not now
    checked_at INTEGER           -- when they were last looked up; NULL: never
)
"""

_DKIM_KEYS = """
CREATE TABLE dkim_keys (
    -- Keys that mail of a domain is signed with (RFC 6376); the private halves are in files.
    domain_id TEXT NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    selector TEXT NOT NULL,
    algorithm TEXT NOT NULL,     -- "rsa-sha256" or "ed25519-sha256"
    key_file TEXT NOT NULL,      -- private key, relative to the data directory
    public_key TEXT NOT NULL,    -- base64, as in p= of the DNS record
    PRIMARY KEY (domain_id, selector)
)
"""

_COUNTERS = """
CREATE TABLE counters (
    -- Numbers that only grow: 'dkim_keys' counts the changes of dkim_keys, so that caches notice.
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
)
"""

_MESSAGES = """
CREATE TABLE messages (
    -- An accepted message: the sender's side of its envelope, its header, how it fares as a whole.
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE, -- "em_..."
    tenant_id INTEGER NOT NULL,
    door TEXT NOT NULL,          -- "smtp" or "api"
    mail_from TEXT NOT NULL,     -- return path; '' is the null return path <>
    ret TEXT NOT NULL,           -- RET of RFC 3461: 'FULL', 'HDRS' or ''
    envid TEXT NOT NULL,         -- ENVID of RFC 3461, in xtext, or ''
    from_address TEXT NOT NULL,  -- of the From header, '' when absent
    sender_domain TEXT NOT NULL, -- its domain, A-label, or ''
    subject TEXT NOT NULL,       -- decoded, for display
    message_id TEXT NOT NULL,    -- Message-ID header, with angle brackets
    header_to TEXT NOT NULL,     -- JSON list of the texts of To, for display
    has_8bit_header INTEGER NOT NULL, -- 1: its delivery needs SMTPUTF8
    size INTEGER NOT NULL,       -- bytes of the whole message
    header_size INTEGER NOT NULL, -- bytes before the body
    body_hash BLOB NOT NULL,     -- SHA-256 of the relaxed body (RFC 6376 3.4.4)
    is_8bit INTEGER NOT NULL,    -- 1: its delivery needs 8BITMIME
    batch_id TEXT NOT NULL,      -- "bt_..." or ''
    tags TEXT NOT NULL,          -- JSON list of [name, value], echoed in events; see message_tags
    metadata TEXT NOT NULL,      -- JSON object, echoed in events
    created_at INTEGER NOT NULL, -- when it was accepted
    send_at INTEGER,             -- not before this time; NULL: at once
    status TEXT NOT NULL,        -- queued scheduled deferred; then delivered bounced expired
                                 -- canceled suppressed, or partial: delivered to some only
    recipients INTEGER NOT NULL, -- how many entries it has
    pending INTEGER NOT NULL,    -- how many of them are not final yet
    settled_at INTEGER,          -- when pending reached 0
    has_body INTEGER NOT NULL    -- 1 until retention has removed it
)
"""

_MESSAGE_INDEXES = (
    "CREATE INDEX messages_by_tenant ON messages (tenant_id, created_at)",
    """
    CREATE INDEX messages_by_batch ON messages (tenant_id, batch_id, created_at)
    WHERE batch_id <> ''
    """,
    "CREATE INDEX messages_to_strip ON messages (settled_at) WHERE has_body = 1 AND settled_at > 0",
)

_MESSAGE_TAGS = """
CREATE TABLE message_tags (
    -- Lists messages by tag, newest first. The same tags stand in messages.tags, where events read
    -- them without a query each; messages without tags, the most, cost nothing here.
    tenant_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL, -- of the message
    message_id INTEGER NOT NULL, -- messages.id
    PRIMARY KEY (tenant_id, name, value, created_at, message_id)
) WITHOUT ROWID
"""

_BODIES = """
CREATE TABLE bodies (
    -- The bytes of a message, apart from messages so that updates never copy them. Never changed.
    message_id INTEGER PRIMARY KEY, -- messages.id
    file TEXT,                   -- name in the spool directory, for large ones
    data BLOB                    -- header, blank line and body with CRLF; NULL when in a file
)
"""

_BODY_INDEXES = ("CREATE UNIQUE INDEX bodies_in_spool ON bodies (file) WHERE file IS NOT NULL",)

_ENTRIES = """
CREATE TABLE entries (
    -- The queue: one row for each recipient of each message.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again; part of "dl_..." ids
    message_id INTEGER NOT NULL, -- messages.id
    tenant_id INTEGER NOT NULL,
    recipient TEXT NOT NULL,     -- address as it goes into RCPT TO
    domain TEXT NOT NULL,        -- its domain, A-label, or an address literal
    notify TEXT NOT NULL,        -- NOTIFY of RFC 3461 or ''
    orcpt TEXT NOT NULL,         -- ORCPT of RFC 3461, in xtext, or ''
    priority INTEGER NOT NULL,   -- 0 transactional, 1 bulk
    state INTEGER NOT NULL,      -- 0 waiting, 1 claimed, 2 held; final: 10 delivered, 11 bounced,
                                 -- 12 expired, 13 canceled, 14 suppressed
    due_at INTEGER NOT NULL,     -- while waiting: when to try (next)
    why TEXT NOT NULL,           -- why it waits, a core.disposition.Why; '' when it does not
    owner TEXT,                  -- while claimed: the process that delivers it
    wish INTEGER,                -- while claimed: state to get instead of waiting again (2 or 13;
                                 -- 14: if its address is still suppressed by then)
    wished_at INTEGER,           -- when that was asked for
    attempts INTEGER NOT NULL,   -- deliveries tried so far
    code INTEGER,                -- last attempt: reply code, NULL when no server answered
    enhanced TEXT,               -- last attempt: enhanced status or ''
    reply TEXT,                  -- last attempt: text of the reply, or the error in our words;
                                 -- of a suppressed entry: why the address is suppressed
    class TEXT,                  -- last failure: a core.bounce.BounceClass; NULL: none
    host TEXT                    -- last attempt: name of the server, '' when none was reached
)
"""

_ENTRY_INDEXES = (
    "CREATE INDEX entries_waiting ON entries (domain, priority, due_at) WHERE state = 0",
    "CREATE INDEX entries_claimed ON entries (domain) WHERE state = 1",
    "CREATE INDEX entries_held ON entries (domain) WHERE state = 2",
    "CREATE INDEX entries_by_message ON entries (message_id)",
)

_EVENTS = """
CREATE TABLE events (
    -- The journal: what happened, in the order it was committed.
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- what webhook cursors count; part of "ev_..." ids
    message_id INTEGER NOT NULL, -- messages.id; 0: not about mail, but about a domain
    entry_id INTEGER NOT NULL,   -- entries.id, or 0
    tenant_id INTEGER NOT NULL,
    kind TEXT NOT NULL,          -- a core.event.EventKind
    at INTEGER NOT NULL,
    data TEXT NOT NULL           -- JSON object: attempt, code, text, host, due_at, reason, ...
)
"""

_EVENT_INDEXES = ("CREATE INDEX events_by_message ON events (message_id)",)

_SUPPRESSIONS = """
CREATE TABLE suppressions (
    -- Addresses that a tenant's mail no longer goes to.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "sup_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    key TEXT NOT NULL,           -- what addresses are compared by, see core.address
    address TEXT NOT NULL,       -- as it was given, for display
    reason TEXT NOT NULL,        -- "bounce", "complaint", "unsubscribe", "manual", ...
    created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, key)
)
"""

_SUPPRESSION_INDEXES = ("CREATE INDEX suppressions_by_tenant ON suppressions (tenant_id)",)

_IDEMPOTENCY = """
CREATE TABLE idempotency (
    -- Answers given to requests with an Idempotency-Key, so that a retry gets the same one.
    tenant_id INTEGER NOT NULL,
    scope TEXT NOT NULL,         -- method and path, or 'SMTP'
    key TEXT NOT NULL,           -- the header's value
    fingerprint BLOB NOT NULL,   -- hash of the request body: another body is another request
    status INTEGER NOT NULL,     -- HTTP status of the answer
    body BLOB NOT NULL,          -- body of the answer
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, scope, key)
) WITHOUT ROWID
"""

_IDEMPOTENCY_INDEXES = ("CREATE INDEX idempotency_by_age ON idempotency (created_at)",)

_WEBHOOKS = """
CREATE TABLE webhooks (
    -- Where events are posted to, and how far each endpoint has got in the journal.
    id TEXT PRIMARY KEY,         -- "wh_..."
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    url TEXT NOT NULL,
    kinds TEXT,                  -- JSON list of core.event.EventKind; NULL: all
    secret TEXT NOT NULL,        -- signs the posts, so it is kept as it is (the file is 0600)
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,         -- NULL: enabled
    cursor INTEGER NOT NULL      -- events up to this seq are posted or in webhook_retries
)
"""

_WEBHOOK_RETRIES = """
CREATE TABLE webhook_retries (
    -- Posts that failed and are tried again, one row for each event and endpoint.
    webhook_id TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_seq INTEGER NOT NULL,  -- events.seq
    attempts INTEGER NOT NULL,   -- posts tried so far, at least 1
    due_at INTEGER NOT NULL,
    last_status INTEGER,         -- HTTP status, NULL when there was no answer
    last_error TEXT NOT NULL,    -- in our words, '' when there was an answer
    PRIMARY KEY (webhook_id, event_seq)
) WITHOUT ROWID
"""

_WEBHOOK_INDEXES = (
    "CREATE INDEX webhook_retries_due ON webhook_retries (due_at)",
    "CREATE INDEX webhook_retries_events ON webhook_retries (event_seq)",
)

_DIRECTIVES = """
CREATE TABLE directives (
    -- What the engine should look at again, because an operator or the API changed it.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,          -- "due_changed" or "keys_changed"
    target TEXT NOT NULL         -- for due_changed the recipient domain
)
"""

_SUSPENSIONS = """
CREATE TABLE suspensions (
    -- Sites that the engine leaves alone for a while, for people to see.
    site TEXT PRIMARY KEY,       -- core.route.Route.site, or a domain that has no route
    until INTEGER NOT NULL,
    why TEXT NOT NULL,           -- a core.disposition.Why
    detail TEXT NOT NULL         -- the reply or error that led to it
)
"""

FIRST_RELEASE: tuple[str, ...] = (
    _TENANTS,
    _DEFAULT_TENANT,
    _API_KEYS,
    _DOMAINS,
    _DKIM_KEYS,
    _COUNTERS,
    _MESSAGES,
    *_MESSAGE_INDEXES,
    _MESSAGE_TAGS,
    _BODIES,
    *_BODY_INDEXES,
    _ENTRIES,
    *_ENTRY_INDEXES,
    _EVENTS,
    *_EVENT_INDEXES,
    _SUPPRESSIONS,
    *_SUPPRESSION_INDEXES,
    _IDEMPOTENCY,
    *_IDEMPOTENCY_INDEXES,
    _WEBHOOKS,
    _WEBHOOK_RETRIES,
    *_WEBHOOK_INDEXES,
    _DIRECTIVES,
    _SUSPENSIONS,
)
"""Migration 0001."""
