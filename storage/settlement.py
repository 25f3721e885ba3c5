"""Writing down what became of attempts: entry, message and journal, in one transaction.

However many they are, they are settled by five statements: a statement for each would hand the
interpreter to and fro between the writer and the event loop, which costs more than the statement.
The decision comes from core/disposition.py. A wish to hold or cancel that was recorded while the
entry was claimed is honoured where the entry would otherwise wait again, and so is a suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import assert_never, cast

from mta.core import ids, json_text
from mta.core.disposition import (
    Bounced,
    Deferred,
    Delivered,
    Disposition,
    Expired,
    Quarantined,
    Why,
)
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.outcome import (
    OUR_FAULT,
    Accepted,
    Ambiguous,
    Attempt,
    Command,
    Outcome,
    Peer,
    Refused,
    Unreachable,
)
from mta.core.reply import Reply
from mta.core.suppression import NO_SUPPRESSION, SuppressionPolicy
from storage import aftermath, events, suppressed_entries, tallies
from storage.aftermath import Settled
from storage.database import Connection
from storage.delivery_reports import Due
from storage.entries import EntryState
from storage.sql import given
from storage.tallies import Tally


@frozen
class Settlement:
    """One attempt's consequence for one entry.

    Attributes:
        entry_id: row id.
        attempts: made so far, this one included.
        disposition: what was decided.
        attempt: what happened.
        is_complaint: delivered in the sandbox to somebody who calls it spam at once.
        tell: what its sender wants to be told, should it come to that: a
            core.delivery_status.Action value; "" for nothing.
        is_hard: whether it says that the address is dead.
    """

    entry_id: int
    attempts: int
    disposition: Disposition
    attempt: Attempt
    is_complaint: bool = False
    tell: str = ""
    is_hard: bool = False


def without_words(entry_id: int, attempts: int, attempt: Attempt) -> Settlement:
    """Return the settlement of an attempt whose own one fails, for an error of ours.

    It has nothing in it that a stranger said. What was accepted is delivered; all else is held, for
    to try it again might fail the same way for days, and each time the server might take it.
    """
    disposition: Disposition = Quarantined()
    outcome: Outcome = OUR_FAULT
    if isinstance(attempt.outcome, Accepted):
        disposition, outcome = Delivered(), Accepted(Reply(250, "", ""))
    plain = Attempt(outcome, Peer(), attempt.started_at, attempt.ended_at)
    return Settlement(entry_id, attempts, disposition, plain)


@frozen
class _Fate:
    """A disposition as columns. State None: it waits again. One not final yields to a wish."""

    state: EntryState | None
    due_at: datetime | None = None
    why: str = ""
    bounce_class: str | None = None


@frozen
class _Report:
    """An outcome as columns. Code None: no server answered, and text is an error in our words."""

    text: str
    code: int | None = None
    enhanced: str = ""
    command: str = ""
    stage: str = ""


_OPEN = """
SELECT json_group_array(json_array(id, message_id, tenant_id, wish)) FROM entries
WHERE id IN (SELECT value FROM json_each(?)) AND state < 10
"""

_SETTLE = """
UPDATE entries SET
    state = given.value ->> 1, due_at = COALESCE(given.value ->> 2, due_at),
    why = given.value ->> 3, owner = NULL, wish = NULL, attempts = given.value ->> 4,
    code = given.value ->> 5, enhanced = given.value ->> 6, reply = given.value ->> 7,
    class = given.value ->> 8, host = given.value ->> 9
