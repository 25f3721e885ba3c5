"""Whom a bounce is about, and what it means for each: evidence -> recipients with their verdicts.

The machine-readable part counts first; its text fields say more than its codes, and where they say
nothing definite the text for people is asked. Not here: whether a mail is a bounce (report.py).
Follows RFC 3464 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mta.core.bounce import BounceClass, Verdict
from mta.core.bounce_rules import Classifier
from mta.core.diagnostic import Diagnostic, code_in
from mta.core.dsn import Action, RecipientStatus
from mta.core.frozen import frozen
from mta.core.mime_reader import printable_text
from mta.core.report_evidence import Evidence, addresses_of

_OWN = ("to", "delivered-to", "from", "sender", "return-path", "errors-to", "cc")
_ADDRESSED = ("to", "cc", "x-original-to", "delivered-to", "envelope-to", "x-envelope-to", "bcc")


@frozen
class ReportedRecipient:
    """What a report says of one recipient.

    Attributes:
        address: as the report spells it, no control characters in it.
        status: enhanced status that the report gives, "" for none.
        bounce_class: the kind of failure; FEEDBACK for a complaint.
        is_permanent: delivery was given up for a reason that lasts; None where that is no question.
        is_hard: the address should get no more mail; None where that is no question.
        rule: what decided, as in a Verdict.
        action: what the reporting server did; None where it does not say.
        diagnostic: the words that decided, may be "".
    """

    address: str
    status: str
    bounce_class: BounceClass
    is_permanent: bool | None
    is_hard: bool | None
    rule: str = ""
    action: Action | None = None
    diagnostic: str = ""


@frozen
class _Finding:
    """What is known of one recipient before it is put together."""

    address: str
    diagnostic: Diagnostic
    verdict: Verdict
    action: Action | None = None
    is_delayed: bool = False


def is_failure(status: RecipientStatus) -> bool:
    """Return whether a recipient was not reached, or not yet."""
    if status.action is None:
        return not status.status.startswith("2")
    return status.action in {Action.FAILED, Action.DELAYED}


def of_statuses(evidence: Evidence, classifier: Classifier) -> tuple[ReportedRecipient, ...]:
    """Return the recipients that the delivery status says were not reached."""
    return tuple(
        _of_status(status, evidence, classifier)
        for status in evidence.statuses
        if is_failure(status)
    )


def of_notice(evidence: Evidence, classifier: Classifier) -> tuple[ReportedRecipient, ...]:
    """Return the recipients that the text for people says were not reached."""
    failures = _failures(evidence)
    is_only = len(failures) == 1
    return tuple(
        _of_reason(address, reason, evidence, classifier, is_only=is_only)
        for address, reason in failures
    )


def _failures(evidence: Evidence) -> list[tuple[str, str]]:
    """Return addresses with the lines about each."""
    notice = evidence.notice
    stated = addresses_of(evidence.mail.fields, ("x-failed-recipients",))
    if stated:
        return [(address, notice.reason_for(address, stated) or notice.text) for address in stated]
    own = addresses_of(evidence.mail.fields, _OWN)
    known = addresses_of(evidence.returned, _ADDRESSED)
    named = notice.failures(own, known)
    if named:
        return [(failure.address, failure.reason) for failure in named]
    return [(address, notice.text) for address in _left_over(evidence, known)]


def _local_names(evidence: Evidence) -> tuple[str, ...]:
    """Return the addresses of names without a domain: they are of the notice's own domain."""
    senders = addresses_of(evidence.mail.fields, ("from",))
    domain = _domain(senders[0]) if senders else ""
    names = evidence.notice.bare_names if domain else ()
    return tuple(f"{name}@{domain}" for name in names)


def _left_over(evidence: Evidence, known: Sequence[str]) -> Sequence[str]:
    """Return whom a notice without addresses is about: local names, or the mail's own recipient."""
    if names := _local_names(evidence):
        return names
    is_list = evidence.returned.has("list-id") or evidence.returned.has("list-post")
    is_clear = len(known) == 1 and evidence.notice.has_introduction and not is_list
    return known if is_clear else ()


