"""Webhook endpoints, how far each has got in the journal, and the posts that must be tried again.

The sender reads events.read(after=cursor), posts, and moves the cursor once the event is posted or
in webhook_retries. Not here: posting, signing and the schedule of retries, which are control_api's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import EventKind
from storage import events
from storage.database import Connection


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """An endpoint.

    Attributes:
        id: "wh_...".
        tenant_id: whose events it gets.
        url: where they are posted to.
        kinds: which; None is all, also those of later releases.
        secret: what signs the posts, as it was given out.
        description: what its owner calls it, may be "".
        created_at: aware, UTC.
        disabled_at: aware, UTC; None: it is enabled.
        cursor: seq of the last event that is posted or waits in the retries.
    """

    id: str
    tenant_id: int
    url: str
    kinds: tuple[EventKind, ...] | None
    secret: str
    description: str
    created_at: datetime
    disabled_at: datetime | None
    cursor: int

    def __repr__(self) -> str:
        return f"WebhookRecord({self.id}, {self.url}, cursor={self.cursor})"  # not the secret


@dataclass(frozen=True, slots=True)
class Retry:
    """A post that failed and is tried again.

    Attributes:
        webhook_id: "wh_...".
        event_seq: the event's place in the journal.
        attempts: posts tried so far, at least 1.
        due_at: when to post again (aware, UTC).
        last_status: HTTP status of the last answer; None when there was none.
        last_error: why there was none; "" when there was one.
    """

    webhook_id: str
    event_seq: int
    attempts: int
    due_at: datetime
    last_status: int | None = None
    last_error: str = ""


def create(  # noqa: PLR0913 - one parameter for each column
    connection: Connection,
    *,
    tenant_id: int,
    webhook_id: str,
    url: str,
    kinds: Collection[EventKind] | None,
    secret: str,
    description: str,
    now: datetime,
) -> WebhookRecord:
    """Add an enabled endpoint that gets the events from now on."""
    record = WebhookRecord(
        id=webhook_id,
        tenant_id=tenant_id,
        url=url,
        kinds=None if kinds is None else tuple(kinds),
        secret=secret,
        description=description,
        created_at=now,
        disabled_at=None,
        cursor=events.last_seq(connection),
    )
    names = None if kinds is None else json_text.encode([kind.value for kind in kinds]).decode()
    connection.execute(
        "INSERT INTO webhooks (id, tenant_id, url, kinds, secret, description, created_at, cursor)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            webhook_id,
            tenant_id,
            url,
            names,
            secret,
            description,
            ids.milliseconds(now),
            record.cursor,
        ),
    )
    return record


_SELECT = """
SELECT id, tenant_id, url, kinds, secret, description, created_at, disabled_at, cursor FROM webhooks
"""


def list_(connection: Connection, *, tenant_id: int | None = None) -> list[WebhookRecord]:
    """Return the endpoints of a tenant (None: of all), oldest first, disabled ones included."""
    rows = connection.execute(
        f"{_SELECT} WHERE ? IS NULL OR tenant_id = ? ORDER BY created_at, id",
        (tenant_id, tenant_id),
    )
    return [_webhook(row) for row in rows]


def get(
    connection: Connection, webhook_id: str, *, tenant_id: int | None = None
) -> WebhookRecord | None:
    """Return an endpoint; None when the tenant (None: anybody) has none such."""
    row = connection.execute(
        f"{_SELECT} WHERE id = ? AND (? IS NULL OR tenant_id = ?)",
        (webhook_id, tenant_id, tenant_id),
    ).fetchone()
    return _webhook(row) if row else None


def delete(connection: Connection, webhook_id: str, *, tenant_id: int | None = None) -> bool:
    """Remove an endpoint and its retries; False when the tenant (None: anybody) has none such."""
    removed = connection.execute(
        "DELETE FROM webhooks WHERE id = ? AND (? IS NULL OR tenant_id = ?)",
        (webhook_id, tenant_id, tenant_id),
    )
    return removed.rowcount == 1


def set_disabled(connection: Connection, webhook_id: str, at: datetime | None) -> None:
    """Disable an endpoint at a time (aware), or enable it again (None) where it stopped.

    Events that retention has removed meanwhile are gone.
    """
    connection.execute(
        "UPDATE webhooks SET disabled_at = ? WHERE id = ?",
        (None if at is None else ids.milliseconds(at), webhook_id),
    )


def enabled(connection: Connection) -> list[WebhookRecord]:
    """Return the endpoints of all tenants that are to be posted to."""
    return [_webhook(row) for row in connection.execute(f"{_SELECT} WHERE disabled_at IS NULL")]


def advance(connection: Connection, webhook_id: str, cursor: int) -> None:
    """Move an endpoint's cursor forward to this seq; never back."""
    connection.execute(
        "UPDATE webhooks SET cursor = ? WHERE id = ? AND cursor < ?", (cursor, webhook_id, cursor)
    )


