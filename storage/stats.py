"""Statistics: counters that follow the journal, and what is asked of them.

Each event is counted once, after it was committed: catch_up() reads those that came since the last
time, some thousand in one query, and adds what they sum up to in one transaction that also moves
the mark. So accepting and settling mail pay nothing, whatever kinds of events there are or will be,
and no answer ever reads the history. Not here: when to count (mta/maintenance.py, and whoever is
asked for figures that should be fresh).
"""
# ruff: noqa: S608 - SQL is put together from constants of this module

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from mta.core import ids
from mta.core.frozen import frozen
from mta.core.provider import provider_of
from mta.core.reputation import Fared
from storage import campaign_counts, events
from storage.campaign_counts import NOTHING, CampaignTally
from storage.database import Connection, Database

STEP = 5000
"""Events counted in one go: some 20 ms of a reader, 5 ms of the writer."""
HOUR_MS = 3_600_000
_MARK = "statistics"


@frozen
class Tallied:
    """What the events after `start` up to `end` (seqs) sum up to.

    Attributes:
        by_domain: tenant, kind, hour, domain, host, class, count.
        by_tag: tenant, kind, hour, name, value, class, count.
        by_sender: tenant, kind, hour, sender domain ("" for mail to the sandbox, which tells
            nothing of it), campaign or None, when that was made (ms) or None, class, count.
        campaigns: what they add to campaigns.
    """

    start: int
    end: int
    by_domain: Sequence[tuple[int, str, int, str, str, str, int]]
    by_tag: Sequence[tuple[int, str, int, str, str, str, int]]
    by_sender: Sequence[tuple[int, str, int, str, int | None, int | None, str, int]] = ()
    campaigns: CampaignTally = NOTHING


async def catch_up(database: Database) -> None:
    """Count the events that are committed by now; those that come meanwhile may be left.

    Raises:
        StorageError: the file cannot be read or written; what is counted stays counted.
    """
    size = STEP
    while size == STEP:
        tallied = await database.read(tally)
        size = tallied.end - tallied.start
        if size:
            await database.write(partial(record, tallied=tallied))


_CLASS = f"COALESCE(json_extract({events.DATA}, '$.class'), '')"

_BY_DOMAIN = f"""
SELECT e.tenant_id, e.kind, e.at / {HOUR_MS}, COALESCE(q.domain, ''),
    COALESCE(json_extract({events.DATA}, '$.host'), ''), {_CLASS}, COUNT(*)
FROM events e LEFT JOIN entries q ON q.id = e.entry_id
WHERE e.seq > ? AND e.seq <= ?
GROUP BY 1, 2, 3, 4, 5, 6
"""

_BY_TAG = f"""
SELECT e.tenant_id, e.kind, e.at / {HOUR_MS}, json_extract(t.value, '$[0]'),
    json_extract(t.value, '$[1]'), {_CLASS}, COUNT(DISTINCT e.seq)
FROM events e JOIN messages m ON m.id = e.message_id,
    json_each(CASE WHEN json_valid(m.tags) THEN m.tags ELSE '[]' END) t
WHERE e.seq > ? AND e.seq <= ? AND m.tags <> '[]'
GROUP BY 1, 2, 3, 4, 5, 6
"""


_BY_SENDER = f"""
SELECT e.tenant_id, e.kind, e.at / {HOUR_MS}, CASE WHEN m.is_test THEN '' ELSE m.sender_domain END,
    m.campaign, c.created_at, {_CLASS}, COUNT(*)
FROM events e JOIN messages m ON m.id = e.message_id LEFT JOIN campaigns c ON c.id = m.campaign
WHERE e.seq > ? AND e.seq <= ?
GROUP BY 1, 2, 3, 4, 5, 7
"""


def tally(connection: Connection) -> Tallied:
    """Return what the next STEP events sum up to; start and end are equal when there are none."""
    start = _mark(connection)
    end = min(events.last_seq(connection), start + STEP)
    if end <= start:
        return Tallied(start, start, (), ())
    by_domain = connection.execute(_BY_DOMAIN, (start, end)).fetchall()
    by_tag = connection.execute(_BY_TAG, (start, end)).fetchall()
    by_sender = connection.execute(_BY_SENDER, (start, end)).fetchall()
    campaigns = campaign_counts.tally(connection, start, end)
    return Tallied(start, end, by_domain, by_tag, by_sender, campaigns)


