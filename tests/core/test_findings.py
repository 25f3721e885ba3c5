"""What follows from a report, and what must not."""

from __future__ import annotations

import pytest

from mta.core.bounce import BounceClass
from mta.core.dsn import Action
from mta.core.findings import Complaint, Failure, OptOut, about, findings_of, wants_out
from mta.core.report import ReportKind
from mta.core.report_facts import ReportFacts
from mta.core.reported import ReportedRecipient


def recipient(
    bounce_class: BounceClass = BounceClass.BAD_MAILBOX,
    *,
    permanent: bool = True,
    action: Action | None = Action.FAILED,
) -> ReportedRecipient:
    return ReportedRecipient("A@x.test", "5.1.1", bounce_class, permanent, permanent, "r", action)


@pytest.mark.parametrize(
    ("one", "is_failure"),
    [
        (recipient(), True),
        (recipient(action=None), True),
        # Given up at last, for a passing reason: it failed, softly.
        (recipient(BounceClass.MAILBOX_FULL, permanent=False), True),
        (recipient(BounceClass.MAILBOX_FULL, permanent=False, action=None), True),
        # "Could not be delivered for 4 hours": it still may be.
        (recipient(BounceClass.EXPIRED, permanent=False, action=None), False),
        (recipient(action=Action.DELAYED), False),
    ],
)
def test_only_what_has_failed_is_a_failure(one: ReportedRecipient, is_failure: bool) -> None:
    found = findings_of(ReportFacts(ReportKind.BOUNCE, recipients=(one,)))
    assert bool(found) is is_failure
    assert all(isinstance(each, Failure) for each in found)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("abuse", Complaint("", "abuse")),
        ("fraud", Complaint("", "fraud")),
        ("", Complaint("", "")),
        ("opt-out", OptOut("")),
        ("not-spam", None),
        ("auth-failure", None),
    ],
)
def test_kinds_of_feedback(kind: str, expected: object) -> None:
    found = findings_of(ReportFacts(ReportKind.ARF, kind))
    assert found == (() if expected is None else (expected,))


@pytest.mark.parametrize("kind", [ReportKind.AUTOREPLY, ReportKind.NONE])
def test_replies_of_programs_and_ordinary_mail_mean_nothing(kind: ReportKind) -> None:
    assert findings_of(ReportFacts(kind, recipients=(recipient(),))) == ()


def test_a_return_path_of_one_makes_all_of_it_about_that_one() -> None:
    first, second = Failure("b@x.test", BounceClass.UNKNOWN), Failure("a@X.test", BounceClass.VIRUS)
    assert about([first, second], "A@x.test") is second
    assert about([first], "forwarded@y.test") is first
    assert about([], "a@x.test") is None


def test_who_wants_out() -> None:
    assert wants_out(ReportFacts(ReportKind.NONE))
    assert not wants_out(ReportFacts(ReportKind.BOUNCE))
    assert not wants_out(ReportFacts(ReportKind.ARF))
    assert not wants_out(ReportFacts(ReportKind.AUTOREPLY, is_auto_reply=True))
