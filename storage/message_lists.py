"""Lists of messages: filters, pages and totals, at a cost that does not grow with history.

A list walks one index, the one of the filter that leaves the fewest messages, from newer to older;
what else is asked for is checked message by message. Such a walk looks at WINDOW messages at most
and then tells where to go on, so that nothing that is asked takes long. Not here: what a message
looks like (messages.py).
"""
# ruff: noqa: S608 - SQL is put together from constants and parameter marks of this module

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mta.core import ids
from mta.core.frozen import frozen
from storage import messages
from storage.database import Connection
from storage.messages import EmailView

WINDOW = 2000
"""Messages that one page looks at, at most."""
COUNTED = 5000
"""Messages that a total counts, at most; where each must be looked at, WINDOW."""


@frozen
class Reach:
    """How far a list looks.

    Attributes:
        window: messages that are looked at, where each must be.
        counted: messages that a total counts.
    """

    window: int = WINDOW
    counted: int = COUNTED


USUAL = Reach()
NUMBERED = Reach(window=20_000, counted=100_000)
"""For pages with numbers, which cannot go on from where the last one ended: some 10 ms."""

_SLACK = timedelta(hours=1)
"""How far the order of acceptance times may differ from the order in which messages are written."""


@frozen
class EmailFilter:
    """Which messages to list: those that meet all that is given; "" and None ask nothing.

    Attributes:
        status: as EmailView.status.
        to: one of the recipients, exactly as its address is kept.
        from_: address in From.
        domain: domain of one of the recipients, A-label.
        tag: name of a tag; with tag_value also its value.
        batch_id: "bt_...".
        campaign: row number of a campaign; None: of any or none.
        text: stands in the subject, the From address, To or the Message-ID; ASCII letters match in
            either case.
        since, until: accepted at or after, and before (aware).
    """

    status: str = ""
    to: str = ""
    from_: str = ""
    domain: str = ""
    tag: str = ""
    tag_value: str | None = None
    batch_id: str = ""
    campaign: int | None = None
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None


@frozen
class EmailPage:
    """Part of a list.

    Attributes:
        emails: newest first; may be fewer than asked for, even none, where the list goes on.
        next: "em_..." of the message to go on after (or before); "" when the list ends here.
    """

    emails: tuple[EmailView, ...]
    next: str


@frozen
class Total:
    """How long a list is; without is_exact at least that long."""

    number: int
    is_exact: bool


def page(  # noqa: PLR0913 - the parameters of every list
    connection: Connection,
    tenant_id: int,
    filters: EmailFilter = EmailFilter(),  # noqa: B008 - frozen
    *,
    limit: int,
    after: str = "",
    before: str = "",
    skip: int = 0,
    reach: Reach = USUAL,
) -> EmailPage:
    """Return a page of a tenant's messages.

    Args:
        connection: any.
        tenant_id: whose.
        filters: which.
        limit: at most so many.
        after: go on after the message with this "em_..." id, to older ones.
        before: instead, those just before this one, newer ones. An unknown id gives none.
        skip: leave out so many at the start.
        reach: how far to look.
    """
    walk = _walk(connection, tenant_id, filters)
    walk.is_back = bool(before and not after)
    if after or before:
        found = messages.row_of(connection, tenant_id, after or before)
        if found is None:
            return EmailPage((), "")
        walk.start_beyond(connection, found[0])
    bound = walk.bound_to(connection, reach.window) if walk.checks else None
    rows = walk.rows(connection, limit + 1, skip)
    shown = rows[:limit]
    emails = messages.by_rows(connection, shown)
    last = shown[-1] if len(rows) > limit else bound
    return EmailPage(tuple(emails[::-1] if walk.is_back else emails), _public_id(connection, last))


def total(
    connection: Connection,
    tenant_id: int,
    filters: EmailFilter = EmailFilter(),  # noqa: B008 - frozen
    reach: Reach = USUAL,
) -> Total:
    """Return how many messages meet the filters, as far as counting is cheap."""
    walk = _walk(connection, tenant_id, filters)
    bound = walk.bound_to(connection, reach.window if walk.checks else reach.counted)
    return Total(walk.count(connection), is_exact=bound is None)


