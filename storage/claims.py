"""The engine's side of the queue: claiming what is due, and giving it back untried.

A claimed entry is in the memory of one process; when that process dies, free_claims makes it wait
again. Not here: what an attempt led to (settlement.py), what operators do (operators.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mta.core import ids
from mta.core.disposition import Why
from mta.core.envelope import Priority
from mta.core.frozen import frozen
from mta.core.message import Message
from mta.core.tracking import Places
from mta.core.unsubscribe import UnsubscribeOffer
from storage import domains, quarantine, quotas, suspensions, tallies, tracking, unsubscribes
from storage.database import Connection, OperationalError
from storage.due import next_due
from storage.entries import ELIGIBLE_AT, EntryState
from storage.sql import chunks, given, marks
from storage.suppressed_entries import suppress_returned


@frozen
class QueuedMessage:
    """A message as delivery needs it.

    Attributes:
        id: row id.
        public_id: "em_...".
        tenant_id: whose mail it is.
        mail_from: return path as it goes into MAIL FROM; "" is the null return path <>.
        ret, envid: as in core.envelope.Envelope.
        message: with data for those kept in the database, with the file name for spooled ones. Both
            None when the body is missing: a damaged store, to be treated as a local failure.
        header_8bit: delivery needs SMTPUTF8.
        sender_domain: domain of From, A-label; "" when there is none.
        queued_at: when it was accepted (aware, UTC).
        door: a core.submission.Door value.
        unsubscribe: how its recipients get out; None adds nothing.
        tracking: where its body has placeholders for tokens of each recipient; None: nowhere.
        campaign: row number of the campaign that it is of; None: of none.
    """

    id: int
    public_id: str
    tenant_id: int
    mail_from: str
    ret: str
    envid: str
    message: Message
    header_8bit: bool
    sender_domain: str
    queued_at: datetime
    door: str = "api"
    unsubscribe: UnsubscribeOffer | None = None
    tracking: Places | None = None
    campaign: int | None = None


@frozen
class QueuedEntry:
    """A claimed entry.

    Attributes:
        id: row id.
        recipient: address as it goes into RCPT TO.
        domain: its domain, A-label, or an address literal.
        notify, orcpt: as in core.envelope.Recipient.
        priority: its lane.
        attempts: made so far.
        eligible_at: when it could first be tried: acceptance, send_at, or when its sender had it
            tried again (aware, UTC).
    """

    id: int
    recipient: str
    domain: str
    notify: str
    orcpt: str
    priority: Priority
    attempts: int
    eligible_at: datetime


@frozen
class ClaimedMessage:
    """A message with those of its claimed entries that go to one domain, at least one."""

    message: QueuedMessage
    entries: tuple[QueuedEntry, ...]


@frozen
class ClaimRequest:
    """A wish for at most `limit` entries of a domain, which would go to a site, "" unknown.

    Attributes:
        lanes: the priorities that are wanted, the first one first.
        waiting_since: only those are wanted that could first be tried by then, of the SEARCHED that
            are longest due; None: all.
    """

    domain: str
    limit: int
    site: str = ""
    lanes: Sequence[Priority] = tuple(Priority)
    waiting_since: datetime | None = None


@frozen
class Claim:
    """What claim() gives.

    Attributes:
        messages: in the order to deliver them, each domain's together.
        next_due: for each requested domain when its next waiting entry is due; None: none waits.
        keys_version: see domains.keys_version.
    """

    messages: tuple[ClaimedMessage, ...]
    next_due: Mapping[str, datetime | None]
    keys_version: int


_DUE = """
SELECT id, message_id, recipient, domain, notify, orcpt, priority, attempts, eligible_at
FROM entries
WHERE state = 0 AND domain = ? AND priority = ? AND due_at <= ?
ORDER BY due_at, id LIMIT ?
"""

_OLD = f"""
SELECT e.id, e.message_id, e.recipient, e.domain, e.notify, e.orcpt, e.priority, e.attempts,
    e.eligible_at
