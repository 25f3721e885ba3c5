"""Looks at the DNS records of domains: which are due, and what each one changes.

The decisions are core/domain_standing.py's. Not here: the looking (mta/domain_verification.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from mta.core import ids
from mta.core.domain_records import KeyState
from mta.core.domain_standing import Standing, after_look, next_look
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from storage import dkim_rotation, domains, events, return_hosts
from storage.database import Connection
from storage.domains import DkimKeyRecord, DomainRecord


@frozen
class CheckRules:
    """How often to look, and for how long.

    Attributes:
        interval: between two looks at a domain of which nothing is expected.
        key_life: how long the record of a retired DKIM key stays published.
    """

    interval: timedelta
    key_life: timedelta


@frozen
class Look:
    """What a look has found.

    Attributes:
        keys: the domain's keys that it was about; when they are others by now, it proves nothing.
        report: what is kept of it (core.domain_report).
        is_verified: all that is required is right; None: the DNS did not answer.
        is_next_seen: every DNS server has every key that is to be used next.
    """

    keys: tuple[DkimKeyRecord, ...]
    report: Mapping[str, JsonValue]
    is_verified: bool | None
    is_next_seen: bool = False


@frozen
class Concluded:
    """What a look has changed.

    Attributes:
        domain: as it is now.
        event: what was written into the journal, if anything.
        is_switched: mail is signed with new keys from now on.
        forgotten: retired keys that are no longer needed; their files may go.
    """

    domain: DomainRecord
    event: EventKind | None
    is_switched: bool
    forgotten: tuple[DkimKeyRecord, ...]


def due(connection: Connection, now: datetime, *, limit: int) -> list[str]:
    """Return the ids ("dom_...") of the domains to look at now, the longest due first."""
    rows = connection.execute(
        "SELECT id FROM domains WHERE next_check_at <= ? ORDER BY next_check_at LIMIT ?",
        (ids.milliseconds(now), limit),
    )
    return [domain_id for (domain_id,) in rows]


def next_due(connection: Connection) -> datetime | None:
    """Return when the next look is due (may be past); None: there are no domains."""
    row = connection.execute("SELECT MIN(next_check_at) FROM domains").fetchone()
    return None if row[0] is None else ids.moment(row[0])


def put_off(connection: Connection, domain_id: str, *, until: datetime) -> None:
    """Have the next look at a domain wait until then (a write)."""
    connection.execute(
        "UPDATE domains SET next_check_at = ? WHERE id = ?", (ids.milliseconds(until), domain_id)
    )


def conclude(
    connection: Connection, domain_id: str, look: Look, *, rules: CheckRules, now: datetime
) -> Concluded | None:
    """Write down a look and what follows from it; None when the domain is gone."""
    domain = domains.get_domain(connection, None, domain_id)
    if domain is None:
        return None
    is_current = look.keys == domain.keys
    standing, event = after_look(
        domain.standing, is_verified=look.is_verified if is_current else None, now=now
    )
    is_switched = is_current and look.is_next_seen and bool(domain.keys_in(KeyState.NEXT))
    if is_switched:
        dkim_rotation.switch(connection, domain, now)
    forgotten = dkim_rotation.forget_retired(connection, domain.id, now - rules.key_life)
    is_rotating = not is_switched and bool(domain.keys_in(KeyState.NEXT))
    due_at = next_look(standing, is_rotating=is_rotating, interval=rules.interval, now=now)
    _store(connection, domain.id, standing, look, due_at)
    _note_return_host(connection, domain, look)
    if event is not None:
        _tell(connection, domain, standing, look, event)
    changed = domains.get_domain(connection, None, domain.id)
    return Concluded(changed or domain, event, is_switched, forgotten)


def _store(
    connection: Connection, domain_id: str, standing: Standing, look: Look, due_at: datetime
) -> None:
    times = (standing.checked_at, standing.verified_at, standing.failed_at)
    connection.execute(
        "UPDATE domains SET checked_at = ?, verified_at = ?, failed_at = ?, failures = ?,"
        " report = ?, next_check_at = ? WHERE id = ?",
        (
            *(None if at is None else ids.milliseconds(at) for at in times),
            standing.failures,
            events.json_data(look.report),
            ids.milliseconds(due_at),
            domain_id,
        ),
    )


def _note_return_host(connection: Connection, domain: DomainRecord, look: Look) -> None:
    if return_hosts.note(
        connection,
        tenant_id=domain.tenant_id,
        domain=domain.name,
        host=domain.return_path,
        report=look.report,
    ):
        domains.keys_changed(connection, domain.name)


def _tell(
    connection: Connection, domain: DomainRecord, standing: Standing, look: Look, kind: EventKind
) -> None:
    """Write the event into the journal, with the status of each record; notes are left out."""
    told = ("record", "type", "name", "value", "status", "advice")
    records = cast("list[dict[str, JsonValue]]", look.report.get("records", []))
    data: dict[str, JsonValue] = {
        "id": domain.id,
        "name": domain.name,
        "status": standing.status.value,
        "records": [{name: record[name] for name in told} for record in records if record["value"]],
    }
    row = (
        events.NO_ROW,
        events.NO_ROW,
        domain.tenant_id,
        kind.value,
        ids.milliseconds(cast("datetime", standing.checked_at)),
        events.json_data(data),
    )
    events.append(connection, [row])
