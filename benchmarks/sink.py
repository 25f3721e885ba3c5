"""A receiving server that only counts: every command is accepted, every message dropped.

Run as a process of its own: `python -m benchmarks.sink [SITES [SECONDS]]`, which then takes so long
over each message. Prints its port on the first line; answers each line on standard input with a
JSON line of its counters ("reset" empties them first).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field

_SENT = re.compile(rb"\r\nX-Sent: (\d+)\r\n")
_REPLIES = {
    b"EHLO": b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250 8BITMIME\r\n",
    b"DATA": b"354 go ahead\r\n",
    b"QUIT": b"221 bye\r\n",
}


@dataclass
class Counters:
    """What has arrived.

    Attributes:
        seen: recipients of mail that carries the time of its sending; duplicates counts repeats.
        others: recipients of all other mail, and repeats how often one of them got it again.
    """

    messages: int = 0
    recipients: int = 0
    duplicates: int = 0
    signatures: int = 0
    connections: int = 0
    last_ns: int = 0
    seen: set[bytes] = field(default_factory=set)
    others: set[bytes] = field(default_factory=set)
    repeats: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def take(self, message: bytes, recipients: list[bytes]) -> None:
        """Count one message for some recipients."""
        self.last_ns = time.time_ns()
        self.messages += 1
        self.recipients += len(recipients)
        head = message[: message.find(b"\r\n\r\n") + 2]
        self.signatures += head.count(b"DKIM-Signature:")
        match = _SENT.search(head)
        if match is None:
            self.repeats += len(recipients) + len(self.others)
            self.others.update(recipients)
            self.repeats -= len(self.others)
            return
        self.duplicates += len(recipients) + len(self.seen)
        self.seen.update(recipients)
        self.duplicates -= len(self.seen)
        self.latencies_ms.append((self.last_ns - int(match.group(1))) / 1e6)

    def report(self) -> dict[str, object]:
        """Return the figures as JSON values."""
        ordered = sorted(self.latencies_ms) or [0.0]
        return {
            "messages": self.messages,
            "recipients": self.recipients,
            "unique": len(self.seen),
            "others": len(self.others),
            "repeats": self.repeats,
            "duplicates": self.duplicates,
            "signatures": self.signatures,
            "connections": self.connections,
            "last_ns": self.last_ns,
            "delivered_p50_ms": round(ordered[len(ordered) // 2], 1),
            "delivered_p99_ms": round(ordered[int((len(ordered) - 1) * 0.99)], 1),
        }


class Receiver(asyncio.Protocol):
    """One connection; `pause` is the seconds before it answers to a message."""

    def __init__(self, counters: Counters, pause: float = 0.0) -> None:
        self.counters = counters
        self.pause = pause
        self.is_pausing = False
        self.buffer = bytearray()
        self.in_data = False
        self.recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.counters.connections += 1
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.go_on()

    def go_on(self) -> None:
        """Answer what is in the buffer, up to where a pause begins."""
        answers = []
        while not self.is_pausing:
            end = self.buffer.find(b"\r\n.\r\n" if self.in_data else b"\r\n")
            if end < 0:
                break
            piece = bytes(self.buffer[:end])
            del self.buffer[: end + (5 if self.in_data else 2)]
            answers.append(self.message(piece) if self.in_data else self.command(piece))
        if answers:
            self.transport.write(b"".join(answers))

    def message(self, piece: bytes) -> bytes:
        self.in_data = False
        self.counters.take(piece, self.recipients)
        self.recipients = []
        answer = b"250 2.0.0 taken\r\n"
        if not self.pause:
            return answer
        self.is_pausing = True
        asyncio.get_running_loop().call_later(self.pause, self.end_pause, answer)
        return b""

    def end_pause(self, answer: bytes) -> None:
        self.is_pausing = False
        self.transport.write(answer)
        self.go_on()

    def command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        self.in_data = verb == b"DATA"
        if verb == b"RCPT":
            self.recipients.append(line)
        return _REPLIES.get(verb, b"250 2.0.0 ok\r\n")


async def serve(sites: int, pause: float) -> None:
    """Listen on one port of 127.0.0.1 and of so many 127.0.1.N until standard input ends."""
    counters = Counters()
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Receiver(counters, pause), "127.0.0.1", 0)]
    port = servers[0].sockets[0].getsockname()[1]
    for number in range(1, sites + 1):
        address = f"127.0.1.{number}"
        servers.append(await loop.create_server(lambda: Receiver(counters, pause), address, port))
    print(port, flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        if line.strip() == b"reset":
            counters.__init__()  # type: ignore[misc]
        print(json.dumps(counters.report()), flush=True)
    for server in servers:
        server.close()


if __name__ == "__main__":
    sites_wanted, pause_wanted = [*sys.argv[1:], "0", "0"][:2]
    asyncio.run(serve(int(sites_wanted), float(pause_wanted)))
