"""Automations: what sets one off, whom it is for, and its steps; written down flat, as a program.

A program only goes forward: its jumps come from branches, so every run of it ends. Not here:
conditions (automation_condition.py), what is next and when (automation_plan.py), reading the JSON
of an author (control_api/automation_payload.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, time, timedelta

from mta.core.automation_condition import Condition
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.mime import Mailbox
from mta.core.tracking import NO_TRACKING, Tracking

MAX_STEPS = 100
"""Of an automation, those in branches included."""
MAX_DEPTH = 5
"""Branches inside one another."""


class TriggerType(enum.Enum):
    """What sets an automation off."""

    API = "api"
    """Nothing but a request; that sets off all others too."""
    CREATED = "contact.created"
    SUBSCRIBED = "contact.subscribed"
    UNSUBSCRIBED = "contact.unsubscribed"
    TAGGED = "contact.tagged"
    DATE = "date"
    """A date that contacts or members have, or so many days before or after."""


TRIGGER_KINDS: Mapping[EventKind, TriggerType] = {
    EventKind.CONTACT_CREATED: TriggerType.CREATED,
    EventKind.CONTACT_SUBSCRIBED: TriggerType.SUBSCRIBED,
    EventKind.CONTACT_UNSUBSCRIBED: TriggerType.UNSUBSCRIBED,
    EventKind.CONTACT_TAGGED: TriggerType.TAGGED,
}
"""The events that set automations off."""


class Reentry(enum.Enum):
    """Whether a contact may be in an automation again."""

    NEVER = "never"
    """Once and never again."""
    AFTER_END = "after_end"
    """Once at a time."""
    ALWAYS = "always"
    """Also while an earlier run is under way."""


@frozen
class Trigger:
    """What sets an automation off.

    Attributes:
        type: what kind of thing.
        audience_id: only in this audience, "aud_..."; "" any. With DATE, its subscribed members;
            with TAGGED and API, what happens is in none, and runs begin in this one.
        tag: of TAGGED, which one.
        property, field: of DATE, which property of the contact or field of the member has the date.
        offset: of DATE, that long after the date; negative: before.
        time: of DATE, at this time of the day, UTC.
        is_yearly: of DATE, every year on that day, as with birthdays.
    """

    type: TriggerType
    audience_id: str = ""
    tag: str = ""
    property: str = ""
    field: str = ""
    offset: timedelta = timedelta()
    time: time = time(9)
    is_yearly: bool = False

    def meets(self, kind: TriggerType, audience_id: str, tags: Sequence[str]) -> bool:
        """Tell whether something that happened to a contact sets the automation off."""
        if self.type is not kind:
            return False
        if kind is TriggerType.TAGGED:
            return self.tag in tags
        return self.audience_id in ("", audience_id)


@frozen
class Send:
    """Send the contact a mail.

    Attributes:
        template_id: "tpl_..."; its published version at that time.
        from_: the sender; None: the audience's.
        reply_to: may be empty: the audience's then.
        subject: in the place of the template's; "": the template's.
        audience_id: in which the contact must be subscribed; "" the audience of the run, if any.
        tracking: what is noted of the reader.
        variables: for the template; those of the contact go before them.
        is_marketing: whether it offers to unsubscribe, and waits for transactional mail.
    """

    template_id: str
    from_: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    audience_id: str = ""
    tracking: Tracking = NO_TRACKING
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    is_marketing: bool = True


@frozen
class Wait:
    """Wait.

    Attributes:
        delay: so long.
        until: instead, until then (aware, UTC); None: no such wish. What is past waits no time.
        time: after that, until it is this time of the day, UTC; None: no such wish.
    """

    delay: timedelta = timedelta()
    until: datetime | None = None
    time: time | None = None


@frozen
class ChangeTags:
    """Put tags on the contact, and take some off."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@frozen
class Post:
    """Post what is known of the contact and the run to a URL."""

    url: str


@frozen
class Transfer:
    """Let the contact join an audience; with `source`, leave that one for it ("aud_..." both)."""

    target: str
    source: str = ""


Effect = Send | Wait | ChangeTags | Post | Transfer
"""What a step does."""


@frozen
class Check:
    """Go on only if all conditions hold; otherwise the run is at its end."""

    conditions: tuple[Condition, ...]


@frozen
class Branch:
    """Do one list of steps if all conditions hold, the other if not; then go on behind both."""

    conditions: tuple[Condition, ...]
    then: tuple[Step, ...] = ()
    otherwise: tuple[Step, ...] = ()


@frozen
class Stop:
    """The run is at its end."""


Step = Effect | Check | Branch | Stop


@frozen
class Definition:
    """What an author wrote: an automation without its name."""

    trigger: Trigger
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    reentry: Reentry = Reentry.AFTER_END


@frozen
class Test:
    """Go on with the next instruction if all conditions hold, else with the one at `otherwise`."""

    conditions: tuple[Condition, ...]
    otherwise: int


@frozen
class Jump:
    """Go on with the instruction at `target`, which is further on."""

    target: int


@frozen
class Instruction:
    """One place of a program; `path` says which step it is of, such as "steps[2].then[0]"."""

    path: str
    action: Effect | Test | Jump


Program = tuple[Instruction, ...]
"""A run is at one of its places; at its length, the run is at its end."""


def flattened(steps: Sequence[Step]) -> Program:
    """Return steps as a program."""
    end = _size(steps)
    return tuple(_flattened(steps, "steps", 0, end))


def _size(steps: Sequence[Step]) -> int:
    """Return how many instructions steps become."""
    return sum(
        _size(step.then) + _size(step.otherwise) + 2 if isinstance(step, Branch) else 1
        for step in steps
    )


def _flattened(steps: Sequence[Step], path: str, start: int, end: int) -> list[Instruction]:
    found: list[Instruction] = []
    for index, step in enumerate(steps):
        here, place = f"{path}[{index}]", start + len(found)
        match step:
            case Check():
                found.append(Instruction(here, Test(step.conditions, end)))
            case Stop():
                found.append(Instruction(here, Jump(end)))
            case Branch():
                behind = place + 1 + _size(step.then) + 1
                found.append(Instruction(here, Test(step.conditions, behind)))
                found += _flattened(step.then, f"{here}.then", place + 1, end)
                found.append(Instruction(here, Jump(behind + _size(step.otherwise))))
                found += _flattened(step.otherwise, f"{here}.else", behind, end)
            case _:
                found.append(Instruction(here, step))
    return found
