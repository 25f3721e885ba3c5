"""A receiving SMTP server that can be told to misbehave at every step.

    async with Receiver(script={"RCPT": ["250 ok", "451 later"]}) as receiver:
        ...connect to receiver.address, receiver.port...
    assert receiver.messages[0].data == b"..."

It keeps what it took, and counts each Message-ID at the final dot whatever it then answers,
so that a test can tell lost from doubled mail.
"""

from __future__ import annotations

import asyncio
import base64
import enum
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

LIMIT = 2**26
EXTENSIONS = ("PIPELINING", "SIZE 50000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class Act(enum.Enum):
    """Something else than an answer."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True)
class Bye:
    """Answer, then close."""

    text: str


@dataclass(frozen=True)
class Drip:
    """Answer one byte at a time, with a pause (seconds) before each."""

    text: str
    pause: float


Answer = str | bytes | Act | Bye | Drip
"""str: a reply, CRLF is added; several lines are joined by CRLF. bytes: sent as they are."""

DEFAULTS: Mapping[str, Answer] = {
    "CONNECT": "220 receiver.test ESMTP",
    "HELO": "250 receiver.test",
    "STARTTLS": "220 2.0.0 go ahead",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go ahead",
    "DOT": "250 2.0.0 queued",
    "RSET": "250 2.0.0 ok",
    "NOOP": "250 2.0.0 ok",
    "QUIT": Bye("221 2.0.0 bye"),
}
"""Step -> answer. Steps without a default: EHLO (made of the extensions), AUTH (checks the users),
HANDSHAKE (in answer to the client's, then the end), BODY (between 354 and reading the message)."""


@dataclass
class Received:
    """A message as it came, dot-stuffing undone."""

    mail_from: str
    recipients: list[str]
    data: bytes
    mail_line: str
    rcpt_lines: list[str]
    helo: str
    is_tls: bool
    user: str = ""


class _EndedError(Exception):
    """The connection is to end."""


class Receiver:
    """The server.

    Attributes:
        messages: what it took: DATA whose final dot was answered 2yz.
        message_ids: Message-ID -> how often its final dot was seen.
        commands: every command line, without its CRLF, in order of arrival over all connections.
        connections: how many there were.
    """

    def __init__(
        self,
        *,
        script: Mapping[str, Answer | Sequence[Answer]] | None = None,
        recipients: Mapping[str, Answer] | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        is_implicit_tls: bool = False,
        users: Mapping[str, str] | None = None,
        name: str = "receiver.test",
    ) -> None:
        """Prepare.

        Args:
            script: step -> answer, or answers in turn of which the last stays; see DEFAULTS.
            recipients: address -> answer to its RCPT, before the script.
            extensions: lines of the answer to EHLO; STARTTLS and AUTH come by themselves.
            tls: offers STARTTLS, or speaks TLS at once with is_implicit_tls.
            users: user -> password for AUTH.
        """
        self.messages: list[Received] = []
        self.message_ids: Counter[str] = Counter()
        self.commands: list[str] = []
        self.connections = 0
        self.address = ""
        self.port = 0
        self._script = {
            step: [answer] if isinstance(answer, str | bytes | Act | Bye | Drip) else list(answer)
            for step, answer in (script or {}).items()
        }
        self._recipients = dict(recipients or {})
        self._extensions = list(extensions)
        self.tls = tls
        self._is_implicit_tls = is_implicit_tls
        self.users = dict(users or {})
        self.name = name
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.start_server(
            self._accept,
            host,
            port,
            limit=LIMIT,
            ssl=self.tls if self._is_implicit_tls else None,
        )
        self.address, self.port = self._server.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for connection in set(self._open):
            connection.abort()
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def say(self, data: bytes) -> None:
        """Send bytes on every open connection, unasked."""
        for connection in self._open:
            connection.writer.write(data)

    def drop(self) -> None:
        """Close every open connection."""
        for connection in self._open:
            connection.writer.close()

    async def wait_for(self, count: int, within: float = 10.0) -> list[Received]:
        """Wait until so many messages were taken; return them all."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(self.messages) >= count)
        return self.messages

    async def wait_for_dots(self, count: int, within: float = 10.0) -> None:
        """Wait until so many final dots were seen, whatever is answered to them."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: self.message_ids.total() >= count)

    def answer(self, step: str, address: str = "") -> Answer | None:
        """Return the next answer of the script; None where there is nothing to say."""
        if step == "RCPT" and address in self._recipients:
            return self._recipients[address]
        answers = self._script.get(step)
        if not answers:
            return DEFAULTS.get(step)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    async def take(self, received: Received, answer: Answer | None) -> None:
        """Count a message at its final dot, and keep it when the answer is to be 2yz."""
        identifier = re.search(
            rb"^Message-ID:\s*(\S+)", received.data, re.MULTILINE | re.IGNORECASE
        )
        async with self._changed:
            self.message_ids[identifier[1].decode() if identifier else ""] += 1
            if _is_positive(answer):
                self.messages.append(received)
            self._changed.notify_all()

    def greeting_lines(self, *, is_tls: bool) -> str:
        """Return the answer to EHLO."""
        lines = [self.name, *self._extensions]
        if self.tls is not None and not is_tls:
            lines.append("STARTTLS")
        if self.users:
            lines.append("AUTH PLAIN LOGIN")
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = _Connection(self, reader, writer)
        self._open.add(connection)
        try:
            await connection.run()
        except (_EndedError, OSError, EOFError, asyncio.CancelledError):
            pass  # however it ends: the script or the client wanted it so
        finally:
            self._open.discard(connection)
            self._tasks.discard(task)
            writer.close()


class _Connection:
    """One client."""

    def __init__(
        self, receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.receiver = receiver
        self.reader = reader
        self.writer = writer
        self.is_tls = writer.get_extra_info("ssl_object") is not None
        self.helo = ""
        self.user = ""
        self.mail_line = ""
        self.rcpt_lines: list[str] = []

    async def run(self) -> None:
        """Speak until the end."""
        await self._act(self.receiver.answer("CONNECT"))
        while line := await self.reader.readline():
            text = line.decode().rstrip("\r\n")
            self.receiver.commands.append(text)
            verb = text[:4].upper() if text[:8].upper() != "STARTTLS" else "STARTTLS"
            step = getattr(self, f"_on_{verb.lower()}", None)
            if step is None:
                answer = self.receiver.answer(verb)
                await self._act("502 5.5.2 no such command" if answer is None else answer)
            else:
                await step(text)

    def abort(self) -> None:
        """End it now."""
        self.writer.transport.abort()

    async def _on_ehlo(self, text: str) -> None:
        self.helo = text[5:]
        scripted = self.receiver.answer("EHLO")
        await self._act(scripted or self.receiver.greeting_lines(is_tls=self.is_tls))

    async def _on_helo(self, text: str) -> None:
        self.helo = text[5:]
        await self._act(self.receiver.answer("HELO"))

    async def _on_starttls(self, text: str) -> None:
        if self.receiver.tls is None:
            await self._act("502 5.5.1 no TLS here")
            return
        answer = self.receiver.answer("STARTTLS")
        await self._act(answer)
        if not _is_positive(answer):
            return
        if (instead := self.receiver.answer("HANDSHAKE")) is not None:
            await self.reader.read(1)  # the client has begun
            await self._act(instead)
            raise _EndedError
        await self.writer.start_tls(self.receiver.tls)
        self.is_tls = True

    async def _on_auth(self, text: str) -> None:
        _, mechanism, *initial = text.split(" ")
        if mechanism == "PLAIN":
            _, user, password = base64.b64decode(initial[0]).decode().split("\0")
        else:
            user, password = [await self._prompt(word) for word in (b"Username:", b"Password:")]
        is_right = self.receiver.users.get(user) == password
        self.user = user if is_right else ""
        default = "235 2.7.0 welcome" if is_right else "535 5.7.8 no"
        await self._act(self.receiver.answer("AUTH") or default)

    async def _prompt(self, word: bytes) -> str:
        await self._act(f"334 {base64.b64encode(word).decode()}")
        return base64.b64decode(await self.reader.readline()).decode()

    async def _on_mail(self, text: str) -> None:
        answer = self.receiver.answer("MAIL")
        if _is_positive(answer):
            self.mail_line, self.rcpt_lines = text, []
        await self._act(answer)

    async def _on_rcpt(self, text: str) -> None:
        answer = self.receiver.answer("RCPT", _path(text))
        if not self.mail_line:
            answer = "503 5.5.1 MAIL first"
        elif _is_positive(answer):
            self.rcpt_lines.append(text)
        await self._act(answer)

    async def _on_data(self, text: str) -> None:
        answer = self.receiver.answer("DATA")
        if answer == DEFAULTS["DATA"] and not self.rcpt_lines:
            answer = "554 5.5.1 no valid recipients"
        await self._act(answer)
        if not (isinstance(answer, str | bytes) and answer[:1] in ("3", b"3")):
            return
        if (instead := self.receiver.answer("BODY")) is Act.HANG:
            cast("asyncio.Transport", self.writer.transport).pause_reading()
        await self._act(instead)
        data = await self._body()
        received = Received(
            mail_from=_path(self.mail_line) if self.mail_line else "",
            recipients=[_path(line) for line in self.rcpt_lines],
            data=data,
            mail_line=self.mail_line,
            rcpt_lines=self.rcpt_lines,
            helo=self.helo,
            is_tls=self.is_tls,
            user=self.user,
        )
        self.mail_line, self.rcpt_lines = "", []
        answer = self.receiver.answer("DOT")
        await self.receiver.take(received, answer)
        await self._act(answer)

    async def _body(self) -> bytes:
        first = await self.reader.readexactly(3)
        if first == b".\r\n":
            return b""
        stuffed = b"\r\n" + first + await self.reader.readuntil(b"\r\n.\r\n")
        return stuffed[:-3].replace(b"\r\n.", b"\r\n")[2:]

    async def _on_rset(self, text: str) -> None:
        self.mail_line, self.rcpt_lines = "", []
        await self._act(self.receiver.answer("RSET"))

    async def _act(self, answer: Answer | None) -> None:
        match answer:
            case str():
                self.writer.write(answer.encode() + b"\r\n")
            case bytes():
                self.writer.write(answer)
            case Bye(text):
                self.writer.write(text.encode() + b"\r\n")
                await self.writer.drain()
                raise _EndedError
            case Drip(text, pause):
                for byte in text.encode() + b"\r\n":
                    await asyncio.sleep(pause)
                    self.writer.write(bytes([byte]))
            case Act.HANG:
                await asyncio.Event().wait()
            case Act.CLOSE:
                raise _EndedError
            case Act.RESET:
                option = struct.pack("ii", 1, 0)
                connection = self.writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
                self.abort()
                raise _EndedError
        await self.writer.drain()


def _is_positive(answer: Answer | None) -> bool:
    if isinstance(answer, bytes):
        return answer.startswith(b"2")
    text = getattr(answer, "text", answer)
    return isinstance(text, str) and text.startswith("2")


def _path(line: str) -> str:
    """Return what stands between the angle brackets of a MAIL or RCPT line."""
    return line[line.index("<") + 1 : line.rindex(">")]
