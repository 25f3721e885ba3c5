"""The services of the documents as their clients see them, in process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from control_api.app import WEBHOOK_FORMATS, build_app
from tests.control_api.conftest import Api
from tests.control_api.test_domains import FakeWork
from tests.support.asgi import Client, Reply


class Service:
    """One service at one place.

    Attributes:
        native: the native API of the same application.
        client: sends what the document shows, with its key.
    """

    def __init__(self, api: Api, base: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.api, self.base = api, base
        services = replace(api.services, domain_work=FakeWork(api), webhook_formats=WEBHOOK_FORMATS)
        app = build_app(services)
        bearer = {"Authorization": f"Bearer {api.key}"}
        self.native = Client(app, bearer)
        self.client = Client(app, bearer if headers is None else headers)

    async def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request; a body that is not bytes goes as JSON."""
        more = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body, more = json.dumps(body).encode(), {"content-type": "application/json"} | more
        return await self.client.request(method, self.base + path, body=body or b"", headers=more)

    async def ok(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a request that must succeed; return the JSON of the answer."""
        reply = await self.call(method, path, body, headers)
        assert reply.status == 200, reply.body
        return reply.json

    async def native_ok(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the native API, which must succeed; return the JSON of the answer."""
        data = b"" if body is None else json.dumps(body).encode()
        reply = await self.native.request(method, path, body=data)
        assert reply.status == 200, reply.body
        return reply.json
