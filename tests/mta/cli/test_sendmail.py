"""`mta sendmail`: what cron and PHP rely on."""

from __future__ import annotations

import getpass

import pytest

from mta.cli.sendmail import split_message
from tests.mta.cli.conftest import CommandLine, FakeEngine

LETTER = b"From: App <app@sender.test>\nTo: a@one.test\nSubject: hi\n\nhello\n"


def test_arguments_are_recipients_and_lines_end_in_crlf(
    mta: CommandLine, engine: FakeEngine
) -> None:
    result = mta(
        "sendmail", "-i", "-f", "bounce@sender.test", "a@one.test", "b@two.test", stdin=LETTER
    )
    assert (result.exit_code, result.output) == (0, "")
    assert "MAIL FROM:<bounce@sender.test>" in engine.commands
    assert [line for line in engine.commands if line.startswith("RCPT")] == [
        "RCPT TO:<a@one.test>",
        "RCPT TO:<b@two.test>",
    ]
    assert engine.messages == [LETTER.replace(b"\n", b"\r\n")]


def test_t_takes_recipients_from_the_header_and_the_arguments(
    mta: CommandLine, engine: FakeEngine
) -> None:
    letter = (
        b'To: "One, A." <a@one.test>,\n b@two.test\nCc: Group: c@three.test;\n'
        b"Bcc: d@four.test\nFrom: app@sender.test\n\nhello\n"
    )
    assert mta("sendmail", "-ti", "e@five.test", stdin=letter).exit_code == 0
    recipients = [line[9:-1] for line in engine.commands if line.startswith("RCPT")]
    assert recipients == ["e@five.test", "a@one.test", "b@two.test", "c@three.test", "d@four.test"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-f", "a@b.test"), "MAIL FROM:<a@b.test>"),
        (("-fa@b.test",), "MAIL FROM:<a@b.test>"),
        (("-r", "<a@b.test>"), "MAIL FROM:<a@b.test>"),
        (("-f", "root"), "MAIL FROM:<root@mta.sender.test>"),
        (("-f", "<>"), "MAIL FROM:<>"),
        (("-f", ""), "MAIL FROM:<>"),
        ((), f"MAIL FROM:<{getpass.getuser()}@mta.sender.test>"),
    ],
)
def test_the_return_path(
    options: tuple[str, ...], expected: str, mta: CommandLine, engine: FakeEngine
) -> None:
    assert mta("sendmail", *options, "a@one.test", stdin=LETTER).exit_code == 0
    assert expected in engine.commands


def test_options_of_the_classic_are_taken(mta: CommandLine, engine: FakeEngine) -> None:
    options = ("-oi", "-oem", "-odb", "-bm", "-B8BITMIME", "-v", "-N", "never", "-R", "hdrs", "-G")
    assert mta("sendmail", *options, "--", "a@one.test", stdin=LETTER).exit_code == 0


def test_a_lone_dot_ends_the_message_unless_told_otherwise(
    mta: CommandLine, engine: FakeEngine
) -> None:
    letter = LETTER + b".\nmore\n"
    for option in ("-v", "-i", "-oi"):
        assert mta("sendmail", option, "a@one.test", stdin=letter).exit_code == 0
    assert [message.endswith(b"\r\n.\r\nmore\r\n") for message in engine.messages] == [
        False,
        True,
        True,
    ]


def test_a_missing_from_field_is_added(mta: CommandLine, engine: FakeEngine) -> None:
    result = mta(
        "sendmail", "-F", "Jörg, Admin", "-f", "j@b.test", "a@one.test", stdin=b"just text"
    )
    assert result.exit_code == 0
    assert engine.messages == [
        b"From: =?utf-8?b?SsO2cmcsIEFkbWlu?= <j@b.test>\r\n\r\njust text\r\n"
    ]


def test_bytes_above_127_are_announced(mta: CommandLine, engine: FakeEngine) -> None:
    assert mta("sendmail", "a@one.test", stdin="From: a@b.test\n\nä".encode()).exit_code == 0
    assert mta("sendmail", "a@one.test", stdin="From: ä <a@b.test>\n\nä".encode()).exit_code == 0
    mail = [line.partition(">")[2] for line in engine.commands if line.startswith("MAIL")]
    assert mail == [" BODY=8BITMIME", " BODY=8BITMIME SMTPUTF8"]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"MAIL": "451 4.3.0 later"}, 75),
        ({"MAIL": "530 5.7.0 authentication required"}, 77),
        ({"MAIL": "550 5.7.1 example.com is not verified"}, 77),
        ({"RCPT": "550 5.1.1 no"}, 69),
        ({"RCPT": "452 4.5.3 too many"}, 75),
        ({"DATA": "451 4.3.0 later"}, 75),
        ({".": "452 4.3.1 disk full"}, 75),
        ({".": "552 5.3.4 too large"}, 69),
    ],
)
def test_exit_codes_are_those_of_sysexits(
    answers: dict[str, str], code: int, mta: CommandLine, engine: FakeEngine
) -> None:
    engine.answers.update(answers)
    result = mta("sendmail", "a@one.test", stdin=LETTER)
    assert result.exit_code == code
    assert result.stderr.startswith("mta: refused at ")
    assert result.stderr.count("\n") == 1
    assert next(iter(answers.values())) in result.stderr


def test_no_engine_is_a_temporary_failure(mta: CommandLine, closed_port: int) -> None:
    mta.configure(f'[smtp.submission]\nlisten = ["127.0.0.1:{closed_port}"]')
    result = mta("sendmail", "a@one.test", stdin=LETTER)
    assert result.exit_code == 75
    assert result.stderr == (
        f"mta: 127.0.0.1:{closed_port}: Connection refused; is `mta serve` running?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no recipients"),
        (("-t",), "Error"),
        (("-bs",), "-bs is not offered"),
        (("--nonsense",), "No such option"),
        (("a b@one.test",), "local part"),
        (("-f", "a@", "a@one.test"), "no domain"),
    ],
)
def test_usage_errors_are_64(arguments: tuple[str, ...], message: str, mta: CommandLine) -> None:
    result = mta("sendmail", *arguments, stdin=b"From: a@b.test\n\nhello\n")
    assert result.exit_code == 64
    assert message in result.stderr or message == "Error"


@pytest.mark.parametrize(
    ("lines", "fields", "body"),
    [
        ([], [], b""),
        (["A: 1", "", "x"], ["A: 1"], b"x\r\n"),
        (["A: 1", " folded", "B: 2", "", "x"], ["A: 1\r\n folded", "B: 2"], b"x\r\n"),
        (["From a@b Mon", "A: 1", "", "x"], ["A: 1"], b"x\r\n"),
        (["A: 1", "no field", "x"], ["A: 1"], b"no field\r\nx\r\n"),
        (["plain text: no", "x"], [], b"plain text: no\r\nx\r\n"),
        ([" indented", "x"], [], b" indented\r\nx\r\n"),
        (["A: 1"], ["A: 1"], b""),
        (["", "x"], [], b"x\r\n"),
    ],
)
def test_header_and_body_are_told_apart(lines: list[str], fields: list[str], body: bytes) -> None:
    found, rest = split_message([line.encode() + b"\r\n" for line in lines])
    assert found == [field.encode() + b"\r\n" for field in fields]
    assert rest == body
