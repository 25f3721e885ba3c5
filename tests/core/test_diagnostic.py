"""Texts of servers taken apart: code, status, command, and how long to wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.diagnostic import MAX_TEXT, Diagnostic
from mta.core.outcome import Command
from mta.core.reply import Reply


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("550 5.1.1 no such user", 550, "5.1.1"),
        ("550-5.1.1 first line", 550, "5.1.1"),
        ("host mx.a.test[192.0.2.1] said: 552 5.2.2 full", 552, "5.2.2"),
        ("smtp; 451 later", 451, ""),
        ("no mailbox here (#5.1.1)", 0, "5.1.1"),
        ("550 5.0.0 really 5.7.26", 550, "5.7.26"),
        ("10.4.5.6 and 4.16.55.1 are no statuses", 0, ""),
        ("version 4.5.3.1", 0, ""),
        ("421 4.7.0 [TS04] deferred - 4.16.55", 421, "4.7.0"),
        ("no status: 4.8.1", 0, ""),
        ("id=550abc <500@a.test>", 0, ""),
        ("", 0, ""),
    ],
)
def test_codes(text: str, code: int, status: str) -> None:
    read = Diagnostic.read(text)
    assert (read.code, read.status) == (code, status)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        (
            "550-5.7.1 not 550-5.7.1 RFC 5322 550 5.7.1 compliant",
            "550-5.7.1 not RFC 5322 compliant",
        ),
        ("553-you use me 553-as a 553 relay", "553-you use me as a relay"),
        ("550 5.1.1 no 503 need RCPT 550 5.1.1 no", "550 5.1.1 no 503 need RCPT 550 5.1.1 no"),
        ("550 no such (in reply to end of DATA command)", "550 no such "),
        ("550 no such (in reply to a question)", "550 no such (in reply to a question)"),
        ("no code", "no code"),
    ],
)
def test_what_others_write_between_the_words_is_left_out(text: str, joined: str) -> None:
    assert Diagnostic.read(text).words == joined


def test_a_status_given_elsewhere_yields_to_a_more_precise_one() -> None:
    assert Diagnostic.read("552 5.2.2 full", status="5.0.0").status == "5.2.2"
    assert Diagnostic.read("552 full", status="5.2.2").status == "5.2.2"
    assert Diagnostic.read("552 5.0.0 x", status="5.3.4").status == "5.3.4"


def test_a_connection_that_failed_is_told_by_the_reporter_alone() -> None:
    assert Diagnostic.read("451 4.4.1 read error", status="4.4.7").status == "4.4.7"
    assert Diagnostic.read("451 4.4.1 read error", status="4.0.0").status == "4.4.1"
    assert Diagnostic.read("451 4.7.1 later", status="4.4.7").status == "4.7.1"


@pytest.mark.parametrize(
    ("text", "status", "permanent"),
    [
        ("451 local error", "5.0.0", False),
        ("550 no", "5.0.0", True),
        ("554 no service", "4.0.0", False),
        ("451 local error", "5.1.1", True),
        ("451 local error", "", False),
        ("gone", "5.0.0", True),
        ("gone", "", None),
    ],
)
def test_whether_it_lasts(text: str, status: str, permanent: bool | None) -> None:
    assert Diagnostic.read(text, status=status).is_permanent is permanent


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("x (in reply to RCPT TO command)", Command.RCPT),
        ("x (in reply to end of DATA command)", Command.END_OF_DATA),
        ("x (in reply to MAIL FROM command)", Command.MAIL),
        ("SMTP error from remote mail server after RCPT TO:<a@b.test>:", Command.RCPT),
        ("SMTP error from remote mail server after initial connection", Command.CONNECT),
        ("192.0.2.1 does not like recipient.", Command.RCPT),
        (">>> DATA\n<<< 550 no\n<<< 503 Need RCPT (recipient)", Command.RCPT),
        (">>> DATA\n<<< 550 no", Command.DATA),
        ("just no", None),
    ],
)
def test_the_command_that_was_refused(text: str, command: Command | None) -> None:
    assert Diagnostic.read(text).command is command


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("greylisted, try again in 300 seconds", 300),
        ("Greylisted for 5 minutes", 300),
        ("please retry after 2 hours", 7200),
        ("wait 10 mins", 600),
        ("retry in 1h", 3600),
        ("queued for 9 days", None),
        ("in 99999 hours", None),
        ("in 0 seconds", None),
        ("later", None),
    ],
)
def test_how_long_to_wait(text: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert Diagnostic.read(text).retry_after == expected


def test_the_answer_begins_at_the_code() -> None:
    text = "we tried, but\nthe server said: 550 5.7.1 blocked\n\nask your administrator"
    assert Diagnostic.read(text).answer.text == "550 5.7.1 blocked"
    assert Diagnostic.read("no code").answer.text == "no code"


def test_a_reply_of_our_own_session() -> None:
    made = Diagnostic.of_reply(Reply(451, "4.7.1", "later"), Command.RCPT, "MX.A.TEST")
    assert made == Diagnostic("later", 451, "4.7.1", Command.RCPT, "mx.a.test")
    assert made.is_permanent is False


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    read = Diagnostic.read(text)
    assert len(read.text) <= MAX_TEXT
    assert read.code == 0 or 400 <= read.code <= 579
