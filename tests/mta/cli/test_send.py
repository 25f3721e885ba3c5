"""`mta send`: compose, submit, tell the id."""

from __future__ import annotations

import json

import pytest

from tests.mta.cli.conftest import CommandLine, FakeEngine

BASE = ("send", "--from", "Shop <app@sender.test>", "--to", "a@one.test")


def test_sending_a_text(mta: CommandLine, engine: FakeEngine) -> None:
    copies = ("--cc", "b@two.test", "--bcc", "c@three.test")
    content = ("--subject", "Hallo Jörg", "--text", "Grüße", "--header", "X-Order: 7")
    result = mta(*BASE, *copies, *content)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("accepted em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N\n")
    assert engine.commands[1:5] == [
        "MAIL FROM:<app@sender.test>",
        "RCPT TO:<a@one.test>",
        "RCPT TO:<b@two.test>",
        "RCPT TO:<c@three.test>",
    ]
    [message] = engine.messages
    assert b"\r\nSubject: Hallo =?utf-8?" in message
    assert b"\r\nX-Order: 7\r\n" in message
    assert b"three.test" not in message


def test_json_tells_both_ids(mta: CommandLine, engine: FakeEngine) -> None:
    shown = json.loads(mta(*BASE, "--html", "<p>hi", "--json").stdout)
    assert shown["id"] == "em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"
    assert shown["message_id"].encode() in engine.messages[0]


def test_text_from_standard_input_and_a_file(mta: CommandLine, engine: FakeEngine) -> None:
    file = mta.directory / "bill.pdf"
    file.write_bytes(b"%PDF")
    result = mta(*BASE, "--text", "-", "--file", str(file), stdin=b"from stdin\n")
    assert result.exit_code == 0, result.output
    assert b"from stdin" in engine.messages[0]
    assert b"application/pdf" in engine.messages[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*BASE,), "give --text or --html"),
        ((*BASE, "--text", "x", "--header", "X-Order"), "no colon"),
        ((*BASE, "--text", "x", "--header", "Subject: two"), "headers.Subject"),
        ((*BASE, "--text", "x", "--subject", "a\nBcc: b"), "subject"),
        (("send", "--from", "nobody", "--to", "a@one.test", "--text", "x"), "no domain"),
        (("send", "--from", "a@b.test", "--text", "x"), "--to"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], message: str, mta: CommandLine) -> None:
    result = mta(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("answers", "code"), [({"RCPT": "550 5.1.1 no"}, 1), ({".": "452 4.3.1 disk full"}, 75)]
)
def test_a_refusal(
    answers: dict[str, str], code: int, mta: CommandLine, engine: FakeEngine
) -> None:
    engine.answers.update(answers)
    result = mta(*BASE, "--text", "x")
    assert result.exit_code == code
    assert result.stderr.startswith("mta: refused at ")


def test_no_listener(mta: CommandLine) -> None:
    mta.configure("[smtp.submission]\nlisten = []")
    result = mta(*BASE, "--text", "x")
    assert result.exit_code == 75
    assert "smtp.submission.listen is empty" in result.stderr
