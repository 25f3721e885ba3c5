"""Whose request it is: an API key as a Bearer token or in X-API-Key.

Keys are looked up by their hash (storage/tenants.py). What was found is remembered for a second, so
that a busy client costs no read a request and a revoked key works for at most that long.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.requests import Request

from control_api.errors import UNAUTHORIZED, ApiError
from mta.core.api_key import key_hash, looks_like_key
from storage import tenants
from storage.database import Database
from storage.tenants import KeyRecord

REMEMBERED_FOR = timedelta(seconds=1)


class Authenticator:
    """Finds the key record of a request."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._found: dict[bytes, tuple[KeyRecord, datetime]] = {}

    async def authenticate(self, request: Request) -> KeyRecord:
        """Return the key that the request carries.

        Raises:
            ApiError: 401; there is none, or it is unknown or revoked.
        """
        key = _key_of(request)
        if not looks_like_key(key):
            raise ApiError(UNAUTHORIZED)
        hashed = key_hash(key)
        record, until = self._found.get(hashed, (None, self._now()))
        if record is None or until <= self._now():
            record = await self._look_up(hashed)
        return record

    async def _look_up(self, hashed: bytes) -> KeyRecord:
        self._found.pop(hashed, None)
        record = await self._database.read(lambda db: tenants.authenticate(db, hashed))
        if record is None:
            raise ApiError(UNAUTHORIZED)
        self._found[hashed] = (record, self._now() + REMEMBERED_FOR)
        return record


def _key_of(request: Request) -> str:
    """Return the key as sent, "" when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key", "").strip()
