"""When a report is due (RFC 3461), and the fields that programs read in it (RFC 3464)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import parse_address
from mta.core.delivery_status import (
    RecipientReport,
    Report,
    action_on_acceptance,
    delivery_status,
    is_report_due,
)
from mta.core.dsn import Action
from mta.core.envelope import Recipient
from mta.core.header import HeaderBlock
from mta.core.reply import Reply

NOW = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
ANT = parse_address("ant@example.com")
BEE = parse_address("bee@there.example")
FAILED = RecipientReport(
    recipient=Recipient(BEE),
    action=Action.FAILED,
    status="5.1.1",
    reply=Reply(550, "5.1.1", "No such user\nCheck the address"),
    host="mx.there.example",
    attempted_at=NOW,
    retry_until=NOW + timedelta(days=1),
)
REPORT = Report(
    hostname="mail.example.com",
    to=ANT,
    date=NOW,
    message_id="<1@mail.example.com>",
    recipients=(FAILED,),
    arrived_at=NOW - timedelta(hours=1),
    header=b"Subject: x\r\n",
)

ANY_TEXT = st.text(st.characters())  # lone surrogates too


def blocks(report: Report) -> list[dict[str, str]]:
    """The blocks of a report read back as fields; each of them must be a sound header."""
    body = delivery_status(report)
    assert body.isascii()
    assert all(len(line) <= 998 for line in body.split(b"\r\n"))
    found = []
    for text in body.removesuffix(b"\r\n").split(b"\r\n\r\n"):
        fields = HeaderBlock.parse(text + b"\r\n").fields
        found.append({field.name.decode(): field.value.decode() for field in fields})
        assert len(found[-1]) == len(fields)
    return found


def of_recipient(**changes: object) -> dict[str, str]:
    each = replace(FAILED, **changes)  # type: ignore[arg-type]
    return blocks(replace(REPORT, recipients=(each,)))[1]


@pytest.mark.parametrize(
    ("notify", "due"),
    [
        ("", {Action.FAILED, Action.DELAYED}),
        ("NEVER", set()),
        ("FAILURE", {Action.FAILED}),
        ("DELAY", {Action.DELAYED}),
        ("SUCCESS", {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
        ("FAILURE,DELAY", {Action.FAILED, Action.DELAYED}),
        ("SUCCESS,FAILURE,DELAY", set(Action)),
    ],
)
def test_is_report_due(notify: str, due: set[Action]) -> None:
    assert {action for action in Action if is_report_due(action, notify, ANT)} == due


@pytest.mark.parametrize("notify", ["", "NEVER", "FAILURE", "SUCCESS,FAILURE,DELAY"])
@pytest.mark.parametrize("action", Action)
def test_m07_nobody_is_told_of_mail_with_the_null_return_path(notify: str, action: Action) -> None:
    assert not is_report_due(action, notify, None)
    assert action_on_acceptance(notify, None, has_peer_dsn=False) is None


@pytest.mark.parametrize(
    ("notify", "has_peer_dsn", "action"),
    [
        ("SUCCESS", False, Action.RELAYED),
        ("SUCCESS,FAILURE", False, Action.RELAYED),
        ("SUCCESS", True, None),  # the next hop reports
        ("", False, None),
        ("FAILURE,DELAY", False, None),
        ("NEVER", False, None),
    ],
)
def test_action_on_acceptance(notify: str, has_peer_dsn: bool, action: Action | None) -> None:
    assert action_on_acceptance(notify, ANT, has_peer_dsn=has_peer_dsn) is action


def test_fields_in_the_order_of_the_standard() -> None:
    report = replace(REPORT, envid="QQ+20314+2B")
    mail, recipient = blocks(report)
    assert list(mail.items()) == [
        ("Original-Envelope-Id", "QQ 314+"),
        ("Reporting-MTA", "dns; mail.example.com"),
        ("Arrival-Date", "Tue, 01 Jan 2030 08:30:00 +0000"),
    ]
    assert list(recipient.items()) == [
        ("Final-Recipient", "rfc822; bee@there.example"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.there.example"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 No such user Check the address"),
        ("Last-Attempt-Date", "Tue, 01 Jan 2030 09:30:00 +0000"),
    ]


def test_a_block_for_each_recipient() -> None:
    other = replace(FAILED, recipient=Recipient(ANT), status="4.4.7", reply=None, error="no route")
    mail, first, second = blocks(replace(REPORT, recipients=(FAILED, other)))
    assert "Original-Envelope-Id" not in mail
    assert first["Status"] == "5.1.1"
    assert second["Status"] == "4.4.7"
    assert second["Diagnostic-Code"] == "X-Mailwright; no route"


def test_only_a_delay_says_until_when() -> None:
    assert of_recipient(action=Action.DELAYED)["Will-Retry-Until"].startswith("Wed, 02 Jan 2030")
    assert "Will-Retry-Until" not in of_recipient(action=Action.FAILED)
    assert "Will-Retry-Until" not in of_recipient(action=Action.DELAYED, retry_until=None)


def test_what_is_not_known_is_left_out() -> None:
    bare = of_recipient(reply=None, host="", attempted_at=None)
    assert set(bare) == {"Final-Recipient", "Action", "Status"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("mx.there.example", "dns; mx.there.example"),
        ("192.0.2.1", "dns; [192.0.2.1]"),  # a smarthost by address
        ("2001:db8::1", "dns; [IPv6:2001:db8::1]"),
    ],
)
def test_remote_mta(host: str, expected: str) -> None:
    assert of_recipient(host=host)["Remote-MTA"] == expected


@pytest.mark.parametrize(
    ("orcpt", "expected"),
    [
        ("", None),
        ("rfc822;bee@there.example", "rfc822; bee@there.example"),
        ("rfc822;bee+2Blist@there.example", "rfc822; bee+list@there.example"),
        ("RFC822;a+3Db@c.example", "RFC822; a=b@c.example"),
        ("x400;/G=Bee+2B/", "x400; /G=Bee+/"),
        ("utf-8;zo\\x{EB}@there.example", "utf-8; zo\\x{EB}@there.example"),
        ("utf-8;zoë@there.example", "utf-8; zo\\x{EB}@there.example"),
        ("UTF-8;林@there.example", "UTF-8; \\x{6797}@there.example"),
        ("rfc822;a+0D+0ABcc:x@y.example", None),  # would inject a line
        ("rfc822;a+00@y.example", None),
        ("utf-8;" + "林" * 400, None),  # no header line holds it
        ("rfc822", None),
        (";a@b.example", None),
    ],
)
def test_original_recipient(orcpt: str, expected: str | None) -> None:
    assert of_recipient(recipient=Recipient(BEE, orcpt=orcpt)).get("Original-Recipient") == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("bee+list@there.example", "rfc822; bee+list@there.example"),
        ('"a  b"@there.example', 'rfc822; "a  b"@there.example'),
        ("zoë+a=b@there.example", "utf-8; zo\\x{EB}\\x{2B}a\\x{3D}b@there.example"),
        ("林@faß.example", "utf-8; \\x{6797}@xn--fa-hia.example"),
        ("𝒳@there.example", "utf-8; \\x{1D4B3}@there.example"),
    ],
)
def test_final_recipient(address: str, expected: str) -> None:
    recipient = Recipient(parse_address(address))
    assert of_recipient(recipient=recipient)["Final-Recipient"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not\there\nand  more", "smtp; 550 5.1.1 not here and more"),
        ("unbekannter Empfänger", "smtp; 550 5.1.1 unbekannter Empf\\x{E4}nger"),
        ("x" * 450, f"smtp; 550 5.1.1 {'x' * 200} {'x' * 200} {'x' * 50}"),
        ("", "smtp; 550 5.1.1"),
        ("a\r\nBcc: elk@evil.example\r\n\r\nb", "smtp; 550 5.1.1 a Bcc: elk@evil.example b"),
    ],
)
def test_diagnostic_code(text: str, expected: str) -> None:
    assert of_recipient(reply=Reply(550, "5.1.1", text))["Diagnostic-Code"] == expected


@pytest.mark.parametrize("envid", ["a+0D+0AX: y", "a+00", "a\r\nX: y", "é", "+0A"])
def test_an_envelope_id_that_is_none_is_left_out(envid: str) -> None:
    assert set(blocks(replace(REPORT, envid=envid))[0]) == {"Reporting-MTA", "Arrival-Date"}


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_no_text_breaks_the_blocks_apart(text: str, error: str, orcpt: str, envid: str) -> None:
    spoken = replace(FAILED, recipient=Recipient(BEE, orcpt=orcpt), reply=Reply(550, "", text))
    silent = replace(FAILED, reply=None, error=error)
    report = replace(REPORT, envid=envid, recipients=(spoken, silent))
    mail, *recipients = blocks(report)
    known = re.compile(
        "Original-Envelope-Id|Reporting-MTA|Arrival-Date|(Original|Final)-Recipient|Action|Status"
        "|Remote-MTA|Diagnostic-Code|Last-Attempt-Date"
    )
    assert len(recipients) == 2
    assert all(known.fullmatch(name) for block in (mail, *recipients) for name in block)


@given(st.from_regex(r"[a-z0-9-]{1,8};(?:[!-*,-<>-~]|\+[2-7][0-9A-F]){1,490}", fullmatch=True))
def test_every_orcpt_that_smtp_takes_is_told(orcpt: str) -> None:
    decoded = re.sub(r"\+(..)", lambda code: chr(int(code[1], 16)), orcpt).split(";", 1)[1]
    told = of_recipient(recipient=Recipient(BEE, orcpt=orcpt)).get("Original-Recipient")
    assert told is None if "\x7f" in decoded else told is not None


@pytest.mark.parametrize("status", ["", "5", "5.1", "6.1.1", "5.1.1.1", "5.1.1\r\nX: y", "5.1.1\n"])
def test_a_status_is_an_enhanced_status(status: str) -> None:
    with pytest.raises(ValueError, match="enhanced status"):
        replace(FAILED, status=status)


def test_a_report_tells_of_somebody() -> None:
    with pytest.raises(ValueError, match="recipient"):
        replace(REPORT, recipients=())
