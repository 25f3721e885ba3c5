"""A load source: SESSIONS connections submit COUNT messages as fast as they are accepted.

Run as a process of its own: `python -m benchmarks.source PORT SESSIONS COUNT SIZE RCPTS FIRST_ID`.
Prints one JSON line. Every message carries its number and the time of its final dot's sending, so
that the sink can tell what is lost, doubled or late. Sends to 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

LINE = b"The quick brown fox jumps over the lazy dog, again and again, until the body is full. \r\n"


@dataclass
class Load:
    """What is left to send, and what has been answered."""

    first_id: int
    count: int
    size: int
    recipients: int
    next_id: int = 0
    accepted: int = 0
    refused: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    accepted_ids: list[int] = field(default_factory=list)

    def take(self) -> int | None:
        """Return the number of the next message, None when all have been taken."""
        if self.next_id >= self.count:
            return None
        self.next_id += 1
        return self.first_id + self.next_id - 1

    def message(self, number: int) -> bytes:
        """Return message `number`, ending with the terminating dot."""
        head = (
            f"From: Sender <app@sender.test>\r\nTo: <r{number}@dest.test>\r\n"
            f"Subject: Message {number}\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000\r\n"
            f"Message-ID: <{number}@sender.test>\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            f"X-Number: {number}\r\nX-Sent: {time.time_ns()}\r\n\r\n"
        ).encode()
        lines = max(0, self.size - len(head)) // len(LINE)
        return head + LINE * lines + b".\r\n"


class Session(asyncio.Protocol):
    """One client connection: MAIL, RCPT and DATA in one segment, then the message, repeated."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self.load = load
        self.done = done
        self.buffer = b""
        self.waiting = 1
        self.step = self.greeted
        self.number = 0
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            if line[3:4] == b"-":
                continue
            self.waiting -= 1
            if not line.startswith((b"2", b"3")):
                self.load.refused += 1
            if self.waiting == 0:
                self.step()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def greeted(self) -> None:
        self.expect(1, self.begin)
        self.transport.write(b"EHLO source.test\r\n")

    def begin(self) -> None:
        number = self.load.take()
        if number is None:
            self.transport.write(b"QUIT\r\n")
            self.transport.close()
            return
        self.number = number
        domain = b"dest.test"
        recipients = b"".join(
            b"RCPT TO:<r%d.%d@%s>\r\n" % (number, index, domain)
            for index in range(self.load.recipients)
        )
        self.expect(2 + self.load.recipients, self.send)
        self.transport.write(b"MAIL FROM:<app@sender.test>\r\n" + recipients + b"DATA\r\n")

    def send(self) -> None:
        self.expect(1, self.answered)
        self.sent_at = time.perf_counter()
        self.transport.write(self.load.message(self.number))

    def answered(self) -> None:
        self.load.accepted += 1
        self.load.accepted_ids.append(self.number)
        self.load.latencies_ms.append((time.perf_counter() - self.sent_at) * 1000)
        self.begin()

    def expect(self, replies: int, step: Callable[[], None]) -> None:
        self.waiting, self.step = replies, step


async def run(port: int, sessions: int, load: Load) -> dict[str, object]:
    """Send the load over that many sessions; return the figures."""
    loop = asyncio.get_running_loop()
    started_ns = time.time_ns()
    finished = []
    for _ in range(sessions):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: Session(load, done), "127.0.0.1", port)
        finished.append(done)
    await asyncio.gather(*finished)
    ordered = sorted(load.latencies_ms) or [0.0]
    return {
        "started_ns": started_ns,
        "accepted": load.accepted,
        "refused": load.refused,
        "accept_p50_ms": round(ordered[len(ordered) // 2], 2),
        "accept_p99_ms": round(ordered[int((len(ordered) - 1) * 0.99)], 2),
        "accept_wall_s": round((time.time_ns() - started_ns) / 1e9, 3),
    }


def main() -> None:
    """Read the arguments, run, print."""
    port, sessions, count, size, recipients, first_id = map(int, sys.argv[1:7])
    load = Load(first_id, count, size, recipients)
    print(json.dumps(asyncio.run(run(port, sessions, load))))


if __name__ == "__main__":
    main()
