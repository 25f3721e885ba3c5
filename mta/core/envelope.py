"""The envelope: return path and recipients, with what the client asked for each.

Not here: parsing MAIL and RCPT (esmtp.py). Follows RFC 5321 2.3.1 and RFC 3461.
"""

from __future__ import annotations

import enum

from mta.core.address import Address
from mta.core.frozen import frozen


class Priority(enum.IntEnum):
    """Order inside one site; the number is what storage sorts by."""

    TRANSACTIONAL = 0
    BULK = 1

    @classmethod
    def named(cls, name: str) -> Priority | None:
        """Return the priority for "transactional" or "bulk" in any case, None for other words."""
        return {"transactional": cls.TRANSACTIONAL, "bulk": cls.BULK}.get(name.strip().lower())


@frozen
class Recipient:
    """One recipient.

    Attributes:
        address: where the mail goes.
        notify: NOTIFY in upper case, such as "SUCCESS,FAILURE"; "" when not given (RFC 3461 4.1).
        orcpt: ORCPT as given, xtext and all, such as "rfc822;a@b.example"; "" when not given
            (RFC 3461 4.2).
    """

    address: Address
    notify: str = ""
    orcpt: str = ""


@frozen
class Envelope:
    """Who gets a message and who is told when that fails.

    Attributes:
        mail_from: the return path; None is the null return path <> (RFC 5321 4.5.5).
        recipients: in the order given, at least one.
        ret: RET, "FULL" or "HDRS"; "" when not given (RFC 3461 4.3).
        envid: ENVID as given, in xtext; "" when not given (RFC 3461 4.4).
    """

    mail_from: Address | None
    recipients: tuple[Recipient, ...]
    ret: str = ""
    envid: str = ""
