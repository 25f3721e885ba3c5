"""The sandbox: recipients that answer as their names say, for tests of what an app does then.

    delivered@  bounced@  soft-bounced@  complained@  suppressed@  deferred@  <sandbox domain>

each with or without a label ("bounced+signup-7@"). Mail of a test key goes here whoever it is for,
and is delivered unless its address is one of these. Nothing here opens a connection: an outcome is
made up, and everything after it (retries, events, webhooks) is the real thing.

Not here: the session that gives these answers (mta/sandbox.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mta.core.address import Address
from mta.core.outcome import Accepted, Command, Outcome, Refused
from mta.core.reply import Reply

DEFAULT_DOMAIN = "sandbox.test"
"""Reserved for tests: no such domain can ever receive mail (RFC 6761 6.2)."""
SITE = "sandbox"
"""The site that sandbox mail waits for."""
SUPPRESSED_FOR = "sandbox"
"""Reason of the suppression of suppressed@."""
SUPPRESSED = "suppressed"
COMPLAINED = "complained"

_TAKEN = Accepted(Reply(250, "2.0.0", "Ok: taken by the sandbox"))
_ANSWERS: Mapping[str, Outcome] = MappingProxyType(
    {
        "delivered": _TAKEN,
        COMPLAINED: _TAKEN,
        "bounced": Refused(Reply(550, "5.1.1", "No such user (sandbox)"), Command.RCPT),
        "soft-bounced": Refused(Reply(552, "5.2.2", "Mailbox full (sandbox)"), Command.RCPT),
        "deferred": Refused(Reply(451, "4.3.0", "Try again later (sandbox)"), Command.RCPT),
    }
)
NAMES: tuple[str, ...] = (*_ANSWERS, SUPPRESSED)
"""Local parts that mean something."""
_UNKNOWN = Refused(
    Reply(550, "5.1.1", f"The sandbox has {', '.join(sorted(NAMES))}, each with or without +label"),
    Command.RCPT,
)


def answer(recipient: str, sandbox_domain: str) -> Outcome:
    """Return what the sandbox answers to a recipient, an address as in RCPT TO.

    deferred@ answers the same to every attempt, until the message expires. suppressed@ never gets
    here from accept; tried all the same, it is delivered to.
    """
    name = _name(*_split(recipient), sandbox_domain)
    if name is None or name == SUPPRESSED:
        return _TAKEN
    return _ANSWERS.get(name, _UNKNOWN)


def complains(recipient: str, sandbox_domain: str) -> bool:
    """Tell whether a complaint follows the delivery to a recipient."""
    return _name(*_split(recipient), sandbox_domain) == COMPLAINED


def is_suppressed(address: Address, sandbox_domain: str) -> bool | None:
    """Tell whether a sandbox address counts as suppressed; None: it is none of the sandbox's.

    What real suppression lists say of a sandbox address is of no account: a test that bounces may
    be repeated.
    """
    name = _name(address.local, address.domain, sandbox_domain)
    return None if name is None else name == SUPPRESSED


def _split(recipient: str) -> tuple[str, str]:
    local, _, domain = recipient.rpartition("@")
    return local, domain


def _name(local: str, domain: str, sandbox_domain: str) -> str | None:
    """Return what a sandbox address is called; None for an address of another domain."""
    return local.partition("+")[0].lower() if domain == sandbox_domain else None
