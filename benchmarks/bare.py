"""The bare way of a message: receive, commit and sync, sign, send, note that it is gone.

What this design costs in Python on a machine when all that makes it an engine is left out: checks,
limits, parsing, shaping, retries, events to read, recovery. `benchmarks.delivery --bare` measures
it like the engine, so that the ratio of the two tells what the rest costs, on any machine. Two
processes, as the engine has on two cores. Not for mail: it retries nothing and serves anybody.

It knows as much of `mta`'s command line and mta.toml as a harness needs: `python -m benchmarks.bare
--config FILE serve`, and `domain add NAME --selector NAME [--dkim-key FILE]` before it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import hashlib
import json
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pysqlite3 as sqlite3
import uvloop
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SCHEMA = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, sender TEXT, recipient TEXT, body_hash TEXT, is_done INTEGER,
    content BLOB
);
CREATE INDEX waiting ON messages (id) WHERE is_done = 0;
CREATE TABLE events (id INTEGER PRIMARY KEY, message INTEGER, kind TEXT, at REAL, detail TEXT);
"""
CLAIM = """
SELECT id, sender, recipient, body_hash, content FROM messages
WHERE is_done = 0 AND id > ? ORDER BY id LIMIT 200
"""
GROUP = 64
"""Messages in one commit."""
LOW = 100
"""Messages in hand at which the next are claimed."""

Work = Callable[[sqlite3.Connection, list[Any]], None]