def record_failure(connection: Connection, retry: Retry) -> None:
    """Keep that a post failed and when to try again; nothing when the endpoint has been deleted."""
    connection.execute(
        "INSERT INTO webhook_retries"
        " (webhook_id, event_seq, attempts, due_at, last_status, last_error)"
        " SELECT id, ?, ?, ?, ?, ? FROM webhooks WHERE id = ?"
        " ON CONFLICT (webhook_id, event_seq) DO UPDATE SET attempts = excluded.attempts,"
        " due_at = excluded.due_at, last_status = excluded.last_status,"
        " last_error = excluded.last_error",
        (
            retry.event_seq,
            retry.attempts,
            ids.milliseconds(retry.due_at),
            retry.last_status,
            retry.last_error,
            retry.webhook_id,
        ),
    )


def forget_retry(connection: Connection, webhook_id: str, event_seq: int) -> None:
    """Drop a retry: the post has succeeded, or is given up."""
    connection.execute(
        "DELETE FROM webhook_retries WHERE webhook_id = ? AND event_seq = ?",
        (webhook_id, event_seq),
    )


def due_retries(connection: Connection, now: datetime, *, limit: int) -> list[Retry]:
    """Return the retries of enabled endpoints that are due, the longest due first."""
    rows = connection.execute(
        "SELECT r.webhook_id, r.event_seq, r.attempts, r.due_at, r.last_status, r.last_error"
        " FROM webhook_retries r JOIN webhooks w ON w.id = r.webhook_id"
        " WHERE r.due_at <= ? AND w.disabled_at IS NULL ORDER BY r.due_at LIMIT ?",
        (ids.milliseconds(now), limit),
    )
    return [_retry(row) for row in rows]


def next_retry(connection: Connection) -> datetime | None:
    """Return when the next retry of an enabled endpoint is due (may be past); None: none is."""
    row = connection.execute(
        "SELECT r.due_at FROM webhook_retries r JOIN webhooks w ON w.id = r.webhook_id"
        " WHERE w.disabled_at IS NULL ORDER BY r.due_at LIMIT 1"
    ).fetchone()
    return ids.moment(row[0]) if row else None


def retries(connection: Connection, webhook_id: str, *, limit: int) -> list[Retry]:
    """Return an endpoint's retries, the oldest event first, for people."""
    rows = connection.execute(
        "SELECT webhook_id, event_seq, attempts, due_at, last_status, last_error"
        " FROM webhook_retries WHERE webhook_id = ? ORDER BY event_seq LIMIT ?",
        (webhook_id, limit),
    )
    return [_retry(row) for row in rows]


def _webhook(row: tuple[Any, ...]) -> WebhookRecord:
    webhook_id, tenant_id, url, kinds, secret, description, created_at, disabled_at, cursor = row
    names = None if kinds is None else cast("list[str]", json_text.decode(kinds))
    return WebhookRecord(
        id=webhook_id,
        tenant_id=tenant_id,
        url=url,
        kinds=None if names is None else tuple(EventKind(name) for name in names),
        secret=secret,
        description=description,
        created_at=ids.moment(created_at),
        disabled_at=None if disabled_at is None else ids.moment(disabled_at),
        cursor=cursor,
    )


def _retry(row: tuple[Any, ...]) -> Retry:
    webhook_id, event_seq, attempts, due_at, last_status, last_error = row
    return Retry(webhook_id, event_seq, attempts, ids.moment(due_at), last_status, last_error)