FROM (
    SELECT * FROM entries WHERE state = 0 AND domain = ? AND priority = ? AND due_at <= ?
    ORDER BY due_at, id LIMIT ?
) AS e JOIN messages m ON m.id = e.message_id
WHERE {ELIGIBLE_AT} <= ? LIMIT ?
"""  # noqa: S608 - a constant

SEARCHED = 1000
"""Entries that are looked at for old ones."""

_CLAIM = """
UPDATE entries SET state = 1, owner = ? WHERE id IN (SELECT value FROM json_each(?))
"""

_MESSAGES = """
SELECT m.id, m.public_id, m.tenant_id, m.mail_from, m.ret, m.envid, m.has_8bit_header,
    m.sender_domain, m.created_at, m.send_at, m.size, m.header_size, m.body_hash, m.is_8bit,
    b.data, b.file, m.door, m.unsubscribe, m.tracking, m.campaign
FROM messages m LEFT JOIN bodies b ON b.message_id = m.id WHERE m.id IN ({})
"""


def claim(
    connection: Connection, requests: Sequence[ClaimRequest], *, now: datetime, owner: str
) -> Claim:
    """Claim due entries: of each requested domain transactional before bulk, then the longest due.

    Of a domain or site that an operator has suspended none is claimed, nor due before that ends.
    Entries whose rows are damaged are put aside instead (quarantine.py).

    Args:
        connection: of a write.
        requests: domains, each once, and how many entries of each.
        now: entries due until then are taken (aware, UTC).
        owner: names the process, for free_claims and for people.
    """
    now_ms = ids.milliseconds(now)
    ends = suspensions.ends(connection, now)
    suspended = {one.domain: end for one in requests if (end := _end(one, ends)) is not None}
    wanted = [request for request in requests if request.domain not in suspended]
    try:
        found = _claim(connection, wanted, now_ms, owner)
    except OperationalError as error:
        if not quarantine.is_undecodable(error):
            raise
        quarantine.put_aside_undecodable(connection, [one.domain for one in wanted], now)
        found = _claim(connection, wanted, now_ms, owner)
    quarantine.put_aside(connection, found.damaged, now)
    return Claim(
        messages=tuple(found.messages),
        next_due={
            request.domain: _later(
                next_due(connection, request.domain), suspended.get(request.domain)
            )
            for request in requests
        },
        keys_version=domains.keys_version(connection),
    )


@frozen
class _Found:
    """What a claim found: messages with their entries, and row ids of entries that are damaged."""

    messages: Sequence[ClaimedMessage]
    damaged: Mapping[int, str]


def _claim(
    connection: Connection, requests: Iterable[ClaimRequest], now_ms: int, owner: str
) -> _Found:
    rows = [row for request in requests for row in _due(connection, request, now_ms)]
    messages, damage = _load(connection, {row[1] for row in rows})
    connection.execute(_CLAIM, (owner, given([row[0] for row in rows])))
    grouped: dict[tuple[str, int], list[QueuedEntry]] = {}
    damaged: dict[int, str] = {}
    for row in rows:
        if row[1] not in messages:
            damaged[row[0]] = damage.get(row[1], "its message is gone")
            continue
        try:
            entry = _entry(row, messages[row[1]][1])
        except _DAMAGE as error:
            damaged[row[0]] = f"its row is damaged: {type(error).__name__}"
        else:
            grouped.setdefault((entry.domain, row[1]), []).append(entry)
    return _Found(
        [
            ClaimedMessage(messages[message_row][0], tuple(entries))
            for (_, message_row), entries in grouped.items()
        ],
        damaged,
    )


_DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)
"""What making values of a row raises when its columns are not what was written."""


def _entry(row: tuple[Any, ...], accepted_at: datetime) -> QueuedEntry:
    entry_row, _, recipient, domain, notify, orcpt, priority, attempts, again = row
    if type(recipient) is not str or type(attempts) is not int:
        raise TypeError("not what was written")
    eligible_at = accepted_at if again is None else ids.moment(again)
    return QueuedEntry(
        entry_row, recipient, domain, notify, orcpt, Priority(priority), attempts, eligible_at
    )


def _end(request: ClaimRequest, ends: Mapping[str, datetime]) -> datetime | None:
    """Return until when an operator has suspended a domain, its site or one of its servers."""
    if not ends:
        return None
    names = {request.domain, request.site, *request.site.split(",")}
    return max((ends[name] for name in names if name in ends), default=None)


def _later(due_at: datetime | None, suspended_until: datetime | None) -> datetime | None:
    """Return when entries of a domain can be claimed that are due then; None: there are none."""
    if due_at is None or suspended_until is None:
        return due_at
    return max(due_at, suspended_until)


def _due(connection: Connection, request: ClaimRequest, now_ms: int) -> list[tuple[Any, ...]]:
    due: list[tuple[Any, ...]] = []
    for lane in request.lanes:
        room = request.limit - len(due)
        if room <= 0:
            break
        if request.waiting_since is None:
            due += connection.execute(_DUE, (request.domain, lane, now_ms, room))
        else:
            since = ids.milliseconds(request.waiting_since)
            values = (request.domain, lane, now_ms, SEARCHED, since, room)
            due += connection.execute(_OLD, values)
    return due


def _load(
    connection: Connection, message_rows: Iterable[int]
) -> tuple[dict[int, tuple[QueuedMessage, datetime]], dict[int, str]]:
    """Return messages with when their entries could first be tried, and what is damaged.

    Both by the message's row id.
    """
    found: dict[int, tuple[QueuedMessage, datetime]] = {}
    damage: dict[int, str] = {}
    for chunk in chunks(sorted(message_rows)):
        for row in connection.execute(_MESSAGES.format(marks(chunk)), chunk):
            try:
                found[row[0]] = _message(row)
            except _DAMAGE as error:
                damage[row[0]] = f"the row of its message is damaged: {type(error).__name__}"
    return found, damage


def _message(row: tuple[Any, ...]) -> tuple[QueuedMessage, datetime]:
    (row_id, public_id, tenant_id, mail_from, ret, envid, header_8bit, sender_domain) = row[:8]
    (created_at, send_at, size, header_size, body_hash, is_8bit, data, file) = row[8:16]
    door, offer, places, campaign = row[16:]
    queued_at = ids.moment(created_at)
    message = QueuedMessage(
        id=row_id,
        public_id=public_id,
        tenant_id=tenant_id,
        mail_from=mail_from,
        ret=ret,
        envid=envid,
        message=Message(data, file, size, header_size, body_hash, bool(is_8bit)),
        header_8bit=bool(header_8bit),
        sender_domain=sender_domain,
        queued_at=queued_at,
        door=door,
        unsubscribe=unsubscribes.from_column(offer),
        tracking=tracking.from_column(places),
        campaign=campaign,
    )
    return message, queued_at if send_at is None else ids.moment(send_at)


_UNCLAIM = """
UPDATE entries SET state = COALESCE(NULLIF(wish, 14), 0), due_at = ?, owner = NULL,
    wish = NULLIF(NULLIF(wish, 2), 13),
    why = CASE wish WHEN 2 THEN 'held' WHEN 13 THEN '' ELSE COALESCE(?, why) END