def _of_reason(
    address: str, reason: str, evidence: Evidence, classifier: Classifier, *, is_only: bool
) -> ReportedRecipient:
    diagnostic = Diagnostic.read(reason, host=_domain(address))
    verdict = _judge(diagnostic, classifier)
    if is_only and not verdict.is_textual:
        text = f"{evidence.subject}\n{evidence.notice.text}"
        whole = Diagnostic.read(text, status=diagnostic.status, host=_domain(address))
        wider = _judge(whole, classifier)
        if wider.is_textual or verdict.bounce_class is BounceClass.UNKNOWN:
            diagnostic, verdict = whole, wider
    if diagnostic.is_permanent is None and verdict.bounce_class is BounceClass.NETWORK:
        verdict = replace(verdict, is_permanent=True)  # without a code: it has been given up
    is_delayed = evidence.is_delay and diagnostic.is_permanent is not True
    if is_delayed and not verdict.is_textual:
        verdict = replace(verdict, bounce_class=BounceClass.EXPIRED, may_suppress=False)
    return _put_together(_Finding(address, diagnostic, verdict, is_delayed=is_delayed))


def _of_status(
    status: RecipientStatus, evidence: Evidence, classifier: Classifier
) -> ReportedRecipient:
    diagnostic, verdict = _opinion(status, evidence, classifier)
    if diagnostic.is_permanent is None and status.action is Action.FAILED:
        verdict = replace(verdict, is_permanent=True)
    gave_up = diagnostic.status == "5.0.0" and not diagnostic.code
    if gave_up and verdict.bounce_class is BounceClass.EXPIRED:
        verdict = replace(verdict, is_permanent=False)
    is_delayed = status.action is Action.DELAYED
    return _put_together(
        _Finding(status.address, diagnostic, verdict, status.action, is_delayed=is_delayed)
    )


def _opinion(
    status: RecipientStatus, evidence: Evidence, classifier: Classifier
) -> tuple[Diagnostic, Verdict]:
    """Return what the fields mean, or the text for people where they say nothing definite."""
    host = status.remote or _domain(status.address)
    stated = Diagnostic.read(_answer(status, evidence), status=status.status, host=host)
    about = evidence.about(status)
    stated = replace(stated, command=stated.command or Diagnostic.read(about).command)
    verdict = classifier.judge(stated)
    if verdict.is_textual:
        return stated, verdict
    for text in (about, evidence.notice.text if len(evidence.statuses) == 1 else ""):
        read = Diagnostic.read(_of_answer(text, stated.code), status=stated.status, host=host)
        second = _judge(replace(read, code=stated.code or read.code), classifier)
        if second.is_textual:
            return read, second
    return stated, verdict


def _answer(status: RecipientStatus, evidence: Evidence) -> str:
    """Return what the remote server said, from the text for people where the fields lack it."""
    if status.diagnostic:
        return evidence.notice.completed(status.diagnostic)
    return evidence.notice.answer_for(status.address)


def _of_answer(text: str, code: int) -> str:
    """Return the lines of a text that do not quote another reply than the one with this code."""
    if not code:
        return text
    lines = text.splitlines()
    return "\n".join(line for line in lines if code_in(line) in {0, code})


def _judge(diagnostic: Diagnostic, classifier: Classifier) -> Verdict:
    """Return what running text means: the answer of a server that it quotes, else its own words."""
    if diagnostic.code:
        verdict = classifier.judge(diagnostic.answer)
        if verdict.is_textual:
            return verdict
    return classifier.judge(diagnostic, is_prose=True)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _put_together(finding: _Finding) -> ReportedRecipient:
    verdict = finding.verdict
    permanent = verdict.is_permanent and not finding.is_delayed
    # A report that gave up is final even where its status says 4: the queue's time ran out.
    is_final = permanent or finding.action is Action.FAILED
    return ReportedRecipient(
        finding.address,
        finding.diagnostic.status,
        verdict.bounce_class,
        permanent,
        verdict.may_suppress and is_final,
        verdict.rule,
        finding.action,
        printable_text(finding.diagnostic.text),
    )
