"""Reading in a process of its own: what it dies of is not our death."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mta import report_parser
from mta.core.report import ReportKind
from mta.report_parser import NoParser, ParserDied, ReportParser
from tests.support.report_mails import VACATION, arf, dsn

MAIL = b"From: a@sender.test\r\nTo: ant@example.net\r\n\r\nbody\r\n"


@pytest.fixture
async def parser() -> AsyncIterator[ReportParser]:
    parser = ReportParser()
    yield parser
    await parser.close()


async def test_one_process_reads_report_after_report(parser: ReportParser) -> None:
    found = await parser.parse(dsn(MAIL, "ant@example.net"))
    assert (found.kind, found.recipients[0].address) == (ReportKind.BOUNCE, "ant@example.net")
    pid = parser.pid
    assert (await parser.parse(arf(MAIL))).feedback_type == "abuse"
    assert (await parser.parse(VACATION)).kind is ReportKind.AUTOREPLY
    assert (await parser.parse(b"")).kind is ReportKind.NONE
    assert parser.pid == pid


async def test_m10_a_killed_parser_is_replaced(parser: ReportParser) -> None:
    await parser.parse(VACATION)
    assert parser.pid is not None
    os.kill(parser.pid, signal.SIGKILL)
    with pytest.raises(ParserDied):
        await parser.parse(b"x" * 1_000_000)
    assert (await parser.parse(VACATION)).kind is ReportKind.AUTOREPLY


READY = r"import sys, time; sys.stdout.buffer.write(b'\0\0\0\2\"\"'); sys.stdout.buffer.flush();"


@pytest.mark.parametrize(
    "program",
    [
        "time.sleep(60)",
        "pass",
        r"sys.stdin.buffer.read(4); sys.stdout.buffer.write(b'\0\0\0\2{}')",
        r"sys.stdin.buffer.read(4); sys.stdout.buffer.write(b'\xff\xff\xff\xff')",
        r"sys.stdin.buffer.read(4); sys.stdout.buffer.write(b'\0\0\0\5junk!')",
    ],
    ids=["hangs", "ends", "answers nonsense", "answers too much", "answers no JSON"],
)
async def test_a_parser_that_fails_is_ended(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_parser, "BUDGET", 1.0)
    parser = ReportParser(command=(sys.executable, "-c", READY + program))
    with pytest.raises(ParserDied):
        await parser.parse(VACATION)
    assert parser.pid is None


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-c", "import time; time.sleep(60)"),
        (sys.executable, "-c", "pass"),
        (sys.executable, "-c", "print('hello')"),
        ("/nowhere/python",),
    ],
    ids=["hangs", "ends", "answers nonsense", "is not there"],
)
async def test_a_parser_that_does_not_start_is_nobodys_fault(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_parser, "START", 0.5)
    parser = ReportParser(command=command)
    with pytest.raises(NoParser, match="the parser does not start: "):
        await parser.parse(VACATION)
    assert parser.pid is None


async def test_rules_that_were_spoilt_are_named_and_read_again_when_good(tmp_path: Path) -> None:
    rules = tmp_path / "own.toml"
    rules.write_text("[[rule]]\nid = 5\n")
    parser = ReportParser(rules)
    with pytest.raises(NoParser, match=r"own\.toml.*id"):
        await parser.parse(VACATION)
    rules.write_text("")
    assert (await parser.parse(VACATION)).kind is ReportKind.AUTOREPLY
    await parser.close()


@pytest.mark.parametrize(
    "data",
    [
        b"".join(
            b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n)
            for n in range(1000)
        ),
        b"Content-Type: message/rfc822\r\n\r\n" * 1000,
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 50_000,
        b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n",
        b"To: " + b"a@b.example, " * 20_000 + b"\r\n\r\n",
        b"Subject: " + b"=?utf-8?q?x?= " * 20_000 + b"\r\n\r\n",
        b"Content-Type: x/y; " + b"a*0=b; " * 20_000 + b"\r\n\r\n",
        b"b-" + b"a" * 1_000_000,
        b"/u/" * 300_000,
        b"em_" * 300_000,
    ],
    ids=[
        *("multiparts", "enclosed", "parts", "headers", "addresses", "words", "parameters"),
        *("locals", "tokens", "ids"),
    ],
)
async def test_m01_m02_m03_hostile_mail_is_read_within_its_budget(
    parser: ReportParser, data: bytes
) -> None:
    await parser.parse(VACATION)  # it has started
    async with asyncio.timeout(3):
        await parser.parse(data)