WHERE state = 1 AND {}
RETURNING id, message_id, tenant_id, wished_at, state, wish
"""


def give_back(
    connection: Connection, entry_ids: Sequence[int], *, due_at: datetime, why: Why
) -> None:
    """Let claimed entries (row ids) wait again without having been tried; no attempt is counted.

    An entry that was to be held, canceled or suppressed meanwhile is that instead. Entries that are
    not claimed are left alone.
    """
    for chunk in chunks(entry_ids):
        sql = _UNCLAIM.format(f"id IN ({marks(chunk)})")
        _unclaim(connection, sql, (ids.milliseconds(due_at), why.value, *chunk))


def free_claims(connection: Connection, now: datetime, *, owner: str | None = None) -> int:
    """Let entries wait again, due now, whose process died; return how many.

    Entries whose rows are damaged so that nobody would find them due are put aside.

    Args:
        connection: of a write.
        now: aware, UTC.
        owner: only those that this process had claimed; None is all, for start-up.
    """
    quarantine.put_aside_misplaced(connection, now)
    parameters: tuple[object, ...] = (ids.milliseconds(now), None)
    if owner is None:
        return _unclaim(connection, _UNCLAIM.format("TRUE"), parameters)
    return _unclaim(connection, _UNCLAIM.format("owner = ?"), (*parameters, owner))


def _unclaim(connection: Connection, sql: str, parameters: tuple[object, ...]) -> int:
    rows = connection.execute(sql, parameters).fetchall()
    canceled = [row[:4] for row in rows if row[4] == EntryState.CANCELED]
    tallies.record_canceled(connection, canceled)
    quotas.give_back(connection, [(entry, tenant_id) for entry, _, tenant_id, _ in canceled])
    called_back = [(row[0], row[3]) for row in rows if row[5] == EntryState.SUPPRESSED]
    if called_back:
        now = ids.moment(max(wished_at for _, wished_at in called_back))
        suppress_returned(connection, [entry for entry, _ in called_back], now=now)
    return len(rows)
