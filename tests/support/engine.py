"""A real `mta serve` as a process, for flow tests: start it, talk to it, kill it, read its journal.

Ports are the system's: the engine writes what it bound to data_dir/endpoints.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_TIMEOUT = 20.0
STOP_TIMEOUT = 20.0

CONFIG = """
[engine]
processes = {processes}
[server]
hostname = "mta.sender.test"
data_dir = "data"
[api]
listen = "127.0.0.1:0"
[smtp.submission]
listen = ["127.0.0.1:0"]
[policy]
require_verified_domain = false
[delivery]
allow_private_destinations = true
{delivery}
[dns]
nameservers = {nameservers}
timeout = "1s"
[routing]
{routing}
"""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers, decoded JSON body."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Engine:
    """One data directory and the `mta serve` that runs on it."""

    def __init__(self, directory: Path, config: str, faults: str = "") -> None:
        self.directory = directory
        self.faults = faults
        self.config = directory / "mta.toml"
        self.config.write_text(config)
        self.data = directory / "data"
        self.process: asyncio.subprocess.Process | None = None
        self.key = ""

    async def mta(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run one command; return its exit code, output and errors."""
        process = await self._spawn(*arguments)
        async with asyncio.timeout(30):
            output, errors = await process.communicate(stdin)
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def start(self) -> None:
        """Start serving and wait until it listens."""
        (self.data / "endpoints.json").unlink(missing_ok=True)
        log = (self.directory / "log").open("ab")
        self.process = await asyncio.create_subprocess_exec(
            *self._command("serve"),
            stderr=log,
            stdout=log,
            env=os.environ | {"MTA_FAULTS": self.faults},
            cwd=self.directory,
        )
        log.close()
        async with asyncio.timeout(START_TIMEOUT):
            while not (self.data / "endpoints.json").exists():
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.02)
        endpoints = json.loads((self.data / "endpoints.json").read_text())
        self.smtp_port = int(endpoints["submission"][0].rpartition(":")[2])
        self.api = f"http://{endpoints['api']}"
        if not self.key:
            code, output, errors = await self.mta("key", "create", "--name", "flow", "--json")
            assert code == 0, errors
            self.key = json.loads(output)["key"]

    async def stop(self) -> int:
        """Ask it to stop as a service manager does; return its exit code."""
        return await self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        await self._signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        assert self.process is not None
        async with asyncio.timeout(STOP_TIMEOUT):
            return await self.process.wait()

    def log(self) -> str:
        """Everything it has written so far."""
        return (self.directory / "log").read_text()

    async def submit(self, message: bytes, sender: str, *recipients: str) -> str:
        """Submit over SMTP with smtplib; return the email's id from the reply."""
        return await asyncio.to_thread(self._submit, message, sender, recipients)

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Call the API with the engine's key."""
        return await asyncio.to_thread(self._call, method, path, body, headers or {})

    @asynccontextmanager
    async def journal(self) -> AsyncIterator[Callable[..., Any]]:
        """Give a function that waits for the next journal event that has these values.

        Events are those of `mta events --follow --json` from the beginning of the journal on.
        """
        process = await self._spawn("events", "--follow", "--after", "0", "--json")
        assert process.stdout is not None
        seen: list[dict[str, Any]] = []

        async def until(
            count: int = 1, within: float = 20.0, **values: Any
        ) -> list[dict[str, Any]]:
            assert process.stdout is not None

            def found() -> list[dict[str, Any]]:
                return [e for e in seen if all(e.get(k) == v for k, v in values.items())]

            try:
                async with asyncio.timeout(within):
                    while len(found()) < count:
                        line = await process.stdout.readline()
                        assert line, "the journal ended"
                        seen.append(json.loads(line))
            except TimeoutError:
                raise AssertionError(f"not {count} of {values} in {seen[-20:]}") from None
            return found()

        try:
            yield until
        finally:
            process.kill()
            await process.communicate()

    async def _spawn(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self._command(*arguments), stdin=pipe, stdout=pipe, stderr=pipe, limit=2**24
        )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "mta.cli.main", "--config", str(self.config), *arguments]

    async def _signal(self, number: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.wait()

    def _submit(self, message: bytes, sender: str, recipients: tuple[str, ...]) -> str:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=20) as client:
            client.ehlo("app.sender.test")
            assert client.mail(sender)[0] == 250
            for recipient in recipients:
                code, text = client.rcpt(recipient)
                assert code == 250, text
            code, text = client.data(message)
            assert code == 250, text
            return text.decode().split()[-1]

    def _call(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(  # noqa: S310 - the engine's own address
            self.api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return Answer(answer.status, dict(answer.headers), json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), json.loads(error.read()))


def configuration(
    *,
    routing: Mapping[str, str] | None = None,
    nameservers: list[str] | None = None,
    delivery: str = 'retry = { first = "300ms", lifetime = "10s", jitter = 0.0 }',
    extra: str = "",
    processes: int = 2,
) -> str:
    """Return an mta.toml for a flow test.

    With one process it is that one whose end, by a fault, is the end of the server.
    """
    pins = "\n".join(f'"{domain}" = "{pin}"' for domain, pin in (routing or {}).items())
    text = CONFIG.format(
        processes=processes,
        routing=pins,
        nameservers=json.dumps(nameservers or ["127.0.0.1:1"]),
        delivery=delivery,
    )
    return text + extra


@asynccontextmanager
async def running(directory: Path, config: str, faults: str = "") -> AsyncIterator[Engine]:
    """Give a serving engine; it is ended at the end, by force if it must be."""
    engine = Engine(directory, config, faults)
    await engine.start()
    try:
        yield engine
    finally:
        if engine.process is not None and engine.process.returncode is None:
            await engine.kill()
