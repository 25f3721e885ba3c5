"""Batches: emails that came in one request, as a whole. Not here: accepting (submissions.py)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mta.core import ids
from mta.core.frozen import frozen
from storage.database import Connection

_OF_BATCH = """
FROM messages INDEXED BY messages_by_batch
WHERE tenant_id = ? AND batch_id = ? AND batch_id <> ''
"""


@frozen
class BatchView:
    """A batch.

    Attributes:
        created_at: when it was accepted (aware, UTC).
        recipients: of all its emails.
        emails: how many have which status (EmailView.status).
    """

    created_at: datetime
    recipients: int
    emails: Mapping[str, int]


def get(connection: Connection, tenant_id: int, batch_id: str) -> BatchView | None:
    """Return a batch; None when the tenant has no email of it."""
    rows = connection.execute(
        f"SELECT status, COUNT(*), SUM(recipients), MIN(created_at) {_OF_BATCH} GROUP BY status",
        (tenant_id, batch_id),
    ).fetchall()
    if not rows:
        return None
    return BatchView(
        created_at=ids.moment(min(row[3] for row in rows)),
        recipients=sum(row[2] for row in rows),
        emails={status: count for status, count, _, _ in rows},
    )


def email_ids(connection: Connection, tenant_id: int, batch_id: str) -> tuple[str, ...]:
    """Return the "em_..." ids of a batch, the first accepted first."""
    rows = connection.execute(
        f"SELECT public_id {_OF_BATCH} ORDER BY created_at, id",
        (tenant_id, batch_id),
    )
    return tuple(public_id for (public_id,) in rows)