_ADD = """
INSERT INTO {} VALUES ({}) ON CONFLICT DO UPDATE SET count = count + excluded.count
"""
_ADD_BY_HOUR = _ADD.format("stats_by_hour", "?, ?, ?, ?, ?")
_ADD_BY_DOMAIN = _ADD.format("stats_by_domain", "?, ?, ?, ?, ?, ?, ?")
_ADD_BY_TAG = _ADD.format("stats_by_tag", "?, ?, ?, ?, ?, ?, ?")
_ADD_BY_SENDER = _ADD.format("stats_by_sender", "?, ?, ?, ?, ?")
_ADD_BY_CAMPAIGN = _ADD.format("stats_by_campaign", "?, ?, ?, ?, ?, ?")
_ADD_BY_PROVIDER = _ADD.format("stats_by_provider", "?, ?, ?, ?, ?, ?")
_ADD_TO_TOTALS = _ADD.format("stats_totals", "?, ?, ?, ?")


def record(connection: Connection, tallied: Tallied) -> None:
    """Add to the counters and move the mark; nothing when somebody else has done that already."""
    if _mark(connection) != tallied.start:
        return
    by_hour: Counter[tuple[int, str, int, str]] = Counter()
    by_provider: Counter[tuple[int, str, int, str, str]] = Counter()
    totals: Counter[tuple[str, str, str]] = Counter()
    for tenant_id, kind, hour, _, host, bounce_class, count in tallied.by_domain:
        provider = provider_of(host)
        by_hour[tenant_id, kind, hour, bounce_class] += count
        totals[kind, bounce_class, provider] += count
        if provider:
            by_provider[tenant_id, kind, hour, provider, bounce_class] += count
    connection.executemany(_ADD_BY_HOUR, [(*key, count) for key, count in by_hour.items()])
    connection.executemany(_ADD_BY_DOMAIN, tallied.by_domain)
    connection.executemany(_ADD_BY_TAG, tallied.by_tag)
    connection.executemany(_ADD_BY_PROVIDER, [(*key, count) for key, count in by_provider.items()])
    _record_by_sender(connection, tallied)
    connection.executemany(_ADD_TO_TOTALS, [(*key, count) for key, count in totals.items()])
    campaign_counts.record(connection, tallied.campaigns)
    connection.execute(
        "INSERT INTO counters (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_MARK, tallied.end),
    )


def _record_by_sender(connection: Connection, tallied: Tallied) -> None:
    """Add to the counters of sender domains and of campaigns that are still there."""
    senders: Counter[tuple[int, str, int, str]] = Counter()
    campaigns: Counter[tuple[int, str, int, str, str]] = Counter()
    for tenant_id, kind, hour, sender, campaign, made_at, bounce_class, count in tallied.by_sender:
        if sender:
            senders[tenant_id, kind, hour, sender] += count
        if campaign is not None and made_at is not None:
            name = ids.numbered_id("cmp", made_at, campaign)
            campaigns[tenant_id, kind, hour, name, bounce_class] += count
    connection.executemany(_ADD_BY_SENDER, [(*key, count) for key, count in senders.items()])
    connection.executemany(_ADD_BY_CAMPAIGN, [(*key, count) for key, count in campaigns.items()])


def _mark(connection: Connection) -> int:
    """Return the seq of the last event counted."""
    row = connection.execute("SELECT value FROM counters WHERE name = ?", (_MARK,)).fetchone()
    return int(row[0]) if row else 0


class Group(enum.Enum):
    """By what counts are set apart."""

    DOMAIN = "domain"
    TAG = "tag"
    MX = "mx"
    CAMPAIGN = "campaign"
    PROVIDER = "provider"


@frozen
class Scope:
    """Which events of a tenant are meant.

    Attributes:
        since, until: at or after, and before (aware); whole hours are counted.
        domain: to this recipient domain, A-label; "" is all.
        tag: of messages with this tag, (name, value); None is all.
        campaign: of a campaign, "cmp_..."; "" is all. Of domain, tag and campaign one at most.
    """

    tenant_id: int
    since: datetime
    until: datetime
    domain: str = ""
    tag: tuple[str, str] | None = None
    campaign: str = ""


@frozen
class Total:
    """How many events of a kind and class there were."""

    kind: str
    bounce_class: str
    count: int


def totals(connection: Connection, scope: Scope, kinds: Sequence[str]) -> list[Total]:
    """Return the counts of these kinds, by kind and class."""
    table, where, values = _source(scope)
    found: list[Total] = []
    for kind in kinds:
        rows = connection.execute(
            f"SELECT class, SUM(count) FROM {table} WHERE {where} GROUP BY class",
            (scope.tenant_id, kind, *values),
        )
        found += [Total(kind, bounce_class, count) for bounce_class, count in rows]
    return found


def timeseries(
    connection: Connection, scope: Scope, kind: str, *, hours: int
) -> dict[datetime, int]:
    """Return the counts of a kind in spans of so many hours, by their beginning; none is absent."""
    table, where, values = _source(scope)
    return _spans(connection, table, where, (scope.tenant_id, kind, *values), hours)


