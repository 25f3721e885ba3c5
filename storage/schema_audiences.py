"""What lists of a million members add to the schema: counters, indexes for filters, confirmations.

Triggers keep them, because members come and go by many ways: one by one, in bulk, by suppressions,
with their contact, with their audience. The conventions of schema.py hold.
"""

from __future__ import annotations

_COUNTS = (
    """
CREATE TABLE membership_counts (
    -- How many members of an audience have a status; kept by triggers.
    audience_id INTEGER NOT NULL, -- audiences.id
    status TEXT NOT NULL,        -- of memberships
    count INTEGER NOT NULL,      -- how many, perhaps 0
    PRIMARY KEY (audience_id, status)
) WITHOUT ROWID
""",
    """
INSERT INTO membership_counts (audience_id, status, count)
SELECT audience_id, status, COUNT(*) FROM memberships GROUP BY audience_id, status
""",
    """
CREATE TRIGGER memberships_counted AFTER INSERT ON memberships BEGIN
    INSERT INTO membership_counts (audience_id, status, count)
    VALUES (NEW.audience_id, NEW.status, 1)
    ON CONFLICT (audience_id, status) DO UPDATE SET count = count + 1;
END
""",
    """
CREATE TRIGGER memberships_counted_off AFTER DELETE ON memberships BEGIN
    UPDATE membership_counts SET count = count - 1
    WHERE audience_id = OLD.audience_id AND status = OLD.status;
END
""",
    """
CREATE TRIGGER memberships_counted_anew AFTER UPDATE OF status ON memberships
WHEN OLD.status <> NEW.status BEGIN
    UPDATE membership_counts SET count = count - 1
    WHERE audience_id = OLD.audience_id AND status = OLD.status;
    INSERT INTO membership_counts (audience_id, status, count)
    VALUES (NEW.audience_id, NEW.status, 1)
    ON CONFLICT (audience_id, status) DO UPDATE SET count = count + 1;
END
""",
)

_TAGS = (
    """
CREATE TABLE member_tags (
    -- The tags of members' contacts by audience, for pages of members with a tag; by triggers.
    audience_id INTEGER NOT NULL, -- audiences.id
    tag TEXT NOT NULL,           -- of contact_tags
    membership_id INTEGER NOT NULL, -- memberships.id
    PRIMARY KEY (audience_id, tag, membership_id)
) WITHOUT ROWID
""",
    """
INSERT INTO member_tags (audience_id, tag, membership_id)
SELECT m.audience_id, t.tag, m.id FROM memberships m
JOIN contact_tags t ON t.contact_id = m.contact_id
""",
    """
CREATE TRIGGER memberships_tagged AFTER INSERT ON memberships BEGIN
    INSERT INTO member_tags (audience_id, tag, membership_id)
    SELECT NEW.audience_id, tag, NEW.id FROM contact_tags WHERE contact_id = NEW.contact_id;
END
""",
    """
CREATE TRIGGER memberships_untagged BEFORE DELETE ON memberships BEGIN
    DELETE FROM member_tags WHERE audience_id = OLD.audience_id AND membership_id = OLD.id
    AND tag IN (SELECT tag FROM contact_tags WHERE contact_id = OLD.contact_id);
END
""",
    """
CREATE TRIGGER contacts_tagged AFTER INSERT ON contact_tags BEGIN
    INSERT INTO member_tags (audience_id, tag, membership_id)
    SELECT audience_id, NEW.tag, id FROM memberships WHERE contact_id = NEW.contact_id;
END
""",
    """
CREATE TRIGGER contacts_untagged AFTER DELETE ON contact_tags BEGIN
    DELETE FROM member_tags WHERE tag = OLD.tag AND (audience_id, membership_id) IN
        (SELECT audience_id, id FROM memberships WHERE contact_id = OLD.contact_id);
END
""",
)

_ENGAGEMENT = (
    """
    ALTER TABLE contacts ADD COLUMN opened_at -- when it last opened mail, as far as told; or NULL
    INTEGER
    """,
    """
    ALTER TABLE contacts ADD COLUMN clicked_at -- when it last followed a link of mail; or NULL
    INTEGER
    """,
    """
    ALTER TABLE memberships ADD COLUMN has_opened -- 1: the contact has opened_at; by trigger
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE memberships ADD COLUMN has_clicked -- 1: the contact has clicked_at; by trigger
    INTEGER NOT NULL DEFAULT 0
    """,
    # Of those who have; the others are most, and found by looking at the members.
    "CREATE INDEX memberships_opened ON memberships (audience_id, id) WHERE has_opened = 1",
    "CREATE INDEX memberships_clicked ON memberships (audience_id, id) WHERE has_clicked = 1",
    """
CREATE TRIGGER contacts_opened AFTER UPDATE OF opened_at ON contacts
WHEN OLD.opened_at IS NULL AND NEW.opened_at IS NOT NULL BEGIN
    UPDATE memberships SET has_opened = 1 WHERE contact_id = NEW.id;
END
""",
    """
CREATE TRIGGER contacts_clicked AFTER UPDATE OF clicked_at ON contacts
WHEN OLD.clicked_at IS NULL AND NEW.clicked_at IS NOT NULL BEGIN
    UPDATE memberships SET has_clicked = 1 WHERE contact_id = NEW.id;
END
""",
)

