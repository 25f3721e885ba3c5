"""Contacts and their membership of audiences: the words, and which changes of status are allowed.

Not here: keeping them (storage/contacts.py, storage/memberships.py).
"""

from __future__ import annotations

import enum


class Status(enum.Enum):
    """What a member of an audience has agreed to, or how that ended."""

    UNCONFIRMED = "unconfirmed"
    """Submitted by somebody, not yet confirmed; gets no campaigns."""
    SUBSCRIBED = "subscribed"
    """Gets what is sent to the audience."""
    UNSUBSCRIBED = "unsubscribed"
    """Wanted no more."""
    BOUNCED = "bounced"
    """The address is dead."""
    COMPLAINED = "complained"
    """Called the mail spam."""
    BLOCKED = "blocked"
    """The tenant decided so, by a suppression or directly."""


STATUSES: tuple[str, ...] = tuple(status.value for status in Status)

_OF_REASON = {
    "bounce": Status.BOUNCED,
    "complaint": Status.COMPLAINED,
    "unsubscribe": Status.UNSUBSCRIBED,
}


def resubmitted(old: Status, new: Status) -> Status:
    """Return the status of a member who is submitted again, by a form or an import.

    Only a step from unconfirmed to subscribed counts: who has confirmed is never asked again, and
    who has left does not come back because an old list is imported once more.
    """
    return new if (old, new) == (Status.UNCONFIRMED, Status.SUBSCRIBED) else old


def status_of_suppression(reason: str) -> Status:
    """Return what a member becomes whose address is suppressed for this reason."""
    return _OF_REASON.get(reason, Status.BLOCKED)