_GROUPS = {
    Group.DOMAIN: ("stats_by_domain", "domain"),
    Group.MX: ("stats_by_domain", "host"),
    Group.TAG: ("stats_by_tag", "name || '=' || value"),
    Group.CAMPAIGN: ("stats_by_campaign", "campaign"),
    Group.PROVIDER: ("stats_by_provider", "provider"),
}


def may_group(scope: Scope, group: Group) -> bool:
    """Tell whether what a scope means is counted by such groups."""
    is_wide = not (scope.domain or scope.tag or scope.campaign)
    return is_wide or _GROUPS[group][0] == _source(scope)[0]


def top(
    connection: Connection, scope: Scope, kind: str, group: Group, *, limit: int
) -> list[tuple[str, int]]:
    """Return the groups with the most events of a kind, and how many; a tag is "name=value"."""
    table, name = _GROUPS[group]
    _, where, values = _source(scope, table)
    return connection.execute(
        f"SELECT {name}, SUM(count) FROM {table} WHERE {where}"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ?",
        (scope.tenant_id, kind, *values, limit),
    ).fetchall()


def timeseries_of(
    connection: Connection, scope: Scope, kind: str, group: tuple[Group, str], *, hours: int
) -> dict[datetime, int]:
    """Return what timeseries() does, for one group that top() has named."""
    table, name = _GROUPS[group[0]]
    _, where, values = _source(scope, table)
    parameters = (scope.tenant_id, kind, *values, group[1])
    return _spans(connection, table, f"{where} AND {name} = ?", parameters, hours)


def fared(connection: Connection, tenant_id: int, sender: str, *, since: datetime) -> Fared:
    """Return what became of mail from a sender domain (A-label) since an hour."""
    counts = dict(
        connection.execute(
            "SELECT kind, SUM(count) FROM stats_by_sender"
            " WHERE tenant_id = ? AND domain = ? AND hour >= ? GROUP BY kind",
            (tenant_id, sender, ids.milliseconds(since) // HOUR_MS),
        )
    )
    names = ("delivered", "bounced", "expired", "reported", "complained")
    return Fared(*(counts.get(name, 0) for name in names))


def all_totals(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Return kind, class, provider and count of all tenants' events since the beginning."""
    return connection.execute(
        "SELECT kind, class, provider, count FROM stats_totals ORDER BY kind, class, provider"
    ).fetchall()


def forget_before(connection: Connection, before: datetime, *, limit: int) -> int:
    """Delete some counters of hours before then, `limit` of each table; return how many."""
    hour = ids.milliseconds(before) // HOUR_MS
    return sum(_forget(connection, table, key, (hour, limit)) for table, key in _KEYS.items())


_KEYS = {
    "stats_by_hour": "tenant_id, kind, hour, class",
    "stats_by_domain": "tenant_id, kind, hour, domain, host, class",
    "stats_by_tag": "tenant_id, kind, hour, name, value, class",
    "stats_by_sender": "tenant_id, domain, kind, hour",
    "stats_by_campaign": "tenant_id, kind, hour, campaign, class",
    "stats_by_provider": "tenant_id, kind, hour, provider, class",
}


def _forget(connection: Connection, table: str, key: str, values: tuple[int, int]) -> int:
    deleted = connection.execute(
        f"DELETE FROM {table} WHERE ({key}) IN"
        f" (SELECT {key} FROM {table} WHERE hour < ? ORDER BY hour LIMIT ?)",
        values,
    )
    return deleted.rowcount


def _source(scope: Scope, table: str = "") -> tuple[str, str, list[object]]:
    """Return table, conditions and the parameters that follow tenant and kind.

    Without a table named it is the smallest that can answer.
    """
    where = "tenant_id = ? AND kind = ? AND hour >= ? AND hour < ?"
    # The last hour counts whole, though it may have just begun.
    first, end = ids.milliseconds(scope.since), ids.milliseconds(scope.until)
    values: list[object] = [first // HOUR_MS, -(-end // HOUR_MS)]
    if scope.domain:
        table = table or "stats_by_domain"
        where += " AND domain = ?"
        values.append(scope.domain)
    if scope.tag is not None:
        table = table or "stats_by_tag"
        where += " AND name = ? AND value = ?"
        values += scope.tag
    if scope.campaign:
        table = table or "stats_by_campaign"
        where += " AND campaign = ?"
        values.append(scope.campaign)
    return table or "stats_by_hour", where, values


def _spans(
    connection: Connection, table: str, where: str, parameters: Sequence[object], hours: int
) -> dict[datetime, int]:
    rows = connection.execute(
        f"SELECT hour / {hours:d}, SUM(count) FROM {table} WHERE {where} GROUP BY 1", parameters
    )
    return {ids.moment(span * hours * HOUR_MS): count for span, count in rows}
