"""Notifications of Amazon SES in a mail body."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.bounce_rules import shipped
from mta.core.cloud_notice import CloudNotice, read_cloud_notice
from mta.core.dsn import Action
from mta.core.report import ReportKind, read_report

ANT = "ant@there.test"
BOUNCE: dict[str, Any] = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bouncedRecipients": [
            {
                "emailAddress": ANT,
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            }
        ],
    },
}
COMPLAINT: dict[str, Any] = {
    "eventType": "Complaint",
    "complaint": {
        "complainedRecipients": [{"emailAddress": ANT}],
        "complaintFeedbackType": "abuse",
    },
}


def mail(notification: object) -> bytes:
    text = json.dumps(notification)
    folded = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    header = "From: no-reply@sns.test\nSubject: Notification"
    return f"{header}\n\n{folded}\n\n--\nUnsubscribe: x\n".encode()


def test_a_bounce() -> None:
    report = read_report(mail(BOUNCE), shipped())
    assert report.kind is ReportKind.BOUNCE
    [recipient] = report.recipients
    assert (recipient.address, recipient.status) == (ANT, "5.1.1")
    assert recipient.is_hard


def test_a_complaint() -> None:
    report = read_report(mail(COMPLAINT), shipped())
    assert (report.kind, report.feedback_type) == (ReportKind.ARF, "abuse")
    assert [recipient.address for recipient in report.recipients] == [ANT]


def test_a_delivery_is_no_bounce() -> None:
    delivered = {"notificationType": "Delivery", "delivery": {"recipients": [ANT]}}
    notice = read_cloud_notice(json.dumps(delivered))
    assert notice is not None
    assert notice.statuses[0].action is Action.DELIVERED
    assert read_report(mail(delivered), shipped()).kind is ReportKind.NONE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        '{"notificationType": "Bounce"',
        '{"notificationType": "Bounce"}',
        '{"notificationType": "Other", "other": {}}',
        '{"notificationType": "Bounce", "bounce": []}',
        '["notificationType"]',
        '{"a": "notificationType"}' * 3,
        '{"notificationType":' + "[" * 100_000,
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert read_cloud_notice(text) is None


@pytest.mark.parametrize("items", [[None], [1, "x"], [{"emailAddress": 5}], "x", {"a": 1}, None])
def test_odd_recipients_are_passed_over(items: object) -> None:
    value = {"notificationType": "Bounce", "bounce": {"bouncedRecipients": items}}
    assert read_cloud_notice(json.dumps(value)) == CloudNotice()
