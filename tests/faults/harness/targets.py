"""Servers under the harness: start, kill all of it or one of its processes, ask what is in flight.

Each runs in a session of its own, so that killing its process group ends all of it at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Protocol

from storage.database import Database
from storage.entries import EntryState

START = 30.0
"""Seconds until a server must listen."""


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def children(pid: int) -> list[int]:
    """Return all living descendants of a process."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return []
    return [*found, *(grandchild for child in found for grandchild in children(child))]


class Target(Protocol):
    """A server that can be killed."""

    smtp_port: int

    async def start(self) -> None:
        """Start and wait until it takes mail."""

    async def kill(self) -> int:
        """SIGKILL all of it; return how many deliveries were in flight as far as it knew."""

    async def kill_one(self, draws: Random) -> str:
        """SIGKILL one process of it; return what happened."""

    async def stop(self) -> None:
        """End it as its service manager would."""


class _Group:
    """A process and its group."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def spawn(
        self, command: list[str], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                cwd=log.parent,  # so that PYTHONPATH alone says which code runs
                env=os.environ | (environment or {}),
            )

    async def end(self, number: signal.Signals, within: float = 60.0) -> int:
        """Send a signal to the group (SIGKILL) or the process and wait for the process."""
        assert self.process is not None
        if number is signal.SIGKILL:
            os.killpg(self.pid, number)
        else:
            self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, within)


async def listening(port: int, group: _Group, log: Path) -> None:
    """Wait until a server greets."""
    async with asyncio.timeout(START):
        while True:
            assert group.is_running, log.read_text()[-3000:]
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                greeting = await reader.read(4)
            except OSError:  # also one that was in the backlog when the server died
                await asyncio.sleep(0.02)
                continue
            writer.close()
            if greeting.startswith(b"220"):
                return


CONFIG = """
[server]
hostname = "mta.sender.test"
data_dir = "{data}"
[api]
listen = "127.0.0.1:{api_port}"
[smtp.submission]
listen = ["127.0.0.1:{smtp_port}"]
{submission}
[policy]
require_verified_domain = false
[delivery]
allow_private_destinations = true
port = {receiver_port}
{delivery}
retry = {{ jitter = 0.5, {retry} }}
[dns]
nameservers = ["{nameserver}"]
timeout = "1s"
[routing]
{routing}
[log]
level = "warning"
"""


class Mailwright:
    """This engine."""

    def __init__(
        self,
        directory: Path,
        receiver_port: int,
        *,
        nameserver: str = "127.0.0.1:1",
        pinned: tuple[str, ...] = ("*",),
        extra: str = "",
        retry: str = 'first = "300ms", ceiling = "2s", lifetime = "1h"',
        routing: str = "",
        submission: str = "",
        delivery: str = "",
        environment: dict[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Write its configuration.

        Args:
            directory: of its own, existing.
            receiver_port: where everything goes, on 127.0.0.1.
            nameserver: for domains that are not pinned.
            pinned: domains that need no DNS; "*" is all.
            extra: more TOML.
            retry: of [delivery].
            routing, submission, delivery: more of [routing], [smtp.submission] and [delivery].
            environment: more variables.
            prefix: what goes in front of its command.
        """
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "log"
        self.smtp_port, self.api_port = free_port(), free_port()
        self.key = ""
        self._config = directory / "mta.toml"
        self._environment = environment or {}
        self._prefix = list(prefix)
        self._group = _Group()
        pins = [f'"{name}" = "smtp://127.0.0.1:{receiver_port}"' for name in pinned]
        self._config.write_text(
            CONFIG.format(
                data=self.data,
                api_port=self.api_port,
                smtp_port=self.smtp_port,
                receiver_port=receiver_port,
                nameserver=nameserver,
                retry=retry,
                submission=submission,
                delivery=delivery,
                routing="\n".join([*pins, routing]),
            )
            + extra
        )

    @property
    def pid(self) -> int:
        """Its first process."""
        return self._group.pid

    @property
    def is_running(self) -> bool:
        """Whether its first process lives."""
        return self._group.is_running

    async def mta(self, *arguments: str) -> str:
        """Run a command and return what it printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            self._command(*arguments),
            capture_output=True,
            check=True,
            timeout=60,
        )
        output: bytes = done.stdout
        return output.decode()

    async def start(self, faults: str = "") -> None:
        """Start, and make a key the first time."""
        self._group.spawn(
            [*self._prefix, *self._command("serve")],
            self.log,
            self._environment | {"MTA_FAULTS": faults},
        )
        await listening(self.smtp_port, self._group, self.log)
        await self.make_key()

    async def make_key(self) -> None:
        """Make a key unless there is one."""
        if not self.key:
            self.key = json.loads(await self.mta("key", "create", "--name", "load", "--json"))[
                "key"
            ]

    async def make_webhook(self, url: str) -> None:
        """Make an endpoint that is told of everything."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.api_port)
        body = json.dumps({"url": url}).encode()
        writer.write(
            f"POST /v1/webhooks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200"), answer

    async def kill(self) -> int:
        """Kill the group; the claims that it leaves in storage are what was in flight."""
        await self._group.end(signal.SIGKILL)
        return (await asyncio.to_thread(self.states))[EntryState.CLAIMED]

    async def kill_one(self, draws: Random) -> str:
        """Kill a child; without children, the only process, which is started again."""
        victims = children(self.pid)
        if not victims:
            await self.kill()
            await self.start()
            return "the only process"
        victim = draws.choice(victims)
        name = Path(f"/proc/{victim}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        os.kill(victim, signal.SIGKILL)
        return name.strip()[-60:]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        os.killpg(self.pid, number)

    async def stop(self) -> None:
        """SIGTERM, and the end must be an orderly one."""
        if self._group.is_running:
            code = await self._group.end(signal.SIGTERM)
            assert code == 0, self.log.read_text()[-3000:]

    def reload(self) -> None:
        """SIGHUP; nothing waits for what comes of it."""
        if self._group.is_running:
            os.kill(self.pid, signal.SIGHUP)

    async def stop_inside(self) -> int:
        """Stop what runs inside a prefix that keeps signals to itself; return its exit code."""
        os.kill(children(self.pid)[0], signal.SIGTERM)
        assert self._group.process is not None
        return await asyncio.to_thread(self._group.process.wait, 60)

    async def abandon(self) -> None:
        """End it however, when a test is over."""
        if self._group.is_running:
            await self._group.end(signal.SIGKILL)

    def states(self) -> Counter[EntryState]:
        """Return how many queue entries are in each state."""
        with closing(Database.open(self.data)) as database:
            rows = database.read_now(
                lambda c: c.execute("SELECT state, COUNT(*) FROM entries GROUP BY state").fetchall()
            )
        return Counter({EntryState(state): count for state, count in rows})

    def entries(self) -> dict[str, list[EntryState]]:
        """Return recipient -> the states of its entries."""
        with closing(Database.open(self.data)) as database:
            rows = database.read_now(
                lambda c: c.execute("SELECT recipient, state FROM entries ORDER BY id").fetchall()
            )
        found: dict[str, list[EntryState]] = {}
        for recipient, state in rows:
            found.setdefault(recipient, []).append(EntryState(state))
        return found

    def check_integrity(self) -> None:
        """Raise when the file is damaged."""
        with closing(Database.open(self.data)) as database:
            database.check_integrity()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mta.cli.main", "--config", str(self._config), *arguments]