@dataclass(slots=True)
class _Walk:
    """A way along an index.

    Attributes:
        source: the table with the index to use.
        key: columns that order it, the message's row id last.
        range: conditions that the index answers, with their values.
        checks: conditions on messages m that are looked at one message after the other.
        has_repeats: whether a message may stand in the index more than once.
        is_back: from older to newer.
    """

    source: str
    key: tuple[str, ...]
    range: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    checks: list[tuple[str, tuple[object, ...]]] = field(default_factory=list)
    has_repeats: bool = False
    is_back: bool = False

    def require(self, condition: str, *values: object) -> None:
        """Narrow the part of the index that is walked."""
        self.range.append((condition, values))

    def check(self, condition: str, *values: object) -> None:
        """Ask something of each message that the index gives."""
        self.checks.append((condition, values))

    def start_beyond(self, connection: Connection, row: int) -> None:
        """Begin after the message with this row id."""
        place = (*self._times(connection, row), row)
        self._compare(">" if self.is_back else "<", place)

    def bound_to(self, connection: Connection, steps: int) -> int | None:
        """Let the walk end after so many steps; return the message it ends at, None: at its end."""
        where, values = _joined(self.range)
        last = connection.execute(
            f"SELECT {', '.join(self.key)} FROM {self.source} WHERE {where} {self._order}"
            " LIMIT 1 OFFSET ?",
            (*values, steps - 1),
        ).fetchone()
        if last is None:
            return None
        self._compare("<=" if self.is_back else ">=", last)
        return int(last[-1])

    def rows(self, connection: Connection, limit: int, skip: int) -> list[int]:
        """Return the row ids of the first messages on the way, without those to skip."""
        sql, values = self._select()
        found = connection.execute(f"{sql} {self._order} LIMIT ? OFFSET ?", (*values, limit, skip))
        return [row for (row,) in found]

    def count(self, connection: Connection) -> int:
        """Return how many messages are on the way."""
        sql, values = self._select()
        [(number,)] = connection.execute(f"SELECT COUNT(*) FROM ({sql})", values).fetchall()
        return int(number)

    @property
    def _order(self) -> str:
        direction = "ASC" if self.is_back else "DESC"
        return "ORDER BY " + ", ".join(f"{column} {direction}" for column in self.key)

    def _select(self) -> tuple[str, list[object]]:
        where, values = _joined([*self.range, *self.checks])
        row = self.key[-1]
        joined = "" if self.source.startswith("messages") or not self.checks else _JOIN.format(row)
        distinct = "DISTINCT " if self.has_repeats else ""
        return f"SELECT {distinct}{row} FROM {self.source}{joined} WHERE {where}", values

    def _compare(self, sign: str, place: tuple[object, ...]) -> None:
        marks = ", ".join("?" * len(place))
        self.require(f"({', '.join(self.key)}) {sign} ({marks})", *place)

    def _times(self, connection: Connection, row: int) -> tuple[int, ...]:
        if len(self.key) == 1:
            return ()
        [found] = connection.execute("SELECT created_at FROM messages WHERE id = ?", (row,))
        return (int(found[0]),)


_JOIN = " CROSS JOIN messages m ON m.id = {}"
_BY_TIME = ("m.created_at", "m.id")
_WITH_RECIPIENT = """
EXISTS (SELECT 1 FROM entries r INDEXED BY entries_by_{0}
    WHERE r.tenant_id = m.tenant_id AND r.{0} = ? AND r.message_id = m.id)
"""
_WITH_TAG = "m.tags <> '[]' AND EXISTS (SELECT 1 FROM json_each(m.tags) j WHERE {})"
_WITH_TEXT = (
    "instr(lower(m.subject || char(10) || m.from_address || char(10) || m.header_to || char(10)"
    " || m.message_id), lower(?)) > 0"
)


def _walk(connection: Connection, tenant_id: int, filters: EmailFilter) -> _Walk:
    walk, used = _index(tenant_id, filters)
    _limit_times(connection, walk, tenant_id, filters)
    asked: dict[str, Any] = {
        "campaign": filters.campaign is not None and ("m.campaign = ?", filters.campaign),
        "batch": filters.batch_id and ("m.batch_id = ?", filters.batch_id),
        "recipient": filters.to and (_WITH_RECIPIENT.format("recipient"), filters.to),
        "tag": filters.tag and _tag_check(filters),
        "status": filters.status and ("m.status = ?", filters.status),
        "from": filters.from_ and ("m.from_address = ?", filters.from_),
        "domain": filters.domain and (_WITH_RECIPIENT.format("domain"), filters.domain),
        "text": filters.text and (_WITH_TEXT, filters.text),
    }
    for name, check in asked.items():
        if check and name != used:
            walk.check(*check)
    return walk


