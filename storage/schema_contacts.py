"""What contacts, audiences and templates add to the schema; the conventions of schema.py hold."""

from __future__ import annotations

CONTACTS: tuple[str, ...] = (
    """
CREATE TABLE contacts (
    -- People that a tenant writes to, each once.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "ct_..." ids; grows with created_at
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    key TEXT NOT NULL,           -- what addresses are compared by, see core.address
    email TEXT NOT NULL,         -- as it was given first
    name TEXT NOT NULL,          -- may be ''
    properties TEXT NOT NULL,    -- JSON object
    created_at INTEGER NOT NULL, -- when it was added
    updated_at INTEGER NOT NULL, -- when anything of it changed last
    UNIQUE (tenant_id, key)
)
""",
    "CREATE INDEX contacts_by_tenant ON contacts (tenant_id, id)",
    """
CREATE TABLE contact_tags (
    -- Words that the tenant puts on contacts.
    tenant_id INTEGER NOT NULL,  -- the contact's
    tag TEXT NOT NULL,           -- the word
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    PRIMARY KEY (tenant_id, tag, contact_id)
) WITHOUT ROWID
""",
    "CREATE INDEX contact_tags_by_contact ON contact_tags (contact_id)",
    """
CREATE TABLE audiences (
    -- Lists of contacts, with what mail to them says of its sender.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "aud_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,          -- for people
    from_email TEXT NOT NULL,    -- sender unless a mail says otherwise; may be ''
    from_name TEXT NOT NULL,     -- the name shown with it; may be ''
    reply_to TEXT NOT NULL,      -- where answers go; may be ''
    default_subject TEXT NOT NULL, -- may be ''
    created_at INTEGER NOT NULL, -- when it was made
    updated_at INTEGER NOT NULL  -- when anything above changed last
)
""",
    "CREATE INDEX audiences_by_tenant ON audiences (tenant_id, id)",
    """
CREATE TABLE audience_fields (
    -- What an audience knows of each member beyond the contact.
    audience_id INTEGER NOT NULL REFERENCES audiences (id),
    tag TEXT NOT NULL,           -- the name in templates, such as FNAME
    label TEXT NOT NULL,         -- for people
    type TEXT NOT NULL,          -- "text", "number" or "datetime"
    default_value TEXT NOT NULL, -- what stands in for a missing value; '' for nothing
    is_required INTEGER NOT NULL, -- whether a member must have a value
    created_at INTEGER NOT NULL, -- when it was added
    PRIMARY KEY (audience_id, tag)
) WITHOUT ROWID
""",
    """
CREATE TABLE memberships (
    -- Contacts in audiences.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "mem_..." ids; pages go by it
    audience_id INTEGER NOT NULL REFERENCES audiences (id),
    contact_id INTEGER NOT NULL REFERENCES contacts (id),
    status TEXT NOT NULL,        -- of core.contact.Status; only "subscribed" gets mail
    field_values TEXT NOT NULL,  -- JSON object: tag of a field -> value
    created_at INTEGER NOT NULL, -- when the contact joined
    status_at INTEGER NOT NULL,  -- since when the status holds
    UNIQUE (audience_id, contact_id)
)
""",
    "CREATE INDEX memberships_by_status ON memberships (audience_id, status, id)",
    "CREATE INDEX memberships_by_audience ON memberships (audience_id, id)",
    "CREATE INDEX memberships_by_contact ON memberships (contact_id)",
)
"""The migration of contacts and audiences."""

TEMPLATES: tuple[str, ...] = (
    """
CREATE TABLE templates (
    -- Mails with places for variables.
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- part of "tpl_..." ids
    tenant_id INTEGER NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,          -- for people
    published INTEGER,           -- the version that mail is made of; NULL: none yet
    created_at INTEGER NOT NULL, -- when it was made
    updated_at INTEGER NOT NULL  -- when it was renamed, changed or published last
)
""",
    "CREATE INDEX templates_by_tenant ON templates (tenant_id, id)",
    """
CREATE TABLE template_versions (
    -- What a template said, each time it changed. Rows never change.
    template_id INTEGER NOT NULL REFERENCES templates (id),
    version INTEGER NOT NULL,    -- 1, 2, ...
    subject TEXT NOT NULL,       -- Liquid
    html TEXT,                   -- Liquid; NULL: there is none
    text TEXT,                   -- Liquid; NULL: made of the HTML
    inline_css INTEGER NOT NULL, -- whether style sheets are moved into the elements
    created_at INTEGER NOT NULL, -- when it was written
    PRIMARY KEY (template_id, version)
) WITHOUT ROWID
""",
)
"""The migration of templates."""

TEMPLATE_KINDS: tuple[str, ...] = (
    """
    ALTER TABLE templates ADD COLUMN kind -- its owner's word for what kind it is; may be ''
    TEXT NOT NULL DEFAULT ''
    """,
)
"""The migration of what templates are called besides their names."""

SEARCH: tuple[str, ...] = (
    "DROP INDEX contacts_by_tenant",
    "CREATE INDEX contacts_by_tenant ON contacts (tenant_id, id, key)",
)
"""The migration by which an index tells whose address contains a text, in the order of pages."""
