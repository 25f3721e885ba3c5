"""What follows from a report for the mail that it is about: facts -> findings.

A finding is about one recipient, or about the one whose sealed address the report came to. Not
here: finding the entry, and writing it down (storage/feedback.py). What an automatic reply says is
never a finding.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta.core.bounce import PASSING, BounceClass
from mta.core.dsn import Action
from mta.core.frozen import frozen
from mta.core.report import ReportKind
from mta.core.report_facts import ReportFacts
from mta.core.reported import ReportedRecipient

NO_COMPLAINT = frozenset({"auth-failure", "not-spam", "dmarc", "virus"})
"""Feedback types (RFC 5965 7.3, RFC 6591 3.1, RFC 6430) by which nobody complains of us."""
OPT_OUT = frozenset({"opt-out", "opt-out-list"})


@frozen
class Failure:
    """The mail was not delivered after all.

    Attributes:
        recipient: as the report spells it, "" when it names nobody.
        bounce_class, status, diagnostic: what the report says; the texts may be "".
        is_permanent: the same mail would fail again.
        is_hard: the address should get no more mail.
        rule: what decided that, may be "".
    """

    recipient: str
    bounce_class: BounceClass
    status: str = ""
    diagnostic: str = ""
    is_permanent: bool = True
    is_hard: bool = False
    rule: str = ""


@frozen
class Complaint:
    """A recipient called the mail spam; recipient "" when the report names nobody."""

    recipient: str
    feedback_type: str = "abuse"


@frozen
class OptOut:
    """A recipient wants no more of this mail; recipient "" when the mail names nobody."""

    recipient: str


Finding = Failure | Complaint | OptOut


def findings_of(facts: ReportFacts) -> tuple[Finding, ...]:
    """Return what a report says; () when nothing follows from it: delays, automatic replies."""
    names = [one.address for one in facts.recipients] or [""]
    match facts.kind:
        case ReportKind.BOUNCE:
            return tuple(_failure(one) for one in facts.recipients if _has_failed(one))
        case ReportKind.ARF if facts.feedback_type in OPT_OUT:
            return tuple(OptOut(name) for name in names)
        case ReportKind.ARF if facts.feedback_type not in NO_COMPLAINT:
            return tuple(Complaint(name, facts.feedback_type) for name in names)
        case _:
            return ()


def wants_out(facts: ReportFacts) -> bool:
    """Tell whether a mail to an unsubscribe address means what it was sent for.

    Any mail does that a person or a mail program sends there; reports, and replies of programs to
    mail that we never sent from there, do not.
    """
    return facts.kind in {ReportKind.NONE, ReportKind.AUTOREPLY} and not facts.is_auto_reply


def about(findings: Sequence[Finding], recipient: str) -> Finding | None:
    """Return the finding about a recipient whose own sealed address the report came to.

    The report may spell the address otherwise, or name the one that it was forwarded to; with a
    return path for each recipient all of it is about that one.
    """
    named = (one for one in findings if is_same(one.recipient, recipient))
    return next(named, findings[0] if findings else None)


def is_same(reported: str, recipient: str) -> bool:
    """Tell whether a reported address is our recipient; case is no difference."""
    return reported.lower() == recipient.lower()


def _has_failed(one: ReportedRecipient) -> bool:
    if one.action is None:
        return bool(one.is_permanent) or one.bounce_class not in PASSING
    return one.action is Action.FAILED


def _failure(one: ReportedRecipient) -> Failure:
    return Failure(
        recipient=one.address,
        bounce_class=one.bounce_class,
        status=one.status,
        diagnostic=one.diagnostic,
        is_permanent=bool(one.is_permanent),
        is_hard=bool(one.is_hard),
        rule=one.rule,
    )
