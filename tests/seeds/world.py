"""A real engine, a receiving mail server, an app's webhook receiver: mail is the proof."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from tests.support.engine import Answer, Engine, configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Receiver
from tests.support.tools import find_tool

PUBLIC_URL = "https://mail.sender.test"
LOOPBACK = '[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'


@dataclass
class World:
    """What a story needs.

    Attributes:
        engine: `mta serve`.
        mail: where all mail arrives, whatever its domain.
        app: where webhooks arrive.
    """

    engine: Engine
    mail: Receiver
    app: HttpReceiver

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        """Call the engine's API, which must succeed."""
        answer: Answer = await self.engine.call(method, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    async def arrived(self, recipient: str) -> EmailMessage:
        """Return the newest message for a recipient, once there is one."""
        count = 1
        while True:
            found = [one for one in self.mail.messages if one.recipients == [recipient]]
            if found:
                message = email.message_from_bytes(found[-1].data, policy=email.policy.default)
                return cast("EmailMessage", message)
            count = max(count, len(self.mail.messages) + 1)
            await self.mail.wait_for(count, within=20)

    async def curl(self, line: str, **places: str) -> Any:
        """Run a curl line of a document in a shell; return the JSON that it prints."""
        text = line.format(base=self.engine.api, key=self.engine.key, **places)
        script = text.replace("curl ", f"{find_tool('curl')} --silent --max-time 20 ", 1)
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
        config = configuration(routing=routing) + LOOPBACK + extra
        served = config.replace("[api]\n", f'[api]\npublic_url = "{PUBLIC_URL}"\n')
        async with running(directory, served) as engine:
            yield World(engine, mail, app)
