"""How well a sender domain's mail fares: one number made of its bounces and complaints.

    score = 100 - 60 * min(1, bounces / 10 %) - 40 * min(1, complaints / 0.3 %)

Bounces are refusals for good, expirations and reports that came later, of all that came to an end;
complaints are of what was delivered. The limits are where trouble begins: Gmail and Yahoo ask
senders to stay below 0.3 % complaints (their sender guidelines, 2024), and sending services pause
accounts at some 10 % bounces. Not here: counting (storage/stats.py).
"""

from __future__ import annotations

from mta.core.frozen import frozen

WORST_BOUNCE_RATE, WORST_COMPLAINT_RATE = 0.10, 0.003
_BOUNCE_SHARE, _COMPLAINT_SHARE = 60, 40


@frozen
class Fared:
    """What became of a domain's mail.

    Attributes:
        delivered, bounced, expired: recipients.
        reported: of the delivered ones, those that came back later.
        complained: of the delivered ones.
    """

    delivered: int = 0
    bounced: int = 0
    expired: int = 0
    reported: int = 0
    complained: int = 0

    @property
    def sent(self) -> int:
        """All that came to an end."""
        return self.delivered + self.bounced + self.expired

    @property
    def bounce_rate(self) -> float | None:
        """Share of what was sent; None of nothing."""
        failed = self.bounced + self.expired + self.reported
        return min(1.0, failed / self.sent) if self.sent else None

    @property
    def complaint_rate(self) -> float | None:
        """Share of what was delivered; None of nothing."""
        return min(1.0, self.complained / self.delivered) if self.delivered else None

    @property
    def score(self) -> int | None:
        """From 0 to 100, the best; None while nothing was sent."""
        if not self.sent:
            return None
        bounces = min(1.0, (self.bounce_rate or 0.0) / WORST_BOUNCE_RATE)
        complaints = min(1.0, (self.complaint_rate or 0.0) / WORST_COMPLAINT_RATE)
        return round(100 - _BOUNCE_SHARE * bounces - _COMPLAINT_SHARE * complaints)
