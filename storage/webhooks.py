"""Webhook endpoints: where events are posted to, how far each has got, and how it fares.

The sender reads events.read(after=cursor), posts, and moves the cursor once an event is posted or
waits in webhook_retries (webhook_retries.py). Not here: posting, signing and the schedule, which
are control_api's; the log of attempts (webhook_attempts.py).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from mta.core import ids, json_text
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import events
from storage.database import Connection
from storage.readable import readable


@frozen
class Health:
    """How an endpoint fares.

    Attributes:
        failing_since: first failed post after the last success (aware, UTC); None: it works.
        failed_at: last failed post (aware, UTC); None: never, or it works.
        paused_until: end of the last pause that failures led to (aware, UTC); may be past.
    """

    failing_since: datetime | None = None
    failed_at: datetime | None = None
    paused_until: datetime | None = None


@frozen
class WebhookRecord:
    """An endpoint.

    Attributes:
        id: "wh_...".
        tenant_id: whose events it gets.
        url: where they are posted to; it may hold a token of its owner's.
        kinds: which; None is all, also those of later releases.
        format: shape of the posts, "native" or a dialect's.
        secret: what signs the posts, as it was given out.
        old_secret: signs as well until old_secret_until (aware, UTC); None: there is none.
        description: what its owner calls it, may be "".
        created_at: aware, UTC.
        disabled_at: aware, UTC; None: it is enabled.
        disabled_for: "requested", "gone" (410) or "failing"; "" while it is enabled.
        cursor: seq of the last event that is posted or waits in the retries.
        health: how it fares.
        dropped: events given up because too many waited.
        revision: grows with every change that the sender has to see.
    """

    id: str
    tenant_id: int
    url: str
    kinds: tuple[EventKind, ...] | None
    format: str
    secret: str
    old_secret: str | None
    old_secret_until: datetime | None
    description: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_for: str
    cursor: int
    health: Health
    dropped: int
    revision: int

    def __repr__(self) -> str:
        return f"WebhookRecord({self.id}, cursor={self.cursor})"  # neither secrets nor the URL

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Return what signs a post that is made now, the newest first."""
        is_old_valid = self.old_secret_until is not None and now < self.old_secret_until
        return (
            (self.secret, self.old_secret) if self.old_secret and is_old_valid else (self.secret,)
        )


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
    form: str = "native",
) -> WebhookRecord:
    """Add an enabled endpoint that gets the events from now on, in the form of that name."""
    connection.execute(
        "INSERT INTO webhooks (id, tenant_id, url, kinds, secret, description, created_at, cursor,"
        " format) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            webhook_id,
            tenant_id,
            url,
            _kinds_text(kinds),
            secret,
            description,
            ids.milliseconds(now),
            events.last_seq(connection),
            form,
        ),
    )
    return _required(connection, webhook_id)