def connect(path: Path) -> sqlite3.Connection:
    """Open the database as the engine does: a write-ahead log that every commit syncs."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("PRAGMA busy_timeout=10000")
    return db


class Writer(threading.Thread):
    """Commits what is waiting, together; `work` writes the items of one transaction.

    Whoever is at the other end of `kick` is told of each commit.
    """

    def __init__(self, path: Path, work: Work, kick: socket.socket | None = None) -> None:
        super().__init__(daemon=True)
        self._items: queue.SimpleQueue[tuple[asyncio.Future[None] | None, Any]]
        self._items = queue.SimpleQueue()
        self._db, self._work, self._kick = connect(path), work, kick
        self._loop = asyncio.get_running_loop()
        self.start()

    def put(self, item: object, committed: asyncio.Future[None] | None = None) -> None:
        """Have an item written, and the future done once it is on disk."""
        self._items.put((committed, item))

    def run(self) -> None:
        """Work for ever."""
        while True:
            group = [self._items.get()]
            while len(group) < GROUP and not self._items.empty():
                group.append(self._items.get())
            self._db.execute("BEGIN IMMEDIATE")
            self._work(self._db, [item for _, item in group])
            self._db.execute("COMMIT")
            if self._kick is not None:
                with contextlib.suppress(BlockingIOError):  # so many wait: one more tells nothing
                    self._kick.send(b"k")
            futures = [future for future, _ in group if future is not None]
            if futures:
                self._loop.call_soon_threadsafe(_finish, futures)


def _finish(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


SPACES, LINE_END = re.compile(rb"[ \t]+"), re.compile(rb"[ \t]+\r\n")
FOLD = re.compile(rb"\r\n(?=[ \t])")


def body_hash(content: bytes) -> str:
    """Return the DKIM hash of a body, canonicalised "relaxed" (RFC 6376, section 3.4.4)."""
    body = content.partition(b"\r\n\r\n")[2]
    if b"  " in body or b"\t" in body or b" \r\n" in body:
        body = SPACES.sub(b" ", LINE_END.sub(b"\r\n", body))
    body = body.rstrip(b"\r\n") + b"\r\n"
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def insert(db: sqlite3.Connection, items: list[tuple[str, list[str], bytes, str]]) -> None:
    """Write received messages down, a row for each recipient."""
    now = time.time()
    for sender, recipients, content, hashed in items:
        for recipient in recipients:
            row = (sender, recipient, hashed, content)
            cursor = db.execute(
                "INSERT INTO messages (sender, recipient, body_hash, is_done, content)"
                " VALUES (?, ?, ?, 0, ?)",
                row,
            )
            event = (cursor.lastrowid, now)
            db.execute("INSERT INTO events (message, kind, at) VALUES (?, 'queued', ?)", event)


def settle(db: sqlite3.Connection, items: list[tuple[int, str]]) -> None:
    """Note which messages are delivered."""
    now = time.time()
    done = [(number,) for number, _ in items]
    db.executemany("UPDATE messages SET is_done = 1 WHERE id = ?", done)
    db.executemany(
        "INSERT INTO events (message, kind, at, detail) VALUES (?, 'delivered', ?, ?)",
        [(number, now, reply) for number, reply in items],
    )


class Front:
    """Receives mail over SMTP."""

    def __init__(self, path: Path, kick: socket.socket) -> None:
        self._writer = Writer(path, insert, kick)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client until it leaves."""
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipients = "", list[str]()
        writer.write(b"220 bare ESMTP\r\n")
        while True:
            line = await reader.readuntil(b"\r\n")
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-bare\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n")
            elif verb == b"MAIL":
                sender, recipients = _address(line), []
                writer.write(b"250 2.1.0 ok\r\n")
            elif verb == b"RCPT":
                recipients.append(_address(line))
                writer.write(b"250 2.1.5 ok\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go\r\n")
                content = (await reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                await self._accept(sender, recipients, content)
                writer.write(b"250 2.0.0 queued\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 ok\r\n")

    async def _accept(self, sender: str, recipients: list[str], content: bytes) -> None:
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        received = b"Received: by bare; now\r\n" + content
        self._writer.put((sender, recipients, received, body_hash(content)), committed)
        await committed


def _address(line: bytes) -> str:
    return line[line.index(b"<") + 1 : line.index(b">")].decode()


@dataclass
class Domain:
    """What waits for one destination, and the connections to it."""

    host: str
    port: int
    ready: deque[tuple[Any, ...]] = field(default_factory=deque)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    busy: int = 0


class Delivery:
    """Claims, signs and sends what the front has committed."""

    def __init__(
        self, path: Path, kick: socket.socket, config: dict[str, Any], key: rsa.RSAPrivateKey | None
    ) -> None:
        self._kick, self._key = kick, key
        self._routes = config["routing"]
        self._connections = config["delivery"].get("max_connections_per_site", 20)
        self._db, self._writer = connect(path), Writer(path, settle)
        self._domains: dict[str, Domain] = {}
        self._last, self._in_hand, self._may_have_more = 0, 0, True
        self._tasks: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()

    def kicked(self) -> None:
        """Look for what is new; the end of the front is ours."""
        try:
            is_open = bool(self._kick.recv(65536))
        except BlockingIOError:
            return
        if not is_open:
            self.over.set()
        self._may_have_more = True
        self._claim()

    def _claim(self) -> None:
        if self._in_hand >= LOW or not self._may_have_more:
            return
        rows = self._db.execute(CLAIM, (self._last,)).fetchall()
        self._may_have_more = bool(rows)
        self._in_hand += len(rows)
        for row in rows:
            self._last = row[0]
            domain = self._domain(row[2].rpartition("@")[2])
            domain.ready.append(row)
            if domain.busy < self._connections:
                domain.busy += 1
                task = asyncio.create_task(self._send_all(domain))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _domain(self, name: str) -> Domain:
        if name not in self._domains:
            host, port = self._routes.get(name, self._routes.get("*"))[len("smtp://") :].split(":")
            self._domains[name] = Domain(host, int(port))
        return self._domains[name]

    async def _send_all(self, domain: Domain) -> None:
        """Send what waits for a domain over one connection, which stays open for more."""
        reader, writer = domain.idle.pop() if domain.idle else await _open(domain)
        while domain.ready:
            number, sender, recipient, hashed, content = domain.ready.popleft()
            if self._key is not None:
                content = sign(self._key, content, hashed) + content
            writer.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
            for expected in (b"2", b"2", b"3"):
                await _reply(reader, expected)
            writer.write(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
            self._writer.put((number, await _reply(reader, b"2")))
            self._in_hand -= 1
            self._claim()
        domain.busy -= 1
        domain.idle.append((reader, writer))


async def _open(domain: Domain) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(domain.host, domain.port)
    await _reply(reader, b"2")
    writer.write(b"EHLO bare\r\n")
    while (await reader.readuntil(b"\r\n"))[3:4] == b"-":
        pass
    return reader, writer


async def _reply(reader: asyncio.StreamReader, expected: bytes) -> str:
    line = await reader.readuntil(b"\r\n")
    if not line.startswith(expected):
        raise RuntimeError(f"answered {line!r}")
    return line.decode()


SIGNED = (b"from", b"to", b"subject", b"date", b"message-id")


def sign(key: rsa.RSAPrivateKey, content: bytes, hashed: str) -> bytes:
    """Return the DKIM-Signature header field of a message of sender.test (RFC 6376)."""
    names, head = [], b""
    for line in FOLD.sub(b"", content.partition(b"\r\n\r\n")[0]).split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() in SIGNED:
            names.append(name.lower())
            head += b"%b:%b\r\n" % (name.lower(), SPACES.sub(b" ", value).strip())
    tags = b"v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=s1; t=%d; h=%b; bh=%b; b=" % (
        time.time(),
        b":".join(names),
        hashed.encode(),
    )
    text = head + b"dkim-signature:" + tags
    signature = base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256()))
    lines = [signature[start : start + 70] for start in range(0, len(signature), 70)]
    return b"DKIM-Signature: " + tags + b"\r\n ".join(lines) + b"\r\n"