_OPT_IN = (
    """
    ALTER TABLE audiences ADD COLUMN double_opt_in -- 1: who joins is asked to confirm it by mail
    INTEGER NOT NULL DEFAULT 0
    """,
    """
    ALTER TABLE audiences ADD COLUMN confirmation_template -- "tpl_..." of that mail; '': ours
    TEXT NOT NULL DEFAULT ''
    """,
    """
CREATE TABLE confirmations (
    -- Members who are asked whether they want to be, until they have answered.
    membership_id INTEGER PRIMARY KEY REFERENCES memberships (id) ON DELETE CASCADE,
    asked INTEGER NOT NULL,      -- mails sent so far
    asked_at INTEGER,            -- when the last one was; NULL: none was
    is_due INTEGER NOT NULL,     -- 1: one is to be sent
    is_test INTEGER NOT NULL     -- 1: to the sandbox, because a test key asked for it
)
""",
    "CREATE INDEX confirmations_due ON confirmations (membership_id) WHERE is_due = 1",
    """
CREATE TRIGGER memberships_answered AFTER UPDATE OF status ON memberships
WHEN OLD.status = 'unconfirmed' BEGIN
    DELETE FROM confirmations WHERE membership_id = NEW.id AND NEW.status <> 'unconfirmed';
END
""",
)

AUDIENCES: tuple[str, ...] = (
    *_COUNTS,
    *_TAGS,
    *_ENGAGEMENT,
    *_OPT_IN,
    # Of what is not about mail: finds what the journal tells of a contact, to erase it.
    """
    CREATE INDEX events_by_contact ON events (json_extract(data, '$.contact.id'))
    WHERE message_id = 0
    """,
)
"""The migration."""

IMPORTS: tuple[str, ...] = (
    """
CREATE TABLE imports (
    -- Lists of contacts on their way into an audience, and those that have arrived.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "imp_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    audience_id INTEGER NOT NULL, -- audiences.id, which may be gone
    audience TEXT NOT NULL, -- "aud_..." of it
    status TEXT NOT NULL,        -- queued running completed failed canceled
    mode TEXT NOT NULL,          -- what becomes of known members: "skip" or "overwrite"
    layout TEXT NOT NULL,        -- JSON of how the file is read; '' when there was none
    file TEXT,                   -- in the spool, until it has ended
    size INTEGER NOT NULL,       -- bytes of the file
    position INTEGER NOT NULL,   -- bytes of it behind which nothing is applied yet, about
    received INTEGER NOT NULL,   -- rows applied or refused; the next run goes on behind them
    inserted INTEGER NOT NULL,   -- of those, new members
    updated INTEGER NOT NULL,    -- members brought up to date
    skipped INTEGER NOT NULL,    -- members left as they were
    failed INTEGER NOT NULL,     -- rows refused
    problem TEXT NOT NULL,       -- why it failed as a whole, '' when it did not
    created_at INTEGER NOT NULL,
    started_at INTEGER,          -- NULL: not yet
    completed_at INTEGER         -- when it ended, however; NULL: not yet
)
""",
    "CREATE INDEX imports_by_tenant ON imports (tenant_id, id)",
    "CREATE INDEX imports_by_audience ON imports (audience_id, id)",
    "CREATE INDEX imports_by_status ON imports (status, id)",
    "CREATE INDEX imports_ended ON imports (completed_at) WHERE completed_at IS NOT NULL",
    "CREATE INDEX imports_in_spool ON imports (file) WHERE file IS NOT NULL",
    """
CREATE TABLE import_errors (
    -- Rows that were refused, as far as they are kept.
    import_id INTEGER NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    row INTEGER NOT NULL,        -- the first behind the header is 1
    field TEXT NOT NULL,         -- column or field
    code TEXT NOT NULL,          -- a word
    message TEXT NOT NULL,       -- a sentence
    email TEXT NOT NULL,         -- the address of the row as it was given, cut short
    PRIMARY KEY (import_id, row)
) WITHOUT ROWID
""",
    "CREATE INDEX import_errors_by_email ON import_errors (email)",
)
"""The migration of imports."""
