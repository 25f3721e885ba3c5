"""Who enters automations: contacts whom the journal tells something of, or who have a date.

The journal is read from a mark on, and the mark moves in the transaction that lets contacts in, so
no event is lost or counted twice; dates are looked at once a day, some thousand contacts a time.
Not here: requests (automation_runs.py), what runs do (automation_work.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from control_api.automation_tools import Tools
from mta.core import ids
from mta.core.automation import TRIGGER_KINDS, Definition, Trigger, TriggerType
from mta.core.automation_condition import all_hold
from mta.core.automation_plan import next_look, wanted_days
from mta.core.contact import Status
from mta.core.event import EventKind
from mta.core.frozen import frozen
from storage import audiences, automation_people, automation_runs, automations, event_feed, events
from storage.automation_people import Dates, Person
from storage.automation_runs import Entrant
from storage.automations import AutomationRecord
from storage.database import Connection
from storage.errors import STORAGE_TROUBLE
from storage.event_feed import Span
from storage.events import JournalEntry
from storage.readable import readable

LIMIT = 500
"""Events of one tenant in one go."""
LAZY_MARK = 1_000
"""Events of no interest that the stored mark may be behind."""
LOOKED_AT_ONCE = 1_000
"""Contacts whose dates are looked at in one go."""
_KINDS: Mapping[str, EventKind] = {kind.value: event for event, kind in TRIGGER_KINDS.items()}

logger = logging.getLogger(__name__)


@frozen
class _Seen:
    """What a part of the journal comes to: who enters, and up to which seq it was read."""

    start: int
    through: int
    entrants: tuple[Entrant, ...] = ()
    has_more: bool = False


class Entrance:
    """Lets contacts in."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._position = -1

    async def follow(self) -> bool:
        """Read what the journal has got; return whether there is more to read.

        Raises:
            StorageError: call again.
        """
        database, now = self._tools.database, self._tools.now()
        if self._position < 0:
            self._position = await database.write(automations.begin_mark)
        try:
            seen = await database.read(self._see)
        except STORAGE_TROUBLE:
            raise
        except Exception:
            logger.exception("automations: failed at new events, and look at them one by one")
            seen = await self._see_one_by_one()
        is_due = seen.entrants or seen.through - seen.start >= LAZY_MARK
        if is_due and not await database.write(partial(_let_in, seen=seen, now=now)):
            return True
        self._position = seen.through
        return seen.has_more

    async def _see_one_by_one(self) -> _Seen:
        """Read on where reading on fails: an event that we fail at sets nothing off."""
        start, position, last_seq = await self._tools.database.read(self._place)
        through = min(position + LIMIT, last_seq)
        entrants: list[Entrant] = []
        for seq in range(position + 1, through + 1):
            see = partial(self._see_between, start=start, after=seq - 1, last_seq=seq)
            try:
                entrants += (await self._tools.database.read(see)).entrants
            except STORAGE_TROUBLE:
                raise
            except Exception:
                logger.exception("automations: event %d sets nothing off, we failed at it", seq)
        return _Seen(start, through, tuple(entrants), has_more=through < last_seq)

    def _place(self, connection: Connection) -> tuple[int, int, int]:
        """Return the mark, up to which seq the journal was read, and where it ends."""
        start = automations.mark(connection)
        return start, max(start, self._position), events.last_seq(connection)

    def _see(self, connection: Connection) -> _Seen:
        start, position, last_seq = self._place(connection)
        return self._see_between(connection, start, position, last_seq)

    def _see_between(self, connection: Connection, start: int, after: int, last_seq: int) -> _Seen:
        """Look at events after one seq and up to another, or the first of them."""
        tenants = event_feed.news(connection, after).tenants
        kinds = {
            tenant_id: [_KINDS[one] for one in types if one in _KINDS]
            for tenant_id, types in automations.listening(connection).items()
            if tenant_id in tenants
        }
        found = {
            tenant_id: event_feed.read(
                connection, Span(tenant_id, wanted, after, last_seq), limit=LIMIT
            )
            for tenant_id, wanted in kinds.items()
            if wanted
        }
        full = [journal[-1].seq for journal in found.values() if len(journal) == LIMIT]
        through = min(full, default=last_seq)
        entrants = [
            one
            for tenant_id, journal in found.items()
            for one in self._entrants(connection, tenant_id, journal, through)
        ]
        return _Seen(start, through, tuple(entrants), has_more=bool(full))

    def _entrants(
        self, connection: Connection, tenant_id: int, journal: Sequence[JournalEntry], through: int
    ) -> Iterator[Entrant]:
        """Yield who enters because of events up to a seq."""
        about = [(one, row) for one in journal if one.seq <= through and (row := _contact(one))]
        if not about:
            return
        people = automation_people.people(connection, tenant_id, [row for _, row in about])
        found = [(one.row, one) for one in automations.active(connection, tenant_id)]
        written = readable("automation", found, self._written)
        for event, row in about:
            for automation, definition in written:
                person = people.get(row)
                if person is None or event.seq <= automation.since_seq:
                    continue
                audience_id = _met(definition.trigger, event, person)
                if audience_id is not None:
                    yield from _if_they_hold(automation, definition, {row: person}, audience_id)

    def _written(self, found: tuple[int, AutomationRecord]) -> tuple[AutomationRecord, Definition]:
        _, one = found
        return one, self._tools.library.written(one.row, one.version, one.definition).definition

    async def look(self, row: int) -> bool:
        """Look at some dates that are due for an automation; return whether any were.

        Raises:
            StorageError: call again.
        """
        now = self._tools.now()
        found = await self._tools.database.read(partial(self._look, row=row, now=now))
        if found is not None:
            await self._tools.database.write(partial(_write_look, looked=found, now=now))
        return found is not None

    def _look(self, connection: Connection, row: int, now: datetime) -> _Looked | None:
        automation = automations.by_row(connection, row)
        if automation is None or automation.look_at is None or automation.look_at > now:
            return None
        definition = self._tools.library.written(
            row, automation.version, automation.definition
        ).definition
        trigger, look_at = definition.trigger, automation.look_at
        behind = next_look(trigger, look_at, now)
        audience = audiences.get(connection, automation.tenant_id, trigger.audience_id)
        if trigger.audience_id and audience is None:
            return _Looked(automation, (), 0, behind)
        dates = Dates(
            automation.tenant_id,
            audience.row if audience else 0,
            trigger.property or trigger.field,
            bool(trigger.field),
            wanted_days(trigger, look_at),
        )
        found = automation_people.with_dates(
            connection, dates, after=automation.look_after, limit=LOOKED_AT_ONCE
        )
        people = automation_people.people(connection, automation.tenant_id, found.contact_rows)
        entrants = tuple(_if_they_hold(automation, definition, people, trigger.audience_id))
        if found.is_last:
            return _Looked(automation, entrants, 0, behind)
        return _Looked(automation, entrants, found.through, look_at)


