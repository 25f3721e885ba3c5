"""Recipients who want no more: of one list, or of anything that a tenant sends.

An opt-out is a suppression with the reason "unsubscribe", in the scope of the list. Not here: links
and tokens (mta/core/unsubscribe.py), the page (control_api/unsubscribe.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from mta.core import ids, json_text
from mta.core.address import AddressError, parse_address
from mta.core.event import EventKind
from mta.core.frozen import frozen
from mta.core.unsubscribe import UnsubscribeOffer
from storage import feedback, membership_status, suppressions
from storage.correlation import entry_of
from storage.database import Connection
from storage.sql import chunks, marks
from storage.suppressed_entries import suppress_waiting

REASON = "unsubscribe"


@frozen
class Target:
    """Who unsubscribes from what, see find."""

    entry_id: int
    tenant_id: int
    recipient: str
    scope: str


def find(connection: Connection, entry_id: int, tenant_id: int, scope: str | None) -> Target | None:
    """Return who got the mail that a link or address was made for.

    Args:
        connection: any.
        entry_id: row number of the entry, which need not exist any more.
        tenant_id: whose mail it was; an entry of another tenant is not found.
        scope: what the link says; None takes the list that the mail was sent to.
    """
    row = connection.execute(
        "SELECT q.recipient, COALESCE(json_extract(m.unsubscribe, '$.scope'), '')"
        " FROM entries q JOIN messages m ON m.id = q.message_id"
        " WHERE q.id = ?1 AND q.tenant_id = ?2 UNION ALL"
        " SELECT recipient, scope FROM unsubscribe_targets WHERE entry_id = ?1 AND tenant_id = ?2",
        (entry_id, tenant_id),
    ).fetchone()
    if row is None:
        return None
    recipient, sent_to = row
    return Target(entry_id, tenant_id, recipient, sent_to if scope is None else scope)


def unsubscribe(connection: Connection, target: Target, *, via: str, now: datetime) -> bool:
    """Suppress the address in the scope; False, and nothing changed, when it was before.

    Args:
        connection: of a write.
        target: who and from what.
        via: "one_click", "page", "mailto" or "report".
        now: aware, UTC.
    """
    if _is_out(connection, target):
        return False
    cause = suppressions.Cause(via)
    entry = entry_of(connection, target.entry_id, target.tenant_id)
    if entry is not None:
        data = {"via": via, "scope": target.scope}
        event_id = feedback.write_event(connection, entry, EventKind.UNSUBSCRIBED, data, now)
        cause = suppressions.Cause(via, event_id, entry.email_id)
    if target.scope:
        _add_scoped(connection, target, cause, now)
    else:
        feedback.suppress(connection, target.tenant_id, target.recipient, REASON, now, cause=cause)
    return True


def _is_out(connection: Connection, target: Target) -> bool:
    """Tell whether the address gets nothing of it for good."""
    row = connection.execute(
        "SELECT 1 FROM suppressions WHERE tenant_id = ? AND scope = ? AND key = ?"
        " AND expires_at IS NULL",
        (target.tenant_id, target.scope, _key(target.recipient)),
    ).fetchone()
    return row is not None


def _add_scoped(
    connection: Connection, target: Target, cause: suppressions.Cause, now: datetime
) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO suppressions (tenant_id, scope, key, address, reason, rule,"
        " event_id, email_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            *(target.tenant_id, target.scope, _key(target.recipient), target.recipient, REASON),
            *(cause.rule, cause.event_id, cause.email_id, ids.milliseconds(now)),
        ),
    )
    membership_status.follow(
        connection,
        target.tenant_id,
        [(_key(target.recipient), REASON)],
        scope=target.scope,
        now_ms=ids.milliseconds(now),
    )
    suppress_waiting(
        connection,
        target.tenant_id,
        target.recipient,
        reason=REASON,
        now=now,
        scope=target.scope,
    )


def resubscribe(connection: Connection, target: Target, *, now: datetime) -> bool:
    """Undo an unsubscription; False when there is none. Other suppressions stay as they are."""
    at = (target.tenant_id, target.scope, _key(target.recipient), REASON)
    row = connection.execute(
        "SELECT created_at FROM suppressions"
        " WHERE tenant_id = ? AND scope = ? AND key = ? AND reason = ?",
        at,
    ).fetchone()
    if row is None:
        return False
    membership_status.undo_unsubscription(
        connection,
        target.tenant_id,
        at[2],
        suppressed_at_ms=row[0],
        now_ms=ids.milliseconds(now),
    )
    if not target.scope:
        return suppressions.remove(connection, tenant_id=target.tenant_id, key=at[2], now=now)
    connection.execute(
        "DELETE FROM suppressions WHERE tenant_id = ? AND scope = ? AND key = ? AND reason = ?",
        at,
    )
    return True


def lookup(
    connection: Connection, tenant_id: int, scope: str, keys: Sequence[str]
) -> dict[str, str]:
    """Return key -> reason for those of the keys that get nothing of one list (not "")."""
    found: dict[str, str] = {}
    for chunk in chunks(keys):
        found.update(
            connection.execute(
                "SELECT key, reason FROM suppressions WHERE tenant_id = ? AND scope = ?"
                f" AND key IN ({marks(chunk)})",
                (tenant_id, scope, *chunk),
            )
        )
    return found


def keep_targets(connection: Connection, message_rows: Sequence[int]) -> None:
    """Keep who got those of the messages that can be unsubscribed from, before they are deleted."""
    for chunk in chunks(message_rows):
        connection.execute(
            "INSERT OR IGNORE INTO unsubscribe_targets (entry_id, tenant_id, recipient, scope)"
            " SELECT q.id, q.tenant_id, q.recipient, json_extract(m.unsubscribe, '$.scope')"
            " FROM entries q"
            " JOIN messages m ON m.id = q.message_id"
            f" WHERE m.unsubscribe IS NOT NULL AND m.id IN ({marks(chunk)})",
            chunk,
        )


def to_column(offer: UnsubscribeOffer | None) -> str | None:
    """Return an offer as messages.unsubscribe keeps it."""
    if offer is None:
        return None
    return json_text.encode(
        {"scope": offer.scope, "url": offer.url, "one_click": offer.is_one_click}
    ).decode()


def from_column(text: str | None) -> UnsubscribeOffer | None:
    """Return the offer in messages.unsubscribe."""
    if text is None:
        return None
    fields = cast("dict[str, str | bool]", json_text.decode(text))
    return UnsubscribeOffer(str(fields["scope"]), str(fields["url"]), bool(fields["one_click"]))


def _key(recipient: str) -> str:
    try:
        return parse_address(recipient).key
    except AddressError:  # a damaged row: still one address, spelled one way
        return recipient
