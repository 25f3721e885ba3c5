"""Campaigns in tests: an application with a page to unsubscribe at, the task that sends, delivery.

Everything is asked step by step: nothing waits, nothing runs by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from control_api.campaign_expansion import LONG, CampaignSender
from control_api.personal_mail import PATIENCE, Composer
from mta.core.campaign import Brakes
from storage import queue
from storage.database import Connection
from tests.control_api.conftest import Api
from tests.storage.builders import settle_all
from tests.support.asgi import Reply

CAMPAIGNS, AUDIENCES = "/v1/campaigns", "/v1/audiences"
HTML = '<p>Dear {{ name | default: "you" }}</p><a href="https://shop.example/">look</a>'
DRAFT: dict[str, Any] = {
    "name": "Spring",
    "from": "Shop <shop@sender.example>",
    "subject": "Spring, {{ email }}",
    "html": HTML,
}


@dataclass
class Campaigning:
    """An application, and the task that sends its campaigns.

    Attributes:
        entropy: what ids and tokens are made of.
        patience: seconds that campaigns compose before it is others' turn.
        told: how often the journal was said to have grown.
    """

    api: Api
    brakes: Brakes = field(default_factory=Brakes)
    entropy: Callable[[int], bytes] = os.urandom
    patience: float = PATIENCE
    told: int = 0

    def __post_init__(self) -> None:
        served = replace(self.api.settings.api, public_url="https://mail.sender.test")
        self.api = self.api.with_settings(api=served)
        self.client = self.api.client
        composer = Composer(
            self.api.settings,
            self.api.tracker,
            self.api.database.spool,
            now=self.api.clock,
            entropy=self.entropy,
            patience=self.patience,
        )
        self.sender = CampaignSender(
            self.api.database,
            composer,
            brakes=self.brakes,
            now=self.api.clock,
            on_accepted=self.api._kick,
            on_events=self._tell,
        )

    def _tell(self) -> None:
        self.told += 1

    async def ok(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.ask(method, path, body)
        assert reply.status == 200, reply.body
        return reply.json

    async def ask(self, method: str, path: str, body: Any = None) -> Reply:
        data = b"" if body is None else json.dumps(body).encode()
        return await self.client.request(method, path, body=data)

    async def audience(self, *people: Any) -> str:
        """Make an audience of addresses, or of bodies of contacts; return its id."""
        made = await self.ok("POST", AUDIENCES, {"name": "News"})
        contacts = [{"email": one} if isinstance(one, str) else one for one in people]
        if contacts:
            await self.ok("POST", f"{AUDIENCES}/{made['id']}/contacts", {"contacts": contacts})
        return str(made["id"])

    async def campaign(self, **fields: Any) -> str:
        """Make a draft; return its path."""
        made = await self.ok("POST", CAMPAIGNS, DRAFT | fields)
        return f"{CAMPAIGNS}/{made['id']}"

    async def sent(self, **fields: Any) -> str:
        """Make a campaign and send it; return its path."""
        path = await self.campaign(**fields)
        await self.ok("POST", f"{path}/send")
        return path

    async def advance(self, rounds: int = 50) -> None:
        """Let campaigns take steps until there is nothing to do but wait."""
        for _ in range(rounds):
            if await self.sender.advance() >= LONG / 2:
                return

    def deliver(self, result: str = "delivered", limit: int = 10_000) -> int:
        """Let everything that waits end so; return how much that was."""

        def act(connection: Connection) -> int:
            due = queue.schedule(connection)
            requests = [queue.ClaimRequest(one.domain, limit) for one in due]
            claimed = queue.claim(connection, requests, now=self.api.clock(), owner="t").messages
            entries = [entry for one in claimed for entry in one.entries]
            settle_all(connection, entries[:limit], result)
            return len(entries)

        return self.api.database.write_now(act)

    def recipients(self) -> list[str]:
        """Return the addresses of all entries, in their order."""
        rows = self.api.database.read_now(
            lambda db: db.execute("SELECT recipient FROM entries ORDER BY id").fetchall()
        )
        return [row[0] for row in rows]

    def states(self) -> list[int]:
        """Return the states of all entries, in their order."""
        rows = self.api.database.read_now(
            lambda db: db.execute("SELECT state FROM entries ORDER BY id").fetchall()
        )
        return [row[0] for row in rows]

    async def events(self, *types: str) -> list[Any]:
        """Return events of these types, oldest first."""
        found = await self.ok("GET", f"/v1/events?types={','.join(types)}")
        return list(found["data"])
