from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import Address
from mta.core.envelope import Recipient
from mta.core.esmtp import (
    MailCommand,
    Refusal,
    parse_command,
    parse_helo,
    parse_mail,
    parse_rcpt,
    reply_lines,
)
from mta.core.reply import Reply

A = Address("a", "b.test")


def mail(argument: str, *, is_extended: bool = True, max_size: int = 1000) -> MailCommand:
    return parse_mail(argument, is_extended=is_extended, max_size=max_size)


def rcpt(argument: str, *, is_extended: bool = True, has_smtputf8: bool = False) -> Recipient:
    return parse_rcpt(argument, is_extended=is_extended, has_smtputf8=has_smtputf8)


def test_the_bare_postmaster_is_at_home() -> None:
    for argument in ("TO:<postmaster>", "TO:<PostMaster> NOTIFY=NEVER"):
        found = parse_rcpt(argument, is_extended=True, has_smtputf8=False, home="b.test")
        assert str(found.address).lower() == "postmaster@b.test"
        with pytest.raises(Refusal):
            rcpt(argument)
    with pytest.raises(Refusal):
        parse_rcpt("TO:<abuse>", is_extended=True, has_smtputf8=False, home="b.test")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"NOOP\r\n", ("NOOP", "")),
        (b"noop\r\n", ("NOOP", "")),
        (b"EHLO  x.test \r\n", ("EHLO", "x.test")),
        (b"MAIL FROM:<a@b.test> SIZE=1\r\n", ("MAIL", "FROM:<a@b.test> SIZE=1")),
        ("RCPT TO:<ü@b.test>\r\n".encode(), ("RCPT", "TO:<ü@b.test>")),
    ],
)
def test_commands(line: bytes, command: tuple[str, str]) -> None:
    assert parse_command(line) == command


@pytest.mark.parametrize(
    "line",
    [
        b"NOOP\n",  # a bare LF ends no line (RFC 5321 2.3.8)
        b"NOOP\r\r\n",
        b"NO\rOP\r\n",
        b"NOOP\0\r\n",
        b"NOOP\tx\r\n",
        b"NOOP \x1b[2J\r\n",
        b"NOOP \xff\r\n",
        b"\r\n",
        b" NOOP\r\n",
        "NOOP \u2028x\r\n".encode(),
        "NOOP \u202ex\r\n".encode(),
    ],
)
def test_lines_that_are_no_command(line: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parse_command(line)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (500, "5.5.2")


@pytest.mark.parametrize(
    "name", ["x.test", "localhost", "[127.0.0.1]", "[IPv6:::1]", "under_score"]
)
def test_names_of_clients(name: str) -> None:
    assert parse_helo(name) == name


@pytest.mark.parametrize("name", ["", "a b", "x\u00fc.test", "(x)", "x;y", "<x>", "x" * 256])
def test_names_that_no_client_has(name: str) -> None:
    with pytest.raises(Refusal, match="host name"):
        parse_helo(name)


@pytest.mark.parametrize(
    ("argument", "command"),
    [
        ("FROM:<a@b.test>", MailCommand(A)),
        ("from: <a@b.test>", MailCommand(A)),  # a space that RFC 5321 forbids and many send
        ("FROM:<>", MailCommand(None)),
        ("FROM:<> RET=hdrs", MailCommand(None, ret="HDRS")),
        ("FROM:<a@b.test> SIZE=1000 BODY=8BITMIME", MailCommand(A)),
        ("FROM:<a@b.test> body=7bit size=0", MailCommand(A)),
        ("FROM:<a@b.test> AUTH=<>", MailCommand(A)),
        ("FROM:<a@b.test> AUTH=e+3Dmc2@example.com", MailCommand(A)),
        ("FROM:<a@b.test> RET=FULL ENVID=QQ+2B1", MailCommand(A, ret="FULL", envid="QQ+2B1")),
        ("FROM:<a@b.test> SMTPUTF8", MailCommand(A, has_smtputf8=True)),
        ("FROM:<ü@b.test> SMTPUTF8", MailCommand(Address("ü", "b.test"), has_smtputf8=True)),
        ('FROM:<"a> b"@b.test> SIZE=1', MailCommand(Address('"a> b"', "b.test"))),
    ],
)
def test_mail(argument: str, command: MailCommand) -> None:
    assert mail(argument) == command


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        ("", "501 5.5.4"),
        ("FROM", "501 5.5.4"),
        ("TO:<a@b.test>", "501 5.5.4"),
        ("FROM <a@b.test>", "501 5.5.4"),
        ("FROM:", "501 5.1.7"),
        ("FROM:a@b.test", "501 5.1.7"),
        ("FROM:<a@b.test", "501 5.1.7"),
        ("FROM:<a@b.test>SIZE=1", "501 5.1.7"),
        ("FROM:<a@b.test> >", "501 5.5.4"),
        ("FROM:<a>", "501 5.1.7"),
        ("FROM:<@x.test:a@b.test>", "501 5.1.7"),
        ("FROM:<a @b.test>", "501 5.1.7"),
        ("FROM:<ü@b.test>", "553 5.6.7"),
        ("FROM:<a@b\u00fc.test>", "553 5.6.7"),
        ("FROM:<a@b.test> SIZE=1001", "552 5.3.4"),
        ("FROM:<a@b.test> SIZE=" + "9" * 21, "501 5.5.4"),
        ("FROM:<a@b.test> SIZE", "501 5.5.4"),
        ("FROM:<a@b.test> SIZE=", "501 5.5.4"),
        ("FROM:<a@b.test> SIZE=-1", "501 5.5.4"),
        ("FROM:<a@b.test> SIZE=1 SIZE=1", "501 5.5.4"),
        ("FROM:<a@b.test> SIZE=1 size=1", "501 5.5.4"),
        ("FROM:<a@b.test> BODY=BINARYMIME", "501 5.5.4"),
        ("FROM:<a@b.test> SMTPUTF8=1", "501 5.5.4"),
        ("FROM:<a@b.test> RET=SOME", "501 5.5.4"),
        ("FROM:<a@b.test> ENVID=a+00b", "501 5.5.4"),  # a NUL, in the words of xtext
        ("FROM:<a@b.test> ENVID=a+0Ab", "501 5.5.4"),
        ("FROM:<a@b.test> ENVID=a+2bb", "501 5.5.4"),
        ("FROM:<a@b.test> ENVID=a+2", "501 5.5.4"),
        ("FROM:<a@b.test> ENVID=" + "x" * 101, "501 5.5.4"),
        ("FROM:<a@b.test> AUTH=a+00b", "501 5.5.4"),
        ("FROM:<a@b.test> -X=1", "501 5.5.4"),
        ("FROM:<a@b.test> X=1=2", "501 5.5.4"),
        ("FROM:<a@b.test> X=1", "555 5.5.4"),
        ("FROM:<a@b.test> NOTIFY=NEVER", "555 5.5.4"),
    ],
)
def test_mail_refused(argument: str, status: str) -> None:
    with pytest.raises(Refusal) as caught:
        mail(argument)
    reply = caught.value.reply
    assert f"{reply.code} {reply.enhanced}" == status


