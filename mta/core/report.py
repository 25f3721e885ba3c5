"""A mail that came back, read as a whole: what kind of report it is, and about whom.

The steps: complaint (arf.py), challenge (autoreply.py), delivery status (dsn.py), notice for people
(notice.py), automatic reply. Not here: whether the report is about mail of ours, and what follows.
Follows RFC 3464, RFC 5965 and RFC 3834 through those modules. Never raises.
"""

from __future__ import annotations

import enum
from dataclasses import replace

from mta.core.arf import Feedback, read_feedback
from mta.core.autoreply import is_autoreply, is_challenge, is_of_absent
from mta.core.bounce import BounceClass
from mta.core.bounce_rules import Classifier
from mta.core.diagnostic import code_in
from mta.core.frozen import frozen
from mta.core.mime_reader import NO_FIELDS, Fields, read_mail
from mta.core.report_evidence import Evidence, gather
from mta.core.reported import ReportedRecipient, of_notice, of_statuses


class ReportKind(enum.Enum):
    """What a mail turned out to be."""

    BOUNCE = "bounce"
    ARF = "arf"
    AUTOREPLY = "autoreply"
    NONE = "none"


@frozen
class Report:
    """A mail read as a report.

    Attributes:
        kind: what it is.
        recipients: whom it is about, none twice. Of a bounce only those that the mail did not
            reach, delayed ones among them.
        feedback_type: of a complaint (RFC 5965 7.3), else "".
        original_id: Message-ID of the returned mail, "" where it is not there.
        returned: header of the returned mail.
    """

    kind: ReportKind
    recipients: tuple[ReportedRecipient, ...] = ()
    feedback_type: str = ""
    original_id: str = ""
    returned: Fields = NO_FIELDS


def read_report(data: bytes, classifier: Classifier) -> Report:
    """Read a mail of any kind; what is no report gives kind NONE."""
    evidence = gather(read_mail(data))
    return replace(
        _read(evidence, classifier),
        original_id=evidence.returned.get("message-id").strip()[:998],
        returned=evidence.returned,
    )


def _read(evidence: Evidence, classifier: Classifier) -> Report:
    feedback = _feedback(evidence)
    if feedback is not None:
        return _complaint(feedback)
    if _is_challenge(evidence):
        return Report(ReportKind.AUTOREPLY)
    if evidence.statuses:
        return _bounce(of_statuses(evidence, classifier))
    if _is_autoreply(evidence):
        return Report(ReportKind.AUTOREPLY)
    return _bounce(of_notice(evidence, classifier) if evidence.is_notice else ())


def _is_autoreply(evidence: Evidence) -> bool:
    """Return whether nobody but a machine of the reader's answered: mail systems say otherwise."""
    fields, text = evidence.mail.fields, evidence.notice.text
    if evidence.announces_failure:
        return False
    if evidence.is_from_daemon:
        is_telling = evidence.quotes or evidence.is_delay
        return not is_telling and is_of_absent(fields, text)
    # Mail systems, too, say that they answer on their own; but then there is more than words.
    is_plain = not (evidence.is_of_daemon and evidence.shows_failure)
    return is_autoreply(fields, text) if is_plain else is_of_absent(fields, text)


def _bounce(recipients: tuple[ReportedRecipient, ...]) -> Report:
    return Report(ReportKind.BOUNCE if recipients else ReportKind.NONE, recipients)


def _feedback(evidence: Evidence) -> Feedback | None:
    cloud = evidence.cloud
    if cloud is not None:
        return Feedback(cloud.feedback_type, cloud.complainers) if cloud.complainers else None
    if evidence.statuses:
        return None
    return read_feedback(evidence.mail, "" if evidence.announces_failure else evidence.own_subject)


def _complaint(feedback: Feedback) -> Report:
    complainers = tuple(
        ReportedRecipient(address, "", BounceClass.FEEDBACK, None, None)
        for address in feedback.recipients
    )
    return Report(ReportKind.ARF, complainers, feedback.feedback_type)


def _is_challenge(evidence: Evidence) -> bool:
    """Return whether it is a challenge, sent as a delivery status or not.

    A subject that tells of a failure may quote the challenge that could not be delivered, or a mail
    of ours that asks to confirm something, and a server's own answer may speak of a whitelist.
    """
    if evidence.announces_failure and not evidence.statuses:
        return False
    quotes_server = any(status.diagnostic for status in evidence.statuses)
    text = "" if quotes_server or evidence.is_of_daemon else evidence.notice.text
    was_refused = any(code_in(status.diagnostic) for status in evidence.statuses)
    is_of_failure = was_refused and (evidence.announces_failure or evidence.is_from_daemon)
    subject = "" if is_of_failure else evidence.own_subject
    return is_challenge(subject, evidence.mail.fields.get("from"), text)
