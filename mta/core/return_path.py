"""Signed local parts: the return path of every queue entry, and its unsubscribe address.

    b-aaaaaaasm4aaaaabkeu62rbnc4awkyn5iithhh55   a letter for the purpose, 40 characters of base32

They hold the entry's row number, the tenant and the day of issue, and a seal of 104 bits. A report
to such an address names its entry whatever its text says; one that we did not issue is refused in
the SMTP session, so forged bounces change nothing.

The form survives what mail systems do to local parts. Some change the case: base32 is read in
either. Some take "+" or "=" for the start of a detail and cut there, or refuse to send to them:
letters, digits and a hyphen are all there is. Half of the 64 octets (RFC 5321 4.5.3.1.1) stay free
for forwarders that wrap the address into one of their own.

Not here: the domain behind the @, whether the entry exists, and how often one address may report.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from mta.core.frozen import frozen
from mta.core.seal import is_sealed, seal

_ENTRY, _TENANT, _DAY, _SEAL = 6, 4, 2, 13
"""Octets of each part. Together 25, a multiple of 5: base32 then has no padding and no spare bits,
so that every local part has exactly one spelling, case apart."""
_PAYLOAD = _ENTRY + _TENANT + _DAY
_LOCAL = re.compile(r"([A-Za-z])-([A-Za-z2-7]{40})")
_EPOCH = date(1970, 1, 1)
_ONE_DAY = timedelta(days=1)


class Purpose(enum.Enum):
    """What mail to the address means; a local part for one is forged as the other."""

    BOUNCE = "b"
    UNSUBSCRIBE = "u"


class Flaw(enum.Enum):
    """Why a local part is refused."""

    MALFORMED = "malformed"
    """Not of our form, or for the other purpose by its letter: maybe an ordinary mailbox."""
    FORGED = "forged"
    """Of our form, but not sealed by us for this purpose."""
    EXPIRED = "expired"
    """Ours, and too old."""


@frozen
class ReturnPath:
    """What a signed local part says.

    Attributes:
        entry_number: row number of the queue entry, 0 to 2**48 - 1.
        tenant_id: whose mail it is, 0 to 2**32 - 1; to be compared with the entry's own tenant and
            with that of the domain behind the @.
        issued_on: day in UTC on which the entry was accepted. Not the day of an attempt: servers
            that greylist must see one return path at every attempt.
    """

    entry_number: int
    tenant_id: int
    issued_on: date


def encode(path: ReturnPath, secret: bytes, *, purpose: Purpose = Purpose.BOUNCE) -> str:
    """Return the local part, 42 octets in lower case; the same arguments give the same text.

    Raises:
        ValueError: a number or a day outside its range (days: 1970 to 2149), or a short secret.
    """
    try:
        payload = (
            path.entry_number.to_bytes(_ENTRY, "big")
            + path.tenant_id.to_bytes(_TENANT, "big")
            + (path.issued_on - _EPOCH).days.to_bytes(_DAY, "big")
        )
    except OverflowError:
        raise ValueError("entry, tenant or day is outside the range of a return path") from None
    sealed = payload + seal(secret, _label(purpose), payload, _SEAL)
    return f"{purpose.value}-{base64.b32encode(sealed).decode('ascii').lower()}"


def decode(
    local: str,
    secrets: Sequence[bytes],
    *,
    now: datetime,
    valid_for: timedelta | None,
    purpose: Purpose = Purpose.BOUNCE,
) -> ReturnPath | Flaw:
    """Return what a local part says, or why it is refused.

    Args:
        local: as it came in RCPT, in any case.
        secrets: the one that signs now and those before it that still count.
        now: aware.
        valid_for: how long a local part counts after the end of its day of issue: the lifetime of
            a message and the time that late reports take. None for ever.
        purpose: what the address is used as.

    Raises:
        ValueError: a secret that is too short.
    """
    match = _LOCAL.fullmatch(local)
    if match is None or match[1].lower() != purpose.value:
        return Flaw.MALFORMED
    sealed = base64.b32decode(match[2].upper())
    payload, mac = sealed[:_PAYLOAD], sealed[_PAYLOAD:]
    if not is_sealed(secrets, _label(purpose), payload, mac):
        return Flaw.FORGED
    path = _read(payload)
    end_of_day = datetime.combine(path.issued_on, time.min, UTC) + _ONE_DAY
    if valid_for is not None and now - end_of_day >= valid_for:
        return Flaw.EXPIRED
    return path


def _label(purpose: Purpose) -> bytes:
    return f"return path {purpose.value}".encode("ascii")


def _read(payload: bytes) -> ReturnPath:
    entry, rest = payload[:_ENTRY], payload[_ENTRY:]
    return ReturnPath(
        entry_number=int.from_bytes(entry, "big"),
        tenant_id=int.from_bytes(rest[:_TENANT], "big"),
        issued_on=_EPOCH + timedelta(days=int.from_bytes(rest[_TENANT:], "big")),
    )
