"""Is this process up, and can it do its work? For supervisors and load balancers; needs no key."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from control_api.routes import Call, json_response
from storage.database import Connection, Database
from storage.errors import StorageError, StorageFull

_PATIENCE = 5.0
"""Seconds that storage has to answer."""


async def healthz(call: Call) -> Response:
    """GET /healthz: 200 as long as the event loop turns."""
    return json_response({"status": "ok"})


async def readyz(call: Call) -> Response:
    """GET /readyz: 200, or 503 with what is wrong in `reasons`."""
    services = call.services
    found = (services.engine_problem(), await _storage_problem(services.database))
    reasons = [reason for reason in found if reason]
    if not reasons:
        return json_response({"status": "ok"})
    return json_response({"status": "unavailable", "reasons": reasons}, 503)


async def _storage_problem(database: Database) -> str:
    """Return why storage cannot be worked with, "" when it reads and begins and ends a write."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await database.read(_probe)
            await database.write(_probe)
    except StorageFull:
        return "storage is full"
    except (StorageError, TimeoutError):
        return "storage is unavailable"
    return ""


def _probe(connection: Connection) -> None:
    connection.execute("SELECT 1").fetchone()