_SELECT = """
SELECT id, tenant_id, url, kinds, format, secret, old_secret, old_secret_until, description,
    created_at, disabled_at, disabled_for, cursor, failing_since, failed_at, paused_until, dropped,
    revision
FROM webhooks
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


def change(connection: Connection, record: WebhookRecord) -> WebhookRecord:
    """Write url, kinds, format and description of a record, and return it as it is now."""
    connection.execute(
        "UPDATE webhooks SET url = ?, kinds = ?, format = ?, description = ?,"
        " revision = revision + 1 WHERE id = ?",
        (record.url, _kinds_text(record.kinds), record.format, record.description, record.id),
    )
    return _required(connection, record.id)


def rotate(
    connection: Connection, webhook_id: str, secret: str, *, old_until: datetime
) -> WebhookRecord:
    """Give an endpoint a new secret; the one before it signs as well until then (aware).

    Of the secrets before that one none is valid any more.
    """
    connection.execute(
        "UPDATE webhooks SET old_secret = secret, old_secret_until = ?, secret = ?,"
        " revision = revision + 1 WHERE id = ?",
        (ids.milliseconds(old_until), secret, webhook_id),
    )
    return _required(connection, webhook_id)


def disable(connection: Connection, webhook_id: str, at: datetime, why: str) -> bool:
    """Disable an endpoint at a time (aware); False when it is disabled already, or gone."""
    changed = connection.execute(
        "UPDATE webhooks SET disabled_at = ?, disabled_for = ?, paused_until = NULL,"
        " revision = revision + 1 WHERE id = ? AND disabled_at IS NULL",
        (ids.milliseconds(at), why, webhook_id),
    )
    return changed.rowcount == 1


def enable(connection: Connection, webhook_id: str) -> bool:
    """Enable an endpoint where it stopped, its failures forgotten; False when it is not disabled.

    Events that retention has removed meanwhile are gone.
    """
    changed = connection.execute(
        "UPDATE webhooks SET disabled_at = NULL, disabled_for = '', failing_since = NULL,"
        " failed_at = NULL, paused_until = NULL, revision = revision + 1"
        " WHERE id = ? AND disabled_at IS NOT NULL",
        (webhook_id,),
    )
    return changed.rowcount == 1


def enabled(connection: Connection) -> list[WebhookRecord]:
    """Return the endpoints of all tenants that are to be posted to, but for damaged ones."""
    rows = connection.execute(f"{_SELECT} WHERE disabled_at IS NULL")
    return readable("webhook", rows, _webhook)


def touch(connection: Connection, webhook_id: str) -> None:
    """Let the sender look at an endpoint again, because something was put into its retries."""
    connection.execute("UPDATE webhooks SET revision = revision + 1 WHERE id = ?", (webhook_id,))


def advance(connection: Connection, webhook_id: str, cursor: int, *, dropped: int = 0) -> None:
    """Move an endpoint's cursor forward to this seq, never back; count events that were dropped."""
    connection.execute(
        "UPDATE webhooks SET cursor = MAX(cursor, ?), dropped = dropped + ? WHERE id = ?",
        (cursor, dropped, webhook_id),
    )


def note_health(connection: Connection, webhook_id: str, health: Health) -> None:
    """Write down how an endpoint fares."""
    connection.execute(
        "UPDATE webhooks SET failing_since = ?, failed_at = ?, paused_until = ? WHERE id = ?",
        (
            _optional_ms(health.failing_since),
            _optional_ms(health.failed_at),
            _optional_ms(health.paused_until),
            webhook_id,
        ),
    )


def _required(connection: Connection, webhook_id: str) -> WebhookRecord:
    found = get(connection, webhook_id)
    if found is None:
        raise LookupError(webhook_id)
    return found


def _kinds_text(kinds: Collection[EventKind] | None) -> str | None:
    return None if kinds is None else json_text.encode([kind.value for kind in kinds]).decode()


def _webhook(row: tuple[Any, ...]) -> WebhookRecord:
    webhook_id, tenant_id, url, kinds, format_, secret, old_secret, old_secret_until = row[:8]
    description, created_at, disabled_at, disabled_for, cursor = row[8:13]
    failing_since, failed_at, paused_until, dropped, revision = row[13:]
    names = None if kinds is None else cast("list[str]", json_text.decode(kinds))
    return WebhookRecord(
        id=webhook_id,
        tenant_id=tenant_id,
        url=url,
        kinds=None if names is None else tuple(EventKind(name) for name in names),
        format=format_,
        secret=secret,
        old_secret=old_secret,
        old_secret_until=_optional_moment(old_secret_until),
        description=description,
        created_at=ids.moment(created_at),
        disabled_at=_optional_moment(disabled_at),
        disabled_for=disabled_for,
        cursor=cursor,
        health=Health(*map(_optional_moment, (failing_since, failed_at, paused_until))),
        dropped=dropped,
        revision=revision,
    )


def _optional_ms(at: datetime | None) -> int | None:
    return None if at is None else ids.milliseconds(at)


def _optional_moment(ms: int | None) -> datetime | None:
    return None if ms is None else ids.moment(ms)
