"""Links that confirm a membership: signed tokens with an end.

A token names the membership and when it was asked for. Not here: the page behind the link
(control_api/confirmation.py), the mail that has it (control_api/confirmation_sender.py).
"""

from __future__ import annotations

import base64
import re
from binascii import Error
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mta.core.frozen import frozen
from mta.core.seal import is_sealed, seal

LIFETIME = timedelta(days=14)
"""How long a link works."""

_MEMBERSHIP, _SECONDS, _SEAL = 6, 5, 16
_SIZE = _SEAL + _MEMBERSHIP + _SECONDS
_PURPOSE = b"confirmation link"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{36}")
"""base64url of _SIZE octets, which needs no padding."""


@frozen
class Confirmation:
    """What a link confirms.

    Attributes:
        membership_row: row number of the membership, 0 to 2**48 - 1.
        asked_at: when the link was made, to the second (aware, UTC).
    """

    membership_row: int
    asked_at: datetime

    def is_over(self, now: datetime) -> bool:
        """Tell whether the link works no more at this time (aware)."""
        return now - self.asked_at > LIFETIME


def token(confirmation: Confirmation, secret: bytes) -> str:
    """Return the token for a link: 36 letters, digits, "-" and "_".

    Raises:
        ValueError: a number outside its range, or a short secret.
    """
    try:
        payload = confirmation.membership_row.to_bytes(_MEMBERSHIP, "big") + int(
            confirmation.asked_at.timestamp()
        ).to_bytes(_SECONDS, "big")
    except OverflowError:
        raise ValueError("the membership is outside the range of a token") from None
    octets = seal(secret, _PURPOSE, payload, _SEAL) + payload
    return base64.urlsafe_b64encode(octets).decode("ascii")


def read_token(text: str, secrets: Sequence[bytes]) -> Confirmation | None:
    """Return what a token says, also one that is over; None for every text that is none.

    Args:
        text: what the link had, from anybody.
        secrets: the one that signs now and all before it.

    Raises:
        ValueError: a secret that is too short.
    """
    if not _TOKEN.fullmatch(text):
        return None
    try:
        octets = base64.urlsafe_b64decode(text)
    except Error:
        return None
    mac, payload = octets[:_SEAL], octets[_SEAL:]
    if len(octets) != _SIZE or not is_sealed(secrets, _PURPOSE, payload, mac):
        return None
    row, seconds = payload[:_MEMBERSHIP], payload[_MEMBERSHIP:]
    asked_at = datetime.fromtimestamp(int.from_bytes(seconds, "big"), UTC)
    return Confirmation(int.from_bytes(row, "big"), asked_at)
