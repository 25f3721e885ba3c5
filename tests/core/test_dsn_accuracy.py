"""How well the reports in tests/data/dsn are read: floors, a little below what is reached.

What is missed, and stays so: OpenSMTPD shows the reply but not the command that it answers. "550 No
such user here" may then be a filter's excuse after the data, and is not enough to stop mail.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from benchmarks.evaluate import OWN, own_samples, score_mails
from config import bounce_rules
from mta.core.bounce_rules import Classifier
from mta.core.report import read_report

FLOORS = {
    "recipient found": 0.99,
    "named right": 0.99,
    "status right": 0.99,
    "permanent right": 0.99,
    "class right": 0.98,
    "hard right": 0.98,
}
"""Share of what is counted, for each server; "hard right" of what is hard in truth (recall)."""
LOWER = {("opensmtpd", "class right"): 0.96, ("opensmtpd", "hard right"): 0.90}
WHOLES = {
    "recipient found": "recipient",
    "named right": "named",
    "hard right": "hard true",
}
SERVERS = ("chasquid", "dma", "exim", "nullmailer", "opensmtpd", "postfix", "sendmail")


@pytest.fixture(scope="module")
def scores() -> dict[str, Counter[str]]:
    classifier = bounce_rules.load(None)
    samples = own_samples()
    found = {
        sample["id"]: read((OWN / sample["path"]).read_bytes(), classifier) for sample in samples
    }
    return score_mails(samples, found)


def read(data: bytes, classifier: Classifier) -> dict[str, Any]:
    """Return what `mta reports parse --json` says of a mail."""
    report = read_report(data, classifier)
    return {
        "kind": report.kind.value,
        "recipients": [
            {
                "address": recipient.address,
                "status": recipient.status,
                "class": recipient.bounce_class.value,
                "permanent": recipient.is_permanent,
                "hard": recipient.is_hard,
            }
            for recipient in report.recipients
        ],
    }


@pytest.mark.parametrize("server", [*SERVERS, "ALL"])
@pytest.mark.parametrize("part", FLOORS)
def test_share_of_right_answers(scores: dict[str, Counter[str]], server: str, part: str) -> None:
    score = scores[server]
    whole = score[WHOLES.get(part, part.removesuffix(" right"))]

    assert whole >= 20
    assert score[part] / whole >= LOWER.get((server, part), FLOORS[part])


@pytest.mark.parametrize("server", SERVERS)
def test_no_address_is_called_hard_wrongly(scores: dict[str, Counter[str]], server: str) -> None:
    assert scores[server]["hard said"] == scores[server]["hard right"]


def test_reports_of_success_are_no_bounces(scores: dict[str, Counter[str]]) -> None:
    assert scores["ALL"]["no bounce"] >= 20
    assert scores["ALL"]["false bounce"] == 0
