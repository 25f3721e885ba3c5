"""Opens and clicks as they are counted: one row for each recipient, one event for each first.

A thousand openings of one mail are one update: hits are counted together before they come here
(control_api/tracking.py). The journal gets the first opening and the first click of each link by a
person, and the first by a machine, marked as such; further ones only count.
Not here: tokens (mta/core/tracking.py) and who is a machine (mta/core/tracking_agents.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import cast

from mta.core import ids, json_text
from mta.core.address import AddressError, parse_address
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.tracking import Places
from mta.core.tracking_agents import Machine, machine_of
from storage import campaign_counts, contacts, events
from storage.campaign_counts import CampaignHits
from storage.database import Connection
from storage.sql import chunks, marks


@frozen
class CountedHit:
    """Hits of one recipient on one target from one kind of program.

    Attributes:
        tenant_id, entry_id: whose; entries of other tenants, or that are gone, are not counted.
        target: the address clicked at; "" for openings.
        agent: User-Agent of the first.
        method: of the first.
        address: IP address of the first.
        at: time of the first (aware, UTC).
        count: how many.
    """

    tenant_id: int
    entry_id: int
    target: str
    agent: str
    method: str
    address: str
    at: datetime
    count: int


@frozen
class Engagement:
    """What a recipient did; times are aware (UTC), None when it never happened."""

    opens: int = 0
    clicks: int = 0
    machine_opens: int = 0
    machine_clicks: int = 0
    first_opened_at: datetime | None = None
    last_opened_at: datetime | None = None
    first_clicked_at: datetime | None = None
    last_clicked_at: datetime | None = None


@frozen
class _Entry:
    """Whom a hit is from, and of what.

    delivered_ms is when the mail was delivered; None: not, or not any more known. campaign is the
    row number of the campaign that it is of; None: of none.
    """

    message_id: int
    tenant_id: int
    recipient: str
    campaign: int | None
    delivered_ms: int | None


_ENTRIES = """
SELECT q.id, q.message_id, q.tenant_id, q.recipient, (
    SELECT campaign FROM messages m WHERE m.id = q.message_id
), (
    SELECT MAX(at) FROM events e WHERE e.message_id = q.message_id AND e.entry_id = q.id
    AND e.kind = 'delivered'
)
FROM entries q WHERE q.id IN ({})
"""

_COUNT = """
INSERT INTO engagement (
    entry_id, message_id, tenant_id, opens, clicks, machine_opens, machine_clicks,
    first_opened_at, last_opened_at, first_clicked_at, last_clicked_at
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?9)
ON CONFLICT (entry_id) DO UPDATE SET
    opens = opens + ?4, clicks = clicks + ?5,
    machine_opens = machine_opens + ?6, machine_clicks = machine_clicks + ?7,
    first_opened_at = COALESCE(first_opened_at, ?8), last_opened_at = COALESCE(?8, last_opened_at),
    first_clicked_at = COALESCE(first_clicked_at, ?9),
    last_clicked_at = COALESCE(?9, last_clicked_at)
