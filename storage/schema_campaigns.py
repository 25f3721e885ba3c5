"""What campaigns add to the schema; the conventions of schema.py hold."""

from __future__ import annotations

CAMPAIGNS: tuple[str, ...] = (
    """
CREATE TABLE campaigns (
    -- One mail to many people.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "cmp_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,          -- for people
    status TEXT NOT NULL,        -- a core.campaign.CampaignStatus
    audience_id INTEGER,         -- audiences.id, which may be gone; NULL: campaign_recipients
    audience TEXT NOT NULL,      -- "aud_..." of it, or ''
    segment TEXT NOT NULL,       -- JSON of core.campaign.Segment
    content TEXT NOT NULL,       -- JSON of core.campaign.Content
    template_version INTEGER,    -- the one it is made of since it started; NULL: without template
    once_key TEXT NOT NULL,      -- nobody gets two mails with the same key; '' for none
    is_test INTEGER NOT NULL,    -- 1: it goes to the sandbox
    send_at INTEGER,             -- when it is to start; NULL: when it is sent
    pause_reason TEXT NOT NULL,  -- a word, '' unless it is paused
    is_unbraked INTEGER NOT NULL, -- 1: resumed in spite of its rates, it pauses no more by itself
    todo TEXT NOT NULL,          -- what is being done with what is queued of it: "hold", "release"
                                 -- or "cancel"; '' when that is done
    total INTEGER,               -- recipients; NULL: not counted yet
    place INTEGER NOT NULL,      -- whoever is behind this place has not had a turn: memberships.id
                                 -- or campaign_recipients.number
    last_place INTEGER NOT NULL, -- of the last one who was there when it started
    is_expanded INTEGER NOT NULL, -- 1: everybody has had a turn
    accepted INTEGER NOT NULL,   -- emails in the queue or beyond, suppressed ones included
    skipped INTEGER NOT NULL,    -- turns without an email, rows of campaign_skips
    created_at INTEGER NOT NULL, -- when it was made
    updated_at INTEGER NOT NULL, -- when anything of it changed last, counts apart
    started_at INTEGER,          -- NULL: not yet
    completed_at INTEGER         -- when it was completed or canceled; NULL: not yet
)
""",
    "CREATE INDEX campaigns_by_tenant ON campaigns (tenant_id, id)",
    """
    CREATE INDEX campaigns_at_work ON campaigns (status, id)
    WHERE status IN ('scheduled', 'sending')
    """,
    """
CREATE TABLE campaign_recipients (
    -- Whom a campaign without an audience goes to, each address once.
    campaign_id INTEGER NOT NULL, -- campaigns.id
    number INTEGER NOT NULL,     -- from 1, in the order given
    key TEXT NOT NULL,           -- what addresses are compared by
    email TEXT NOT NULL,         -- as it was given
    name TEXT NOT NULL,          -- may be ''
    variables TEXT NOT NULL,     -- JSON object, for this one only
    PRIMARY KEY (campaign_id, number),
    UNIQUE (campaign_id, key)
) WITHOUT ROWID
""",
    """
CREATE TABLE campaign_skips (
    -- Who had a turn and got no email.
    campaign_id INTEGER NOT NULL, -- campaigns.id
    place INTEGER NOT NULL,      -- as campaigns.place
    email TEXT NOT NULL,         -- the address
    reason TEXT NOT NULL,        -- "unsubscribed", "missing_variable", "sent_before", ...
    detail TEXT NOT NULL,        -- a sentence, or ''
    at INTEGER NOT NULL,         -- when the turn was
    PRIMARY KEY (campaign_id, place)
) WITHOUT ROWID
""",
    """
CREATE TABLE campaign_keys (
    -- Who got a mail with a send_once_key.
    tenant_id INTEGER NOT NULL,  -- whose key it is
    once_key TEXT NOT NULL,      -- of campaigns
    key TEXT NOT NULL,           -- what addresses are compared by
    PRIMARY KEY (tenant_id, once_key, key)
) WITHOUT ROWID
""",
    """
CREATE TABLE campaign_counts (
    -- What happened to the emails of a campaign. Counted with the other statistics, openings and
    -- clicks when they are written down.
    campaign_id INTEGER NOT NULL, -- campaigns.id
    name TEXT NOT NULL,          -- a core.event.EventKind, "retried", or one of tracking: opens,
                                 -- openers, machine_opens, clicks, clickers
    count INTEGER NOT NULL,      -- how many
    PRIMARY KEY (campaign_id, name)
) WITHOUT ROWID
""",
    """
CREATE TABLE campaign_links (
    -- Clicks by link, persons only.
    campaign_id INTEGER NOT NULL, -- campaigns.id
    url TEXT NOT NULL,           -- where it leads; '' stands for all beyond the first thousand
    clicks INTEGER NOT NULL,     -- how many
    clickers INTEGER NOT NULL,   -- of so many recipients
    PRIMARY KEY (campaign_id, url)
) WITHOUT ROWID
""",
    """
CREATE TABLE campaign_log (
    -- Finds the events of a campaign that its logs tell of.
    campaign_id INTEGER NOT NULL, -- campaigns.id
    kind TEXT NOT NULL,          -- a core.event.EventKind
    seq INTEGER NOT NULL,        -- events.seq, which retention may have removed
    PRIMARY KEY (campaign_id, kind, seq)
) WITHOUT ROWID
""",
    """
    ALTER TABLE messages ADD COLUMN campaign -- campaigns.id, which may be gone; NULL: of none
    INTEGER
    """,
    """
    CREATE INDEX messages_by_campaign ON messages (tenant_id, campaign, created_at)
    WHERE campaign IS NOT NULL
    """,
    """
    CREATE INDEX messages_open_by_campaign ON messages (campaign, status, created_at)
    -- What of a campaign waits: as many as are queued, and no more for what is done.
    WHERE campaign IS NOT NULL AND pending > 0
    """,
)
"""The migration of campaigns."""

FORGETTING: tuple[str, ...] = (
    "CREATE INDEX campaign_skips_by_email ON campaign_skips (email)",
    "CREATE INDEX campaign_recipients_by_key ON campaign_recipients (key)",
    "CREATE INDEX campaign_keys_by_key ON campaign_keys (tenant_id, key)",
    "CREATE INDEX campaign_log_by_seq ON campaign_log (seq)",
)
"""The migration by which people, and events that are pruned, are found to be forgotten."""