def _contact(event: JournalEntry) -> int | None:
    """Return the row number of the contact that an event is about."""
    contact = event.data.get("contact")
    name = contact.get("id") if isinstance(contact, dict) else None
    return ids.number_of(name, "ct") if isinstance(name, str) else None


def _met(trigger: Trigger, event: JournalEntry, person: Person) -> str | None:
    """Return the audience ("" for none) that a run begins in; None: the event sets nothing off."""
    audience_id, tags = event.data.get("audience_id"), event.data.get("tags")
    where = audience_id if isinstance(audience_id, str) else ""
    words = [str(one) for one in tags] if isinstance(tags, list) else []
    if not trigger.meets(TRIGGER_KINDS[event.kind], where, words):
        return None
    if trigger.type is TriggerType.TAGGED and trigger.audience_id:
        member = person.members.get(trigger.audience_id)
        is_in = member is not None and member.status is Status.SUBSCRIBED
        return trigger.audience_id if is_in else None
    return where


def _if_they_hold(
    automation: AutomationRecord,
    definition: Definition,
    people: Mapping[int, Person],
    audience_id: str,
) -> Iterator[Entrant]:
    """Yield those of the people for whom the conditions of an automation hold."""
    for row, person in people.items():
        facts = replace(person.facts(), audience_id=audience_id)
        if all_hold(definition.conditions, facts):
            reentry = definition.reentry
            yield Entrant(automation.row, row, reentry, audience_id)


def _let_in(connection: Connection, seen: _Seen, now: datetime) -> bool:
    """Let contacts in and move the mark; False when somebody else has moved it.

    While a server is being replaced, its successor is at work before it has ended.
    """
    if automations.mark(connection) != seen.start:
        return False
    _enter(connection, seen.entrants, now)
    automations.set_mark(connection, seen.through)
    return True


def _enter(connection: Connection, entrants: Iterable[Entrant], now: datetime) -> None:
    for one in entrants:
        automation_runs.enter(connection, one, now=now)


@frozen
class _Looked:
    """What a look at some dates comes to: who enters, and where the look goes on, and when."""

    automation: AutomationRecord
    entrants: tuple[Entrant, ...]
    after: int
    look_at: datetime


def _write_look(connection: Connection, looked: _Looked, now: datetime) -> None:
    """Let contacts in, and write down how far the look has got; nothing when that has changed."""
    before = looked.automation
    current = automations.by_row(connection, before.row)
    if current is None or (current.look_at, current.look_after) != (
        before.look_at,
        before.look_after,
    ):
        return
    _enter(connection, looked.entrants, now)
    automations.looked(connection, before.row, after=looked.after, look_at=looked.look_at)
