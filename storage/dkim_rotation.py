"""From one set of DKIM keys to the next: published first, used later, forgotten last.

Next keys are added, become the active ones when every DNS server has been seen to have them, and
the keys before them are retired: kept in the DNS for mail under way, then removed.

Not here: when each step is due (domain_checks.py), and the files of the private keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mta.core import ids
from mta.core.domain_records import KeyState
from storage import domains
from storage.database import Connection
from storage.domains import DkimKeyRecord, DomainRecord


def begin(
    connection: Connection, domain_id: str, keys: Sequence[DkimKeyRecord], now: datetime
) -> None:
    """Add the keys to be used next, and have the DNS looked at soon."""
    following = [replace(key, state=KeyState.NEXT) for key in keys]
    domains.insert_keys(connection, domain_id, following, now)
    connection.execute(
        "UPDATE domains SET next_check_at = ? WHERE id = ?", (ids.milliseconds(now), domain_id)
    )


def switch(connection: Connection, domain: DomainRecord, now: datetime) -> None:
    """Sign with the next keys from now on, and retire the active ones."""
    for before, after in ((KeyState.ACTIVE, KeyState.RETIRED), (KeyState.NEXT, KeyState.ACTIVE)):
        connection.execute(
            "UPDATE dkim_keys SET state = ?, since = ? WHERE domain_id = ? AND state = ?",
            (after.value, ids.milliseconds(now), domain.id, before.value),
        )
    domains.keys_changed(connection, domain.name)


def forget_retired(
    connection: Connection, domain_id: str, before: datetime
) -> tuple[DkimKeyRecord, ...]:
    """Remove the keys that were retired before a time; return them: their files may go."""
    rows = connection.execute(
        "DELETE FROM dkim_keys WHERE domain_id = ? AND state = ? AND since < ?"
        " RETURNING selector, algorithm, key_file, public_key",
        (domain_id, KeyState.RETIRED.value, ids.milliseconds(before)),
    ).fetchall()
    return tuple(
        DkimKeyRecord(selector, algorithm, file, public_key, KeyState.RETIRED)
        for selector, algorithm, file, public_key in rows
    )
