"""What waits for an address when it becomes suppressed, or leaves a list: it is not sent any more.

Accepting mail looks addresses up (submissions.py); this is for mail that was accepted before. What
the engine has claimed is called back, and suppressed when it would wait again; only what is being
tried at that moment may still arrive. Not here: adding the suppression.
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.address import AddressError, parse_address
from mta.core.event import EventKind
from storage import directives, events, quotas, suppressions, tallies
from storage.database import Connection
from storage.entries import EntryState
from storage.sql import given
from storage.suppressions import NewSuppression
from storage.tallies import Tally

_SCOPE = """(
    SELECT COALESCE(json_extract(m.unsubscribe, '$.scope'), '') FROM messages m
    WHERE m.id = entries.message_id
)"""
_MEANT = f"tenant_id = ?2 AND recipient = ?3 AND (?4 = '' OR ?4 = {_SCOPE})"
_SUPPRESS = f"""
UPDATE entries SET state = 14, why = '', reply = ?1 WHERE {_MEANT} AND state IN (0, 2)
RETURNING id, message_id
"""
_CALL_BACK = f"""
UPDATE entries SET wish = 14, wished_at = ?1
WHERE {_MEANT} AND state = 1 AND wish IS DISTINCT FROM 13
RETURNING id
"""
_RETURNED = f"""
UPDATE entries SET wish = NULL WHERE id IN (SELECT value FROM json_each(?)) AND state IN (0, 2)
RETURNING tenant_id, recipient, {_SCOPE}
"""


def add_and_settle(
    connection: Connection,
    tenant_id: int,
    new: Sequence[NewSuppression],
    *,
    now: datetime,
    is_told: bool = True,
) -> list[NewSuppression]:
    """Suppress addresses, and what waits for them; arguments and answer as of suppressions.add_all.

    An address costs one look at the index of recipients.
    """
    added = suppressions.add_all(connection, tenant_id, new, now=now, is_told=is_told)
    for one in added:
        suppress_waiting(connection, tenant_id, one.address, reason=one.reason, now=now)
    return added


def suppress_waiting(
    connection: Connection,
    tenant_id: int,
    address: str,
    *,
    reason: str,
    now: datetime,
    scope: str = "",
) -> int:
    """Settle the waiting and held entries of a tenant to an address as suppressed; return how many.

    Those that are claimed are called back.

    Args:
        connection: of a write.
        tenant_id: whose mail.
        address: as text, spelled as in the entries.
        reason: of the suppression.
        now: aware, UTC.
        scope: only what was sent to this list; "" is all.
    """
    rows = connection.execute(_SUPPRESS, (reason, tenant_id, address, scope)).fetchall()
    at_ms, data = ids.milliseconds(now), events.json_data({"reason": reason})
    kind, label = EventKind.SUPPRESSED.value, EntryState.SUPPRESSED.label
    counted: dict[int, Tally] = {}
    for _, message_row in rows:
        counted.setdefault(message_row, Tally(at_ms, status=label)).finals += 1
    events.append(
        connection,
        [(message_row, entry, tenant_id, kind, at_ms, data) for entry, message_row in rows],
    )
    tallies.apply(connection, counted)
    quotas.give_back(connection, [(entry, tenant_id) for entry, _ in rows])
    for (entry,) in connection.execute(_CALL_BACK, (at_ms, tenant_id, address, scope)).fetchall():
        directives.record(connection, directives.SUPPRESSED, str(entry))
    return len(rows)


def suppress_returned(connection: Connection, entries: Sequence[int], *, now: datetime) -> None:
    """Suppress entries (row ids) that wait again after they were called back.

    One whose address is not suppressed any more goes on waiting.
    """
    if not entries:
        return
    returned = connection.execute(_RETURNED, (given(list(entries)),)).fetchall()
    for tenant_id, address, list_ in sorted(set(returned)):
        key = key_of(address)
        for scope in dict.fromkeys(("", list_)):
            reason = suppressions.lookup(connection, tenant_id, [key], now, scope=scope).get(key)
            if reason is not None:
                suppress_waiting(
                    connection, tenant_id, address, reason=reason, now=now, scope=scope
                )


def key_of(recipient: str) -> str:
    """Return the suppression key of the recipient of an entry."""
    try:
        return parse_address(recipient).key
    except AddressError:  # a damaged row: still one address, spelled one way
        return recipient