def test_parameters_need_ehlo() -> None:
    assert mail("FROM:<a@b.test>", is_extended=False) == MailCommand(A)
    with pytest.raises(Refusal, match="EHLO"):
        mail("FROM:<a@b.test> SIZE=1", is_extended=False)
    with pytest.raises(Refusal, match="EHLO"):
        rcpt("TO:<a@b.test> NOTIFY=NEVER", is_extended=False)


@pytest.mark.parametrize(
    ("argument", "recipient"),
    [
        ("TO:<a@b.test>", Recipient(A)),
        ("to:<a@B.TEST>", Recipient(A)),
        ("TO:<a@[192.0.2.1]>", Recipient(Address("a", "[192.0.2.1]"))),
        ("TO:<a@b.test> NOTIFY=never", Recipient(A, "NEVER")),
        ("TO:<a@b.test> NOTIFY=SUCCESS,delay", Recipient(A, "SUCCESS,DELAY")),
        ("TO:<a@b.test> ORCPT=rfc822;x+2By@b.test", Recipient(A, orcpt="rfc822;x+2By@b.test")),
        ("TO:<a@b.test> ORCPT=utf-8;ü\\x{20}@b", Recipient(A, orcpt="utf-8;ü\\x{20}@b")),
    ],
)
def test_rcpt(argument: str, recipient: Recipient) -> None:
    assert rcpt(argument) == recipient


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        ("TO:<>", "501 5.1.3"),
        ("TO:<postmaster>", "501 5.1.3"),
        ("TO:<c@d", "501 5.1.3"),
        ("TO:<<a@b.test>>", "501 5.1.3"),
        ("TO:<x@y\u00a0z.test>", "553 5.6.7"),
        ("TO:<a@b.test>,<c@d.test>", "501 5.1.3"),
        ("TO:<a(x)@b.test>", "501 5.1.3"),
        ("TO:<a@1.2.3.4>", "501 5.1.3"),
        ("TO:<ü@b.test>", "553 5.6.7"),
        ("TO:<a@b.test> NOTIFY", "501 5.5.4"),
        ("TO:<a@b.test> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        ("TO:<a@b.test> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        ("TO:<a@b.test> NOTIFY=SOMETIMES", "501 5.5.4"),
        ("TO:<a@b.test> ORCPT=a@b.test", "501 5.5.4"),
        ("TO:<a@b.test> ORCPT=rfc822;a+00@b.test", "501 5.5.4"),
        ("TO:<a@b.test> ORCPT=rfc822;" + "x" * 500, "501 5.5.4"),
        ("TO:<a@b.test> SIZE=1", "555 5.5.4"),
    ],
)
def test_rcpt_refused(argument: str, status: str) -> None:
    with pytest.raises(Refusal) as caught:
        rcpt(argument)
    reply = caught.value.reply
    assert f"{reply.code} {reply.enhanced}" == status


def test_reply_lines() -> None:
    assert reply_lines(Reply(250, "2.0.0", "Ok")) == b"250 2.0.0 Ok\r\n"
    assert reply_lines(Reply(250, "", "mx.test\nDSN")) == b"250-mx.test\r\n250 DSN\r\n"
    assert reply_lines(Reply(550, "5.7.1", "No\nü")) == b"550-5.7.1 No\r\n550 5.7.1 \\xfc\r\n"
    assert reply_lines(Reply(334, "", "")) == b"334 \r\n"


@given(
    st.text(max_size=60) | st.from_regex(r"(FROM|TO):<[a\"\\@.>< ]{0,20}>?( [A-Z=+;]{0,12}){0,3}")
)
def test_any_argument_gives_a_value_or_a_refusal_of_one_line(text: str) -> None:
    for parse in (mail, rcpt):
        reply = Reply(250, "2.0.0", "Ok")
        try:
            parse(text)
        except Refusal as refusal:
            reply = refusal.reply
        assert reply_lines(reply).count(b"\n") == 1


@given(st.binary(max_size=60))
def test_any_line_gives_a_command_or_a_refusal(line: bytes) -> None:
    try:
        verb, _ = parse_command(line + b"\r\n")
    except Refusal:
        return
    assert verb
