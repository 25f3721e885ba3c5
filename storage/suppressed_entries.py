"""What waits for an address when it becomes suppressed: it is not sent any more.

Accepting mail looks addresses up (submissions.py); this is for mail that was accepted before. What
the engine has in memory at that moment may still go out. Not here: adding the suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.event import EventKind
from storage import events, suppressions, tallies
from storage.database import Connection
from storage.entries import EntryState
from storage.suppressions import NewSuppression
from storage.tallies import Tally

_SUPPRESS = """
UPDATE entries SET state = 14, why = '', reply = ?
WHERE tenant_id = ? AND recipient = ? AND state IN (0, 2)
RETURNING id, message_id
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
    connection: Connection, tenant_id: int, address: str, *, reason: str, now: datetime
) -> int:
    """Settle the waiting and held entries of a tenant to an address as suppressed; return how many.

    Args:
        connection: of a write.
        tenant_id: whose mail.
        address: as text, spelled as in the entries.
        reason: of the suppression.
        now: aware, UTC.
    """
    rows = connection.execute(_SUPPRESS, (reason, tenant_id, address)).fetchall()
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
    return len(rows)
