"""Campaigns: one mail to many people, and the states that it goes through.

    draft -> scheduled -> sending -> completed
                 |        |    ^
                 +-> paused ---+          scheduled, sending, paused -> canceled

Not here: keeping them (storage/campaigns.py), sending (control_api/campaign_expansion.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field

from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.tracking import NO_TRACKING, Tracking


class CampaignStatus(enum.Enum):
    """Where a campaign stands."""

    DRAFT = "draft"
    """It is being written."""
    SCHEDULED = "scheduled"
    """It starts at its time."""
    SENDING = "sending"
    """Its recipients have their turn, one after the other."""
    PAUSED = "paused"
    """Nothing of it goes out until it is resumed."""
    COMPLETED = "completed"
    """Everybody has had a turn, and everything was tried at least once."""
    CANCELED = "canceled"
    """Nothing more of it goes out."""


class Action(enum.Enum):
    """What can be asked of a campaign, or what happens to it."""

    SEND = "send"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    COMPLETE = "complete"
    EDIT = "edit"
    DELETE = "delete"


class Todo(enum.Enum):
    """What is to be done with the emails of a campaign that are queued."""

    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"


_D, _S, _G = CampaignStatus.DRAFT, CampaignStatus.SCHEDULED, CampaignStatus.SENDING
_P, _C, _X = CampaignStatus.PAUSED, CampaignStatus.COMPLETED, CampaignStatus.CANCELED
_ALLOWED: Mapping[Action, frozenset[CampaignStatus]] = {
    Action.SEND: frozenset({_D}),
    Action.PAUSE: frozenset({_S, _G}),
    Action.RESUME: frozenset({_P}),
    Action.CANCEL: frozenset({_S, _G, _P}),
    Action.COMPLETE: frozenset({_G}),
    Action.EDIT: frozenset({_D, _S, _P}),
    Action.DELETE: frozenset({_D, _P, _C, _X}),
}


def is_allowed(action: Action, status: CampaignStatus) -> bool:
    """Tell whether a campaign that stands there takes an action."""
    return status in _ALLOWED[action]


@frozen
class Segment:
    """Which members of an audience get it: those that meet all that is given.

    Attributes:
        tag: of the contact; "" asks nothing.
        has_opened, has_clicked: whether the contact has ever done so with tracked mail; None asks
            nothing.
    """

    tag: str = ""
    has_opened: bool | None = None
    has_clicked: bool | None = None


EVERYBODY = Segment()


@frozen
class Content:
    """What a campaign says.

    Attributes:
        from_name, from_email: the sender.
        reply_to: names and addresses.
        subject: Liquid; "" leaves it to the template.
        html, text: Liquid; None for none. Both None with a template.
        template_id: "tpl_..."; "" for none.
        variables: for everybody; what is known of a person goes before them.
        tracking: what is noted of its readers.
        tags: of the emails, names and values.
    """

    from_name: str
    from_email: str
    reply_to: tuple[tuple[str, str], ...] = ()
    subject: str = ""
    html: str | None = None
    text: str | None = None
    template_id: str = ""
    variables: Mapping[str, JsonValue] = field(default_factory=dict)
    tracking: Tracking = NO_TRACKING
    tags: tuple[tuple[str, str], ...] = ()


BOUNCE_RATE, COMPLAINT_RATE = BRAKED = ("bounce_rate", "complaint_rate")
"""Why a campaign pauses itself."""


@frozen
class Brakes:
    """When a campaign pauses itself.

    Attributes:
        max_bounce_rate: share of failures among what was settled, 0.08 is 8 %.
        max_complaint_rate: share of complaints among what was delivered.
        min_settled: how much must be settled before either counts.
    """

    max_bounce_rate: float = 0.08
    max_complaint_rate: float = 0.003
    min_settled: int = 200

    def reason(self, counts: Counts) -> str:
        """Return why a campaign is to be paused, "" while there is no reason."""
        settled = counts.sent
        if settled < self.min_settled:
            return ""
        if counts.bounced + counts.failed > self.max_bounce_rate * settled:
            return BOUNCE_RATE
        if counts.complained > self.max_complaint_rate * max(counts.delivered, 1):
            return COMPLAINT_RATE
        return ""


@frozen
class Counts:
    """What has become of a campaign's emails.

    Attributes:
        queued: accepted, and neither delivered nor given up.
        sent: tried, and done with: delivered, bounced or failed.
        delivered: a server has taken them.
        bounced: refused for good; also what reports said later of delivered ones.
        failed: given up when their lifetime ended.
        complained, unsubscribed: what recipients said.
        suppressed: not tried, because the address is suppressed.
        canceled: taken out of the queue.
        skipped: not made: without consent by then, or something is missing.
    """

    queued: int = 0
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    failed: int = 0
    complained: int = 0
    unsubscribed: int = 0
    suppressed: int = 0
    canceled: int = 0
    skipped: int = 0