RETURNING opens - ?4, clicks - ?5, machine_opens - ?6, machine_clicks - ?7
"""

_COUNT_LINK = """
INSERT INTO link_clicks (entry_id, url, clicks, first_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (entry_id, url) DO UPDATE SET clicks = clicks + ?3
RETURNING clicks - ?3
"""


def record(connection: Connection, hits: Sequence[CountedHit]) -> int:
    """Count hits and write events of the first ones; return how many events were written."""
    known: dict[int, _Entry] = {}
    for chunk in chunks(sorted({hit.entry_id for hit in hits})):
        for entry_id, *rest in connection.execute(_ENTRIES.format(marks(chunk)), chunk):
            known[entry_id] = _Entry(*rest)
    journal: list[events.EventRow] = []
    campaigns: list[CampaignHits] = []
    for hit in hits:
        found = known.get(hit.entry_id)
        if found is not None and found.tenant_id == hit.tenant_id:
            told, of_campaign = _count(connection, hit, found)
            journal += told
            campaigns += of_campaign
    events.append(connection, journal)
    campaign_counts.add_hits(connection, campaigns)
    return len(journal)


def _count(
    connection: Connection, hit: CountedHit, entry: _Entry
) -> tuple[list[events.EventRow], list[CampaignHits]]:
    """Add one hit; return the event that it is worth, if any, and what its campaign counts."""
    delivered_ms = entry.delivered_ms
    since = None if delivered_ms is None else hit.at - ids.moment(delivered_ms)
    machine = machine_of(hit.agent, hit.method, since)
    person, at_ms = machine.is_person, ids.milliseconds(hit.at)
    opened, clicked = (0, hit.count) if hit.target else (hit.count, 0)
    row = connection.execute(
        _COUNT,
        (
            *(hit.entry_id, entry.message_id, hit.tenant_id),
            *((opened, clicked, 0, 0) if person else (0, 0, opened, clicked)),
            at_ms if person and opened else None,
            at_ms if person and clicked else None,
        ),
    ).fetchall()[0]
    opens_before, clicks_before, machine_opens_before, machine_clicks_before = row
    if not person:
        before = machine_clicks_before if clicked else machine_opens_before
    elif clicked:
        link = (hit.entry_id, hit.target, clicked, at_ms)
        before = connection.execute(_COUNT_LINK, link).fetchall()[0][0]
    else:
        before = opens_before
    counted: list[CampaignHits] = []
    if entry.campaign is not None:
        is_first = not (clicks_before if clicked else opens_before)
        counted = [
            CampaignHits(entry.campaign, hit.target, hit.count, person, is_first, not before)
        ]
    if before:
        return [], counted
    if person:
        _note_contact(connection, hit, entry.recipient, at_ms)
    kind = EventKind.CLICKED if clicked else EventKind.OPENED
    data = events.json_data(_details(hit, machine))
    return [(entry.message_id, hit.entry_id, hit.tenant_id, kind.value, at_ms, data)], counted


def _note_contact(connection: Connection, hit: CountedHit, recipient: str, at_ms: int) -> None:
    """Let the contact with the recipient's address know, if there is one."""
    try:
        key = parse_address(recipient).key
    except AddressError:  # a damaged row: nobody's contact
        return
    contacts.note_engagement(
        connection, hit.tenant_id, key, has_clicked=bool(hit.target), at_ms=at_ms
    )


def _details(hit: CountedHit, machine: Machine) -> Mapping[str, JsonValue]:
    details: dict[str, JsonValue] = {
        "url": hit.target,
        "user_agent": hit.agent[:512],
        "ip": hit.address,
        "machine": machine.value,
    }
    return {name: value for name, value in details.items() if value}


def of_message(connection: Connection, message_row: int) -> dict[int | None, Engagement]:
    """Return row id of the entry -> what its recipient did, for those who did anything."""
    rows = connection.execute(
        "SELECT entry_id, opens, clicks, machine_opens, machine_clicks, first_opened_at,"
        " last_opened_at, first_clicked_at, last_clicked_at FROM engagement WHERE message_id = ?",
        (message_row,),
    )
    return {
        row[0]: Engagement(*row[1:5], *(None if at is None else ids.moment(at) for at in row[5:]))
        for row in rows
    }


_COUNTS = """
SELECT message_id, SUM(opens), SUM(clicks) FROM engagement
WHERE message_id IN ({}) GROUP BY message_id
"""


def counts(connection: Connection, message_rows: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Return row id of a message -> opens and clicks by people, for messages that have any."""
    found: dict[int, tuple[int, int]] = {}
    for some in chunks(message_rows):
        rows = connection.execute(_COUNTS.format(marks(some)), some)
        found.update({row: (opens, clicks) for row, opens, clicks in rows})
    return found


def forget(connection: Connection, message_rows: Sequence[int]) -> None:
    """Delete what is known of the recipients of messages that are about to be deleted."""
    rows = [(row,) for row in message_rows]
    connection.executemany(
        "DELETE FROM link_clicks WHERE entry_id IN"
        " (SELECT entry_id FROM engagement WHERE message_id = ?)",
        rows,
    )
    connection.executemany("DELETE FROM engagement WHERE message_id = ?", rows)


def to_column(places: Places | None) -> str | None:
    """Return places as messages.tracking keeps them."""
    if places is None:
        return None
    return json_text.encode({"nonce": places.nonce, "targets": list(places.targets)}).decode()


def from_column(text: str | None) -> Places | None:
    """Return the places in messages.tracking."""
    return None if text is None else _places(text)


@lru_cache(maxsize=16)
def _places(text: str) -> Places:
    """Read the places of a message; those of a campaign are the same in all its messages."""
    fields = cast("dict[str, object]", json_text.decode(text))
    return Places(str(fields["nonce"]), tuple(cast("list[str]", fields["targets"])))
