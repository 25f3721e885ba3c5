"""An HTTP load source: CONNECTIONS connections post emails as fast as they are answered.

Run as a process of its own:
`python -m benchmarks.api_source PORT KEY CONNECTIONS COUNT BATCH SIZE`, with BATCH emails in a
request, a single one by `POST /v1/emails`. Prints one JSON line. Sends to 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

TEXT = "The quick brown fox jumps over the lazy dog, again and again, until the body is full. "


@dataclass
class Load:
    """What is left to send, and what has been answered.

    Attributes:
        requests: still to be sent.
        batch: emails in each.
    """

    key: str
    requests: int
    batch: int
    size: int
    accepted: int = 0
    refused: int = 0
    number: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    def request(self) -> bytes | None:
        """Return the next request, None when all have been sent."""
        if not self.requests:
            return None
        self.requests -= 1
        emails = [self._email() for _ in range(self.batch)]
        path, value = ("/v1/emails", emails[0]) if self.batch == 1 else ("/v1/emails/batch", emails)
        body = json.dumps(value).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _email(self) -> dict[str, object]:
        self.number += 1
        return {
            "from": "App <app@sender.test>",
            "to": f"r{self.number}@dest.test",
            "subject": f"Message {self.number}",
            "text": TEXT * (self.size // len(TEXT)),
        }


class Connection(asyncio.Protocol):
    """One client connection: a request, its answer, the next request."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self.load = load
        self.done = done
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def next(self) -> None:
        request = self.load.request()
        if request is None:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self.buffer = body[length:]
        self.load.latencies_ms.append((time.perf_counter() - self.sent_at) * 1000)
        if head.startswith(b"HTTP/1.1 200"):
            self.load.accepted += self.load.batch
        else:
            self.load.refused += self.load.batch
        self.next()


async def run(port: int, connections: int, load: Load) -> dict[str, float]:
    """Send the load over that many connections; return the figures."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    finished = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(lambda done=done: Connection(load, done), "127.0.0.1", port)
        finished.append(done)
    await asyncio.gather(*finished)
    wall = time.perf_counter() - started
    ordered = sorted(load.latencies_ms) or [0.0]
    return {
        "accepted": load.accepted,
        "refused": load.refused,
        "rate": round(load.accepted / wall, 1),
        "accept_p50_ms": round(ordered[len(ordered) // 2], 2),
        "accept_p99_ms": round(ordered[int((len(ordered) - 1) * 0.99)], 2),
    }


def main() -> None:
    """Read the arguments, run, print."""
    port, key = int(sys.argv[1]), sys.argv[2]
    connections, count, batch, size = map(int, sys.argv[3:7])
    load = Load(key, max(1, count // batch), batch, size)
    print(json.dumps(asyncio.run(run(port, connections, load))))


if __name__ == "__main__":
    main()
