"""Figures of campaigns, from counters that grow with what happens.

What the journal tells is counted with the other statistics (stats.py), openings and clicks when
they are written down (tracking.py); so no answer looks through the emails. Not here: the mark up to
which the journal is counted.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields

from mta.core.campaign import Counts
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import events
from storage.campaigns import CampaignRecord
from storage.database import Connection
from storage.events import JournalEntry

MAX_LINKS = 1_000
"""Links that are counted apart; the others are counted together, as ""."""

_LOGGED = (*("opened", "clicked", "bounced", "expired", "reported", "complained", "unsubscribed"),)


@frozen
class CampaignTally:
    """What some events of the journal add.

    Attributes:
        counts: campaign, name, count.
        log: campaign, kind, seq.
    """

    counts: Sequence[tuple[int, str, int]] = ()
    log: Sequence[tuple[int, str, int]] = ()


NOTHING = CampaignTally()

_COUNTS = f"""
SELECT m.campaign,
    CASE WHEN e.kind = 'queued' AND json_extract({events.DATA}, '$.retried') THEN 'retried'
        ELSE e.kind END,
    COUNT(*)
FROM events e CROSS JOIN messages m ON m.id = e.message_id
WHERE e.seq > ? AND e.seq <= ? AND m.campaign IS NOT NULL
GROUP BY 1, 2
"""  # noqa: S608 - of constants
_LOG = f"""
SELECT m.campaign, e.kind, e.seq
FROM events e CROSS JOIN messages m ON m.id = e.message_id
WHERE e.seq > ? AND e.seq <= ? AND e.kind IN ({", ".join(f"'{kind}'" for kind in _LOGGED)})
    AND m.campaign IS NOT NULL