async def receive(path: Path, kick: socket.socket, address: str) -> None:
    """Be the front process: listen until the process is ended."""
    host, _, port = address.rpartition(":")
    front = Front(path, kick)
    server = await asyncio.start_server(front.converse, host, int(port), limit=1 << 26, backlog=999)
    listening = server.sockets[0].getsockname()
    endpoints = {"submission": [f"{listening[0]}:{listening[1]}"]}
    path.with_name("endpoints.json").write_text(json.dumps(endpoints))
    await server.serve_forever()


async def deliver(
    path: Path, kick: socket.socket, config: dict[str, Any], key: rsa.RSAPrivateKey | None
) -> None:
    """Be the delivery process, until the front has ended."""
    delivery = Delivery(path, kick, config, key)
    asyncio.get_running_loop().add_reader(kick, delivery.kicked)
    await delivery.over.wait()


def serve(config: dict[str, Any], data: Path) -> None:
    """Run both processes."""
    path, key = data / "bare.db", None
    with connect(path) as db:
        db.executescript(SCHEMA)
    db.close()
    if config["dkim"]["algorithms"]:
        loaded = serialization.load_pem_private_key((data / "key.pem").read_bytes(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey)
        key = loaded
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    gc.freeze()
    gc.set_threshold(50_000)
    if os.fork() == 0:
        ours.close()
        uvloop.run(deliver(path, theirs, config, key))
    else:
        theirs.close()
        uvloop.run(receive(path, ours, config["smtp"]["submission"]["listen"][0]))


def main() -> None:
    """Do what `mta` would be asked by a harness."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    add = commands.add_parser("domain").add_subparsers(required=True).add_parser("add")
    add.add_argument("name")
    add.add_argument("--selector")
    add.add_argument("--dkim-key", type=Path)
    options = parser.parse_args()
    config = tomllib.loads(options.config.read_text())
    data = Path(config["server"]["data_dir"])
    data.mkdir(parents=True, exist_ok=True)
    if options.command == "serve":
        serve(config, data)
    elif options.dkim_key:
        shutil.copy(options.dkim_key, data / "key.pem")
    else:
        generate = ["openssl", "genrsa", "-out", str(data / "key.pem"), "2048"]
        subprocess.run(generate, check=True, capture_output=True)


if __name__ == "__main__":
    main()
