"""What else follows when an entry is settled: who is told of it, and whether its address is good.

Part of the transaction of settlement.py. The decisions are core/suppression.py and
core/delivery_status.py. Mail that is delivered, the most, costs one look at an empty table for all
that is settled together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mta.core import ids
from mta.core.bounce import BounceClass
from mta.core.dsn import Action
from mta.core.frozen import frozen
from mta.core.suppression import SuppressionPolicy
from storage import correlation, delivery_reports, events, feedback
from storage.database import Connection
from storage.delivery_reports import Due
from storage.entries import EntryState
from storage.suppressions import Cause

_FAILED = frozenset({EntryState.BOUNCED, EntryState.EXPIRED})
_TOLD = {
    Action.FAILED.value: _FAILED,
    Action.DELAYED.value: frozenset({EntryState.WAITING}),
    Action.RELAYED.value: frozenset({EntryState.DELIVERED}),
}
"""What a sender wants to be told -> the states in which it is true."""


@frozen
class Settled:
    """An entry that was just settled.

    Attributes:
        place: of its event among those that are written together, from 1.
        state: what it is now.
        bounce_class: of its failure, "" for none.
        tell: see Settlement.tell.
        due: what its sender would be told.
        is_hard: whether its failure says that the address is dead.
    """

    place: int
    state: EntryState
    bounce_class: str
    tell: str
    due: Due
    is_hard: bool = False


def record(
    connection: Connection,
    settled: Sequence[Settled],
    *,
    events_written: int,
    policy: SuppressionPolicy,
) -> None:
    """Note what senders are to be told, and let failures tell against their addresses.

    Args:
        connection: of a write that has just appended the events.
        settled: all of them.
        events_written: how many events those were.
        policy: which failures suppress their addresses.
    """
    told = [one.due for one in settled if one.tell and one.state in _TOLD[one.tell]]
    if told:
        delivery_reports.note(connection, told)
    if not policy.rules:
        return
    if feedback.has_failures(connection):
        _prove_alive(connection, settled, policy)
    faults = [one for one in settled if one.state in _FAILED and _tells(one, policy)]
    if faults:
        first_seq = events.last_seq(connection) - events_written
        for one in faults:
            _note_failure(connection, one, first_seq + one.place, policy)


def _tells(one: Settled, policy: SuppressionPolicy) -> bool:
    return bool(one.bounce_class) and BounceClass(one.bounce_class) in policy.rules


def _prove_alive(
    connection: Connection, settled: Iterable[Settled], policy: SuppressionPolicy
) -> None:
    for one in settled:
        if one.state is EntryState.DELIVERED:
            entry = correlation.entry_of(connection, one.due.entry_id, None)
            if entry is not None and not entry.is_simulated(policy):
                feedback.note_delivery(connection, entry.tenant_id, entry.recipient)


def _note_failure(
    connection: Connection, one: Settled, seq: int, policy: SuppressionPolicy
) -> None:
    entry = correlation.entry_of(connection, one.due.entry_id, None)
    if entry is None or entry.is_simulated(policy):
        return
    bounce_class, now = BounceClass(one.bounce_class), _rounded(one.due.at)
    fault = feedback.Fault(
        entry.tenant_id,
        entry.recipient,
        bounce_class,
        # What still was deferred when its time ran out was never refused for good.
        is_hard=one.state is EntryState.BOUNCED and one.is_hard,
        is_reported=False,
        cause=Cause(
            bounce_class.value,
            ids.numbered_id("ev", ids.milliseconds(now), seq),
            entry.email_id,
        ),
    )
    feedback.note_failure(connection, fault, policy=policy, now=now)


def _rounded(at: datetime) -> datetime:
    """Return a time as storage keeps it, so that ids made from it agree."""
    return ids.moment(ids.milliseconds(at))