FROM json_each(?) AS given WHERE entries.id = given.value ->> 0
"""


def settle(
    connection: Connection,
    settlements: Sequence[Settlement],
    policy: SuppressionPolicy = NO_SUPPRESSION,
) -> None:
    """Update the entries, write one event each, and bring their messages' counts up to date.

    What failed for good suppresses its address where the policy says so; senders who want to be
    told are noted.

    An entry that is final already is left alone, and of two settlements of one entry the second.
    A deferred entry that was to be canceled gets the canceled event, with the attempt in its data.
    """
    open_entries = _open_entries(connection, settlements)
    columns: list[tuple[object, ...]] = []
    journal: list[events.EventRow] = []
    counted: dict[int, Tally] = {}
    settled: list[Settled] = []
    called_back: list[tuple[int, datetime]] = []
    for settlement in settlements:
        entry = open_entries.pop(settlement.entry_id, None)
        if entry is None:
            continue
        message_row, tenant_id, wish = entry
        fate, report = _fate(settlement.disposition), _report(settlement.attempt.outcome)
        state = _state(fate, wish)
        if wish == EntryState.SUPPRESSED:
            called_back.append((settlement.entry_id, settlement.attempt.ended_at))
        columns.append(_columns(settlement, fate, report, state))
        at_ms = ids.milliseconds(settlement.attempt.ended_at)
        data = events.json_data(_data(settlement, fate, report, state))
        kind = _KINDS.get(state, EventKind.DEFERRED).value
        journal.append((message_row, settlement.entry_id, tenant_id, kind, at_ms, data))
        place = len(journal)
        if settlement.is_complaint and state is EntryState.DELIVERED:
            complaint = (EventKind.COMPLAINED.value, at_ms, '{"feedback_type":"abuse"}')
            journal.append((message_row, settlement.entry_id, tenant_id, *complaint))
        _count(counted, message_row, state, at_ms)
        due = _due(settlement, message_row, report)
        failed = fate.bounce_class or ""
        settled.append(
            Settled(place, state, failed, settlement.tell, due, is_hard=settlement.is_hard)
        )
    connection.execute(_SETTLE, (given(columns),))
    events.append(connection, journal)
    tallies.apply(connection, counted)
    aftermath.record(connection, settled, events_written=len(journal), policy=policy)
    for entry_id, at in called_back:
        suppressed_entries.suppress_returned(connection, [entry_id], now=at)


def _open_entries(
    connection: Connection, settlements: Sequence[Settlement]
) -> dict[int, tuple[int, int, int | None]]:
    """Return id -> message id, tenant id and wish of the entries that are not final yet."""
    wanted = given([settlement.entry_id for settlement in settlements])
    [(found,)] = connection.execute(_OPEN, (wanted,)).fetchall()
    rows = cast("list[tuple[int, int, int, int | None]]", json_text.decode(found))
    return {row: (message_row, tenant_id, wish) for row, message_row, tenant_id, wish in rows}


def _state(fate: _Fate, wish: int | None) -> EntryState:
    """Return what an entry becomes: final if it must, else what was wished, else as decided."""
    decided = EntryState.WAITING if fate.state is None else fate.state
    if decided.is_final or wish is None or wish == EntryState.SUPPRESSED:
        return decided
    return EntryState(wish)


def _due(settlement: Settlement, message_row: int, report: _Report) -> Due:
    attempt = settlement.attempt
    return Due(
        settlement.entry_id,
        message_row,
        settlement.tell,
        attempt.ended_at,
        report.code,
        report.enhanced,
        report.text,
        attempt.peer.host,
    )


_KINDS = {
    EntryState.DELIVERED: EventKind.DELIVERED,
    EntryState.BOUNCED: EventKind.BOUNCED,
    EntryState.EXPIRED: EventKind.EXPIRED,
    EntryState.CANCELED: EventKind.CANCELED,
}


_WISHED = {EntryState.HELD: Why.HELD.value}
"""Why an entry waits that became what an operator wished; one that is canceled does not wait."""


def _fate(disposition: Disposition) -> _Fate:
    match disposition:
        case Delivered():
            return _Fate(EntryState.DELIVERED)
        case Deferred(due_at, why, bounce_class):
            return _Fate(None, due_at, why.value, bounce_class.value)
        case Bounced(bounce_class):
            return _Fate(EntryState.BOUNCED, bounce_class=bounce_class.value)
        case Expired(why, bounce_class):
            return _Fate(EntryState.EXPIRED, None, why.value, bounce_class.value)
        case Quarantined():
            return _Fate(EntryState.HELD, why=Why.DAMAGED.value)
        case _:
            assert_never(disposition)


def _report(outcome: Outcome) -> _Report:
    match outcome:
        case Accepted(reply):
            return _Report(reply.text, reply.code, reply.enhanced, Command.END_OF_DATA.value)
        case Refused(reply, command):
            return _Report(reply.text, reply.code, reply.enhanced, command.value)
        case Unreachable(stage, error, _, enhanced):
            return _Report(error, enhanced=enhanced, stage=stage.value)
        case Ambiguous(error):
            return _Report(error, command=Command.END_OF_DATA.value)
        case _:
            assert_never(outcome)


def _columns(
    settlement: Settlement, fate: _Fate, report: _Report, state: EntryState
) -> tuple[object, ...]:
    due_at = None if fate.due_at is None else ids.milliseconds(fate.due_at)
    is_as_wished = state is not (fate.state or EntryState.WAITING)
    why = _WISHED.get(state, "") if is_as_wished else fate.why
    entry = (settlement.entry_id, state, due_at, why, settlement.attempts)
    reply = (report.code, report.enhanced, report.text, fate.bounce_class)
    return (*entry, *reply, settlement.attempt.peer.host)


def _data(
    settlement: Settlement, fate: _Fate, report: _Report, state: EntryState
) -> dict[str, JsonValue]:
    """Return the event's details; what there is nothing to say about is absent."""
    attempt, peer = settlement.attempt, settlement.attempt.peer
    data: dict[str, JsonValue] = {
        "attempt": settlement.attempts,
        "code": report.code,
        "enhanced": report.enhanced,
        "text": report.text,
        "command": report.command,
        "stage": report.stage,
        "host": peer.host,
        "address": peer.address,
        "tls": peer.tls,
        "started_at": _rfc3339(attempt.started_at),
        "duration_ms": (attempt.ended_at - attempt.started_at) // timedelta(milliseconds=1),
        "due_at": _rfc3339(fate.due_at) if fate.due_at and state is EntryState.WAITING else "",
        "why": fate.why,
        "class": fate.bounce_class,
    }
    return {name: value for name, value in data.items() if value not in {None, ""}}


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _count(counted: dict[int, Tally], message_row: int, state: EntryState, at_ms: int) -> None:
    tally = counted.setdefault(message_row, Tally(at_ms))
    tally.at_ms = max(tally.at_ms, at_ms)
    if state.is_final:
        tally.finals += 1
        tally.delivered += state is EntryState.DELIVERED
        tally.status = state.label
    else:
        tally.is_deferred = True
