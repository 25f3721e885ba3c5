"""The words of a delivery report: what people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import parse_address
from mta.core.delivery_status import RecipientReport, Report
from mta.core.delivery_words import explain, subject
from mta.core.dsn import Action
from mta.core.envelope import Recipient
from mta.core.reply import Reply

NOW = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
FAILED = RecipientReport(
    recipient=Recipient(parse_address("bee@there.example")),
    action=Action.FAILED,
    status="5.1.1",
    reply=Reply(550, "5.1.1", "No such user\nCheck the address"),
    host="mx.there.example",
)
REPORT = Report(
    hostname="mail.example.com",
    to=parse_address("ant@example.com"),
    date=NOW,
    message_id="<1@mail.example.com>",
    recipients=(FAILED,),
    arrived_at=NOW - timedelta(hours=1),
    header=b"",
)


def text(**changes: object) -> str:
    each = replace(FAILED, **changes)  # type: ignore[arg-type]
    return explain(replace(REPORT, recipients=(each,)), is_whole=False)


def test_a_failure() -> None:
    assert text() == (
        "This is the mail server mail.example.com.\n"
        "\n"
        "Your mail to <bee@there.example> could not be delivered.\n"
        "\n"
        "The server mx.there.example said:\n"
        "\n"
        "    550 5.1.1 No such user\n"
        "    Check the address\n"
        "\n"
        "No such mailbox exists there. Check the address for typing errors.\n"
        "\n"
        "Attached are these facts for programs, and the header of your mail, which\n"
        "arrived here on 2030-01-01 08:30 UTC.\n"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": "5.2.2"}, "The mailbox is full."),
        ({"status": "4.2.2"}, "The mailbox is full."),
        ({"status": "5.1.10"}, "takes no mail at all"),
        ({"status": "5.7.509"}, "by its own rules"),
        ({"status": "4.4.1"}, "could not be reached"),
        ({"status": "5.0.0"}, "most likely fail again"),
        ({"status": "5.9.9"}, "most likely fail again"),
        ({"host": ""}, "The answer was:"),
        ({"reply": Reply(550, "", "No")}, "    550 No\n"),
        ({"reply": None, "error": "the server was silent"}, "    the server was silent\n"),
        ({"action": Action.DELAYED}, "You need not do anything: further attempts follow.\n"),
        ({"action": Action.DELAYED, "retry_until": NOW}, "follow until 2030-01-01 09:30\nUTC."),
        ({"action": Action.RELAYED}, "which does not report what becomes of it."),
        ({"action": Action.RELAYED, "host": ""}, "passed on to a server, which"),
        ({"action": Action.DELIVERED}, "<bee@there.example> was delivered."),
        ({"action": Action.EXPANDED}, "members of the list"),
    ],
)
def test_what_is_said(changes: dict[str, object], expected: str) -> None:
    assert expected in text(**changes)


@pytest.mark.parametrize("action", [Action.DELIVERED, Action.RELAYED, Action.EXPANDED])
def test_good_news_comes_without_advice(action: Action) -> None:
    said = text(action=action, status="2.0.0", reply=Reply(250, "2.0.0", "queued"))
    assert said.count("\n\n") == 2
    assert "queued" not in said


def test_nothing_known_is_said_in_few_words() -> None:
    assert "said:" not in text(reply=None)
    assert "reason" not in text(reply=None)


def test_whether_the_mail_is_attached() -> None:
    assert "for programs, and your mail, which" in explain(REPORT, is_whole=True)


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([Action.FAILED], "could not be delivered"),
        ([Action.DELAYED], "is delayed"),
        ([Action.RELAYED], "was passed on"),
        ([Action.RELAYED, Action.DELAYED, Action.FAILED], "could not be delivered"),
        ([Action.DELIVERED, Action.DELAYED], "is delayed"),
    ],
)
def test_the_subject_names_the_worst(actions: list[Action], expected: str) -> None:
    recipients = tuple(replace(FAILED, action=action) for action in actions)
    assert subject(replace(REPORT, recipients=recipients)) == f"Your mail {expected}"


@given(st.text(st.characters()))
def test_what_a_server_says_stays_indented(said: str) -> None:
    lines = text(reply=Reply.of(550, said)).splitlines()
    first = lines.index("The server mx.there.example said:") + 2
    last = len(lines) - 5
    assert lines[last + 1].startswith("No such mailbox")
    assert all(line.startswith("    ") for line in lines[first:last])
    "\n".join(lines).encode()
