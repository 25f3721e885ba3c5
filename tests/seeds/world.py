"""A real engine, a receiving mail server, an app's webhook receiver: mail is the proof."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from control_api.app import DIALECTS
from tests.support.engine import Answer, Engine, configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Received, Receiver
from tests.support.tools import find_tool

PUBLIC_URL = "https://mail.sender.test"
LOOPBACK = '[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'
DOORS = ("root", "prefix", "host")
"""The places where a service answers."""


def host_of(dialect: str) -> str:
    """Return the virtual host of a service."""
    return f"{dialect.replace('_', '-')}.test"


HOSTS = "[compat.hosts]\n" + "".join(f'"{host_of(one.name)}" = "{one.name}"\n' for one in DIALECTS)


@dataclass
class World:
    """What a story needs.

    Attributes:
        engine: `mta serve`.
        mail: where all mail arrives, whatever its domain.
        app: where webhooks arrive.
        base: the base URL that clients of a service have; "" for the engine's own.
        since: mail that was there before.
    """

    engine: Engine
    mail: Receiver
    app: HttpReceiver
    base: str = ""
    since: int = 0

    async def at(self, door: str, dialect: str) -> World:
        """Return the world of another tenant, whose clients find a service at this door."""
        arguments = ("key", "create", "--name", "operator", "--scope", "admin", "--json")
        _, output, _ = await self.engine.mta(*arguments)
        operator = {"Authorization": f"Bearer {json.loads(output)['key']}"}
        name = {"name": f"{dialect} at its {door}"}
        tenant = await self.engine.call("POST", "/v1/tenants", name, operator)
        path = f"/v1/tenants/{tenant.body['id']}/api-keys"
        made = await self.engine.call("POST", path, {"name": "client"}, operator)
        engine = copy(self.engine)
        engine.key = made.body["token"]
        port = engine.api.rpartition(":")[2]
        bases = {
            "root": engine.api,
            "prefix": f"{engine.api}/compat/{dialect}",
            "host": f"http://{host_of(dialect)}:{port}",
        }
        return replace(self, engine=engine, base=bases[door], since=len(self.mail.messages))

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Call the engine's API, which must succeed."""
        answer: Answer = await self.engine.call(method, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    async def arrived(self, recipient: str) -> EmailMessage:
        """Return the newest message for a recipient, once there is one."""
        message = email.message_from_bytes(
            (await self.taken(recipient)).data, policy=email.policy.default
        )
        return cast("EmailMessage", message)

    async def taken(self, recipient: str) -> Received:
        """Return what the mail server was given with the newest message for a recipient."""
        while True:
            found = [one for one in self.mail.messages[self.since :] if recipient in one.recipients]
            if found:
                return found[-1]
            await self.mail.wait_for(len(self.mail.messages) + 1, within=20)

    async def curl(self, line: str, **places: str) -> Any:
        """Run a curl line of a document in a shell; return the JSON that it prints."""
        text = line.format(base=self.base or self.engine.api, key=self.engine.key, **places)
        _, address, port = self.engine.api.replace("//", "").split(":")
        hosts = " ".join(f"--resolve {host_of(one.name)}:{port}:{address}" for one in DIALECTS)
        silent = f"{find_tool('curl')} --silent --max-time 20 {hosts} "
        script = text.replace("curl ", silent, 1)
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
        return json.loads(output)


@asynccontextmanager
async def world(directory: Path, extra: str = "") -> AsyncIterator[World]:
    """Give a running world; `extra` goes to the end of its mta.toml."""
    async with Receiver() as mail, HttpReceiver() as app:
        routing = {"*": f"smtp://{mail.address}:{mail.port}"}
        config = configuration(routing=routing) + LOOPBACK + HOSTS + extra
        served = config.replace("[api]\n", f'[api]\npublic_url = "{PUBLIC_URL}"\n')
        async with running(directory, served) as engine:
            yield World(engine, mail, app)
