"""What of a report crosses from the parser: clues wherever they are, and back unharmed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.bounce_rules import shipped
from mta.core.json_text import decode, encode
from mta.core.report import ReportKind, read_report
from mta.core.report_facts import MAX_CLUES, ReportFacts, facts_of, from_json, to_json
from tests.support.report_mails import VACATION, arf, dsn

LOCAL = "b-" + "a2" * 20
TOKEN = "Ab_-" * 10
EMAIL_ID = "em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"
MAIL = (
    f"Return-Path: <{LOCAL.upper()}@bounce.test>\r\n"
    f"Received: by mta.test (Mailwright) with HTTP\r\n\tid {EMAIL_ID} (tenant default)\r\n"
    f"List-Unsubscribe: <https://mail.test/u/{TOKEN}>\r\n"
    "Message-ID: <01K9ZQ3V5X8Y7W6T5S4R3Q2P1M@mta.test>\r\nTo: you@dest.test\r\n\r\nHello\r\n"
).encode()


def facts(data: bytes) -> ReportFacts:
    return facts_of(data, read_report(data, shipped()))


@pytest.mark.parametrize("report", [dsn(MAIL, "you@dest.test"), arf(MAIL)])
def test_the_clues_of_the_returned_mail_are_found(report: bytes) -> None:
    found = facts(report)
    assert found.locals == (LOCAL,)
    assert found.tokens == (TOKEN,)
    assert set(found.email_ids) == {EMAIL_ID, "em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1M"}


def test_facts_survive_the_way_through_json() -> None:
    for report in (dsn(MAIL, "you@dest.test"), arf(MAIL), VACATION):
        found = facts(report)
        assert from_json(decode(encode(to_json(found)))) == found


def test_an_automatic_reply_says_so() -> None:
    assert facts(VACATION).is_auto_reply
    assert facts(VACATION).kind is ReportKind.AUTOREPLY


def test_clues_are_bounded() -> None:
    many = "\r\n".join(
        f"b-{number:040d}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
        for number in range(200)
    )
    assert len(facts(b"Subject: x\r\n\r\n" + many.encode()).locals) <= MAX_CLUES


@pytest.mark.parametrize(
    "text", ["xb-" + "a" * 40, "b-" + "a" * 41, "b-" + "a" * 39, "b-" + "1" * 40]
)
def test_what_only_looks_similar_is_no_clue(text: str) -> None:
    assert facts(f"Subject: x\r\n\r\n{text} \r\n".encode()).locals == ()


@given(st.binary(max_size=2000))
def test_any_octets_give_facts(data: bytes) -> None:
    assert isinstance(facts(data), ReportFacts)