def _tag_check(filters: EmailFilter) -> tuple[object, ...]:
    if filters.tag_value is None:
        return _WITH_TAG.format("j.value ->> 0 = ?"), filters.tag
    named = _WITH_TAG.format("j.value ->> 0 = ? AND j.value ->> 1 = ?")
    return named, filters.tag, filters.tag_value


def _index(tenant_id: int, filters: EmailFilter) -> tuple[_Walk, str]:
    """Return the walk that leaves the fewest messages, and the filter that it answers."""
    if filters.batch_id:
        walk = _Walk("messages m INDEXED BY messages_by_batch", _BY_TIME)
        walk.require("m.batch_id = ? AND m.batch_id <> ''", filters.batch_id)
        used = "batch"
    elif filters.campaign is not None:
        walk = _Walk("messages m INDEXED BY messages_by_campaign", _BY_TIME)
        walk.require("m.campaign = ?", filters.campaign)
        used = "campaign"
    elif filters.to:
        walk = _Walk("entries e INDEXED BY entries_by_recipient", ("e.message_id",))
        walk.require("e.recipient = ?", filters.to)
        used = "recipient"
    elif filters.tag and filters.tag_value is not None:
        walk = _Walk("message_tags t", ("t.created_at", "t.message_id"))
        walk.require("t.name = ? AND t.value = ?", filters.tag, filters.tag_value)
        used = "tag"
    elif filters.status and filters.status != "delivered":
        walk = _Walk("messages m INDEXED BY messages_by_status", _BY_TIME)
        walk.require("m.status = ? AND m.status <> 'delivered'", filters.status)
        used = "status"
    elif filters.domain:
        walk = _Walk("entries e INDEXED BY entries_by_domain", ("e.message_id",), has_repeats=True)
        walk.require("e.domain = ?", filters.domain)
        used = "domain"
    elif filters.from_:
        walk = _Walk("messages m INDEXED BY messages_by_from", _BY_TIME)
        walk.require("m.from_address = ?", filters.from_)
        used = "from"
    else:
        walk, used = _Walk("messages m INDEXED BY messages_by_tenant", _BY_TIME), ""
    walk.require(f"{walk.source.split()[1]}.tenant_id = ?", tenant_id)
    return walk, used


def _limit_times(connection: Connection, walk: _Walk, tenant_id: int, filters: EmailFilter) -> None:
    """Add since and until; an index without times is cut near them, and each message checked."""
    for at, sign in ((filters.since, ">="), (filters.until, "<")):
        if at is None:
            continue
        if len(walk.key) > 1:
            walk.require(f"{walk.key[0]} {sign} ?", ids.milliseconds(at))
            continue
        walk.check(f"m.created_at {sign} ?", ids.milliseconds(at))
        beyond = _row_beyond(connection, tenant_id, at, is_before=sign == ">=")
        if beyond is not None:
            walk.require(f"{walk.key[0]} {'>' if sign == '>=' else '<'} ?", beyond)


def _row_beyond(
    connection: Connection, tenant_id: int, at: datetime, *, is_before: bool
) -> int | None:
    """Return the nearest row written well before (or after) any that was accepted after (before)
    a time; None when there is none.
    """
    sign, order, slack = ("<", "DESC", -_SLACK) if is_before else (">=", "ASC", _SLACK)
    row = connection.execute(
        f"SELECT id FROM messages INDEXED BY messages_by_tenant WHERE tenant_id = ?"
        f" AND created_at {sign} ? ORDER BY created_at {order}, id {order} LIMIT 1",
        (tenant_id, ids.milliseconds(at) + int(slack / timedelta(milliseconds=1))),
    ).fetchone()
    return None if row is None else int(row[0])


def _joined(parts: list[tuple[str, tuple[object, ...]]]) -> tuple[str, list[object]]:
    where = " AND ".join(condition for condition, _ in parts)
    return where, [value for _, values in parts for value in values]


def _public_id(connection: Connection, row: int | None) -> str:
    if row is None:
        return ""
    found = connection.execute("SELECT public_id FROM messages WHERE id = ?", (row,)).fetchone()
    return "" if found is None else str(found[0])
