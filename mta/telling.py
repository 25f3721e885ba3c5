"""What senders are told of their mail while it is delivered: only by SMTP, only where they ask.

Not here: noting it (storage/aftermath.py) and telling (delivery_reports.py).
Follows RFC 3461 4.1 and 5.2.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from mta.core.delivery_status import wants
from mta.core.disposition import (
    Bounced,
    Deferred,
    Delivered,
    Disposition,
    Expired,
    Quarantined,
)
from mta.core.dsn import Action
from mta.core.frozen import frozen
from mta.core.submission import Door
from storage.queue import QueuedEntry, QueuedMessage


@frozen
class TellingRules:
    """Who is told.

    Attributes:
        is_enabled: whether anybody is.
        delay_after: how long mail waits until its sender is told of that.
    """

    is_enabled: bool = False
    delay_after: timedelta = timedelta(hours=4)

    def wish(
        self,
        message: QueuedMessage,
        entry: QueuedEntry,
        disposition: Disposition,
        at: datetime,
        *,
        has_peer_dsn: bool,
    ) -> str:
        """Return what the sender of a message is to be told, an Action's value; "" for nothing.

        Args:
            message: what was tried.
            entry: for whom.
            disposition: what became of it.
            at: when (aware, UTC).
            has_peer_dsn: the server was told what the sender wants, and reports by itself.
        """
        if not message.mail_from or message.door != Door.SMTP.value or not self.is_enabled:
            return ""
        match disposition:
            case Delivered():
                is_asked = not has_peer_dsn and wants(entry.notify, "SUCCESS")
                return Action.RELAYED.value if is_asked else ""
            case Deferred():
                is_late = at - entry.eligible_at >= self.delay_after
                return Action.DELAYED.value if is_late and wants(entry.notify, "DELAY") else ""
            case Quarantined():
                return ""
            case Bounced() | Expired():
                return Action.FAILED.value if wants(entry.notify, "FAILURE") else ""
            case _:
                assert_never(disposition)


NOBODY = TellingRules()
"""Nobody is told of anything."""