"""  # noqa: S608 - of constants


def tally(connection: Connection, start: int, end: int) -> CampaignTally:
    """Return what the events after `start` up to `end` (seqs) add."""
    if connection.execute("SELECT 1 FROM campaigns WHERE id > 0 LIMIT 1").fetchone() is None:
        return NOTHING
    return CampaignTally(
        connection.execute(_COUNTS, (start, end)).fetchall(),
        connection.execute(_LOG, (start, end)).fetchall(),
    )


_ADD = """
INSERT INTO campaign_counts (campaign_id, name, count) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count
"""


def record(connection: Connection, tallied: CampaignTally) -> None:
    """Add to the counters."""
    connection.executemany(_ADD, tallied.counts)
    connection.executemany("INSERT OR IGNORE INTO campaign_log VALUES (?, ?, ?)", tallied.log)


@frozen
class CampaignHits:
    """Openings of one email, or clicks at one of its links.

    Attributes:
        campaign: row number.
        url: "" for openings.
        count: how many.
        is_person: whether a person did it, as far as can be told.
        is_first: the recipient had not opened, or not clicked at anything, before.
        is_first_of_link: the recipient had not clicked at this before.
    """

    campaign: int
    url: str
    count: int
    is_person: bool
    is_first: bool
    is_first_of_link: bool = False


_ADD_LINK = """
UPDATE campaign_links SET clicks = clicks + ?3, clickers = clickers + ?4
WHERE campaign_id = ?1 AND url = ?2
"""


def add_hits(connection: Connection, hits: Iterable[CampaignHits]) -> None:
    """Count openings and clicks."""
    named: Counter[tuple[int, str]] = Counter()
    links: Counter[tuple[int, str]] = Counter()
    clickers: Counter[tuple[int, str]] = Counter()
    for hit in hits:
        if not hit.is_person:
            named[hit.campaign, "machine_clicks" if hit.url else "machine_opens"] += hit.count
            continue
        named[hit.campaign, "clicks" if hit.url else "opens"] += hit.count
        named[hit.campaign, "clickers" if hit.url else "openers"] += hit.is_first
        if hit.url:
            links[hit.campaign, hit.url] += hit.count
            clickers[hit.campaign, hit.url] += hit.is_first_of_link
    connection.executemany(_ADD, [(*key, count) for key, count in named.items()])
    for (campaign, url), count in links.items():
        _add_link(connection, campaign, url, count, clickers[campaign, url])


def _add_link(connection: Connection, campaign: int, url: str, clicks: int, clickers: int) -> None:
    if connection.execute(_ADD_LINK, (campaign, url, clicks, clickers)).rowcount:
        return
    [(known,)] = connection.execute(
        "SELECT COUNT(*) FROM campaign_links WHERE campaign_id = ?", (campaign,)
    ).fetchall()
    connection.execute(
        "INSERT INTO campaign_links VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " clicks = clicks + excluded.clicks, clickers = clickers + excluded.clickers",
        (campaign, url if known < MAX_LINKS else "", clicks, clickers),
    )


@frozen
class Reading:
    """What readers of a campaign did.

    Attributes:
        opens, openers: by persons: how often, and how many persons.
        machine_opens: by mail programs and filters.
        clicks, clickers: by persons.
        machine_clicks: by filters that look where links lead.
    """

    opens: int = 0
    openers: int = 0
    machine_opens: int = 0
    clicks: int = 0
    clickers: int = 0
    machine_clicks: int = 0


def counts(connection: Connection, campaign: CampaignRecord) -> tuple[Counts, Reading]:
    """Return the figures of a campaign as far as they are counted."""
    found = dict(
        connection.execute(
            "SELECT name, count FROM campaign_counts WHERE campaign_id = ?", (campaign.row,)
        ).fetchall()
    )
    ends = {
        kind: found.get(kind.value, 0)
        for kind in (
            *(EventKind.DELIVERED, EventKind.BOUNCED, EventKind.EXPIRED),
            *(EventKind.CANCELED, EventKind.SUPPRESSED),
        )
    }
    delivered, failed = ends[EventKind.DELIVERED], ends[EventKind.EXPIRED]
    reading = Reading(*(found.get(one.name, 0) for one in fields(Reading)))
    return (
        Counts(
            queued=max(0, campaign.accepted + found.get("retried", 0) - sum(ends.values())),
            sent=delivered + failed + ends[EventKind.BOUNCED],
            delivered=delivered,
            bounced=ends[EventKind.BOUNCED] + found.get("reported", 0),
            failed=failed,
            complained=found.get("complained", 0),
            unsubscribed=found.get("unsubscribed", 0),
            suppressed=ends[EventKind.SUPPRESSED],
            canceled=ends[EventKind.CANCELED],
            skipped=campaign.skipped,
        ),
        reading,
    )


def links(connection: Connection, campaign_row: int) -> list[tuple[str, int, int]]:
    """Return url, clicks and clickers of each link, those clicked at most first."""
    return connection.execute(
        "SELECT url, clicks, clickers FROM campaign_links WHERE campaign_id = ?"
        " ORDER BY clicks DESC, url",
        (campaign_row,),
    ).fetchall()


def log(
    connection: Connection,
    campaign_row: int,
    kinds: Sequence[EventKind],
    *,
    after: int,
    limit: int,
) -> list[JournalEntry]:
    """Return events of these kinds, oldest first, as far as they are counted and still kept.

    Args:
        connection: any.
        campaign_row: whose.
        kinds: which.
        after: seq of the last event already read, 0 at the start.
        limit: at most so many.
    """
    found = [_seqs(connection, campaign_row, kind, after, limit) for kind in kinds]
    seqs = list(heapq.merge(*found))[:limit]
    return events.by_seqs(connection, seqs)


def _seqs(
    connection: Connection, campaign_row: int, kind: EventKind, after: int, limit: int
) -> list[int]:
    rows = connection.execute(
        "SELECT l.seq FROM campaign_log l CROSS JOIN events e ON e.seq = l.seq"
        " WHERE l.campaign_id = ? AND l.kind = ? AND l.seq > ? ORDER BY l.seq LIMIT ?",
        (campaign_row, kind.value, after, limit),
    )
    return [seq for (seq,) in rows]


def log_size(connection: Connection, campaign_row: int, kinds: Sequence[EventKind]) -> int:
    """Return how many events the log of these kinds has had."""
    return sum(
        connection.execute(
            "SELECT COALESCE(SUM(count), 0) FROM campaign_counts"
            " WHERE campaign_id = ? AND name = ?",
            (campaign_row, kind.value),
        ).fetchone()[0]
        for kind in kinds
    )
