"""What the Emails part of the API adds to the schema: addressees for display, retries, lists.

A list request is answered from an index, or looks at a bounded number of rows (message_lists.py).
The indexes begin with the tenant and end in the order of the list, so that a page costs the same
however much was ever sent. An index for every filter would cost each message more than it is worth:
those that are here stand for what people look for by name. The one by recipient is the dear one:
recipients come in no order, so each message dirties a page of its own.
"""

from __future__ import annotations

_ADDRESSEES = (
    """
    ALTER TABLE messages ADD COLUMN header_cc TEXT -- JSON list of the texts of Cc, for display
    NOT NULL DEFAULT '[]'
    """,
    """
    ALTER TABLE messages ADD COLUMN header_bcc TEXT -- of Bcc, which the message itself lacks
    NOT NULL DEFAULT '[]'
    """,
    """
    ALTER TABLE messages ADD COLUMN reply_to TEXT -- of Reply-To
    NOT NULL DEFAULT '[]'
    """,
)

_RETRIES = """
ALTER TABLE entries ADD COLUMN eligible_at -- when its lifetime began anew, because its sender had
    -- it tried again after a final failure; NULL: with the message
    INTEGER
"""

_LISTS = (
    """
    CREATE INDEX messages_by_status ON messages (tenant_id, status, created_at)
    -- Most mail is delivered: that is what the plain list shows anyway, so it is not kept twice.
    WHERE status <> 'delivered'
    """,
    "CREATE INDEX messages_by_from ON messages (tenant_id, from_address, created_at)",
    "CREATE INDEX entries_by_recipient ON entries (tenant_id, recipient, message_id)",
    "CREATE INDEX entries_by_domain ON entries (tenant_id, domain, message_id)",
)

EMAILS: tuple[str, ...] = (*_ADDRESSEES, _RETRIES, *_LISTS)
"""The migration's statements."""
