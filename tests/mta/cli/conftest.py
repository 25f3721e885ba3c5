"""A command line with its own configuration and data directory, and an SMTP server that listens."""

from __future__ import annotations

import secrets
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mta.cli.main import cli
from mta.core.address import parse_address
from mta.core.disposition import Disposition
from mta.core.envelope import Envelope, Recipient
from mta.core.ids import milliseconds, new_id
from mta.core.message import HeaderFacts, Message
from mta.core.outcome import Attempt, Outcome, Peer
from mta.core.submission import Door, Submission
from storage import queue
from storage.database import Connection, Database
from storage.submissions import AcceptedEmail, AcceptPolicy, accept
from storage.tenants import DEFAULT_TENANT


@dataclass
class CommandLine:
    """Runs commands with one configuration file."""

    directory: Path
    text: str = ""

    @property
    def config(self) -> Path:
        return self.directory / "mta.toml"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def configure(self, text: str) -> None:
        base = f'[server]\nhostname = "mta.sender.test"\ndata_dir = "{self.data}"\n'
        self.config.write_text(base + text)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    @contextmanager
    def database(self) -> Iterator[Database]:
        with closing(Database.open(self.data)) as database:
            yield database

    def accept(self, *recipients: str, at: datetime | None = None) -> str:
        """Put a message in the queue; return its id."""
        now = at or self.now
        data = b"From: app@sender.test\r\nSubject: hi\r\n\r\nhello\r\n"
        submission = Submission(
            public_id=new_id("em", milliseconds(now), secrets.token_bytes(10)),
            tenant_id=DEFAULT_TENANT,
            door=Door.SMTP,
            envelope=Envelope(
                parse_address("bounce@sender.test"),
                tuple(Recipient(parse_address(recipient)) for recipient in recipients),
            ),
            message=Message(data, None, len(data), len(data) - 7, bytes(32), is_8bit=False),
            header=HeaderFacts("app@sender.test", "sender.test", "hi", "<1@sender.test>"),
        )
        policy = AcceptPolicy(require_verified_domain=False)
        with self.database() as database:
            accepted = database.write_now(
                lambda connection: accept(connection, submission, policy=policy, now=now)
            )
        assert isinstance(accepted, AcceptedEmail)
        return accepted.public_id

    def attempt(self, domain: str, outcome: Outcome, disposition: Disposition) -> None:
        """Let one attempt at everything for a domain end so."""
        now = self.now
        attempt = Attempt(outcome, Peer("mx.one.test", "192.0.2.1"), now, now)

        def work(connection: Connection) -> None:
            claim = queue.claim(
                connection, [queue.ClaimRequest(domain, 100)], now=now, owner="test"
            )
            entries = [entry for claimed in claim.messages for entry in claimed.entries]
            queue.settle(
                connection,
                [queue.Settlement(e.id, e.attempts + 1, disposition, attempt) for e in entries],
            )

        with self.database() as database:
            database.write_now(work)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(cli, ["--config", str(self.config), *arguments], input=stdin)


def open_to_everybody(directory: Path) -> None:
    """Let other users than the one that runs the tests reach a directory of theirs."""
    top = Path(tempfile.gettempdir())
    for folder in (directory, *directory.parents):
        if not folder.is_relative_to(top) or folder == top:
            break
        folder.chmod(0o755)  # pytest keeps its directories from everybody else


@pytest.fixture
def mta(tmp_path: Path) -> CommandLine:
    command_line = CommandLine(tmp_path)
    command_line.configure("")
    return command_line


@dataclass
class FakeEngine:
    """What a submission client talks to: takes everything, unless told to refuse a verb.

    Attributes:
        answers: verb in upper case -> reply line instead of the usual one; "." is the final dot.
        commands: lines received.
        messages: bodies received, dot-stuffing undone.
    """

    port: int
    answers: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)

    def answer(self, line: bytes) -> bytes:
        verb = line.split()[0].decode().upper() if line.strip() else ""
        usual = (
            "250-mta.sender.test\r\n250-8BITMIME\r\n250 SMTPUTF8" if verb == "EHLO" else "250 ok"
        )
        usual = {"DATA": "354 go on", "QUIT": "221 bye", ".": FINAL}.get(verb, usual)
        return self.answers.get(verb, usual).encode() + b"\r\n"


FINAL = "250 2.0.0 queued as em_01K9ZQ3V5X8Y7W6T5S4R3Q2P1N"


@pytest.fixture
def engine(mta: CommandLine) -> Iterator[FakeEngine]:
    """A fake engine that mta's configuration names as its submission listener."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mta.sender.test ESMTP\r\n")
            for line in self.rfile:
                fake.commands.append(line.decode().rstrip("\r\n"))
                answer = fake.answer(line)
                self.wfile.write(answer)
                if answer.startswith(b"354"):
                    fake.messages.append(self.read_message())
                    self.wfile.write(fake.answer(b"."))
                if answer.startswith(b"221"):
                    return

        def read_message(self) -> bytes:
            lines = iter(self.rfile.readline, b".\r\n")
            return b"".join(line.removeprefix(b".") for line in lines)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_address[1]
        fake = FakeEngine(int(port))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mta.configure(f'[smtp.submission]\nlisten = ["127.0.0.1:{port}"]')
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
