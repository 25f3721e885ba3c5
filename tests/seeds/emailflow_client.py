"""EmailFlow as its clients see it: forms, with the token as the document shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from tests.control_api.conftest import Api
from tests.seeds.services import Service

BASES = ("", "/compat/emailflow")
FORM = {"content-type": "application/x-www-form-urlencoded"}
DONE = {"status": 1, "message": str}
Fields = Sequence[tuple[str, str]]


class EmailFlow(Service):
    """The service at one place; paths are those of the document, behind /api/v1."""

    def __init__(self, api: Api, base: str = "") -> None:
        super().__init__(api, f"{base}/api/v1")

    async def form(
        self, method: str, path: str, expected: int = 200, /, fields: Fields = (), **more: str
    ) -> Any:
        """Send a form, which must be answered with that status; return the JSON of the answer."""
        body = urlencode([*fields, *more.items()]).encode()
        reply = await self.call(method, path, body, FORM)
        assert reply.status == expected, (reply.status, reply.body)
        return reply.json

    async def new_list(self, *tags: str, **more: str) -> str:
        """Make a list with fields of these tags; return its uid."""
        sender = {"from_name": "Acme", "from_email": "hi@acme.example"}
        made = await self.form("POST", "/lists", 201, name="Newsletter", **sender | more)
        for tag in tags:
            path = f"/lists/{made['list_uid']}/add-field"
            await self.form("POST", path, type="text", label=tag.title(), tag=tag)
        return str(made["list_uid"])

    async def new_subscriber(self, list_uid: str, email: str, **more: str) -> str:
        """Add a subscriber; return the id."""
        made = await self.form("POST", "/subscribers", 201, list_uid=list_uid, EMAIL=email, **more)
        return str(made["subscriber_id"])

    async def subscriber(self, name: str) -> Any:
        """Return a subscriber by id or address."""
        return (await self.ok("GET", f"/subscribers/{name}"))["subscriber"]
