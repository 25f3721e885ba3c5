"""`mta sink` as a process: it listens, shows and stores what arrives, and ends when told to."""

from __future__ import annotations

import json
import re
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from mta.cli.main import cli

MESSAGE = b"From: a@b.test\r\nSubject: hi\r\n\r\nhello\r\n"


@contextmanager
def sink(*options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a sink on a free port; give the process and the port."""
    command = [sys.executable, "-m", "mta.cli.main", "sink", "--listen", "127.0.0.1:0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        found = re.match(r"receiving at 127\.0\.0\.1:(\d+);", process.stderr.readline())
        assert found is not None
        try:
            yield process, int(found.group(1))
        finally:
            process.kill()


def test_it_shows_and_stores_what_arrives(tmp_path: Path) -> None:
    with sink("--json", "--store", str(tmp_path / "mail")) as (process, port):
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail("a@b.test", ["c@d.test"], MESSAGE)
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert (shown["mail_from"], shown["recipients"]) == ("a@b.test", ["c@d.test"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert errors == "messages received: 1\n"
    assert process.returncode == 0
    [stored] = (tmp_path / "mail").glob("*.eml")
    assert stored.read_bytes() == MESSAGE


def test_it_refuses_and_defers_as_told() -> None:
    with (
        sink("--refuse", "No*@d.test", "--defer-first", "1") as (_, port),
        smtplib.SMTP("127.0.0.1", port) as client,
    ):
        client.ehlo()
        client.mail("a@b.test")
        assert client.rcpt("nobody@d.test")[0] == 550
        assert [client.rcpt("c@d.test")[0] for _ in range(2)] == [451, 250]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--listen", "2526"), 2, "host:port"),
        (("--listen", "192.0.2.1:2526"), 1, "192.0.2.1:2526"),
        (("--delay", "soon"), 2, "time span"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], code: int, message: str) -> None:
    result = CliRunner().invoke(cli, ["sink", *arguments])
    assert result.exit_code == code
    assert message in result.stderr
