"""The gate in front of every route that needs a key: whose request it is, and whether it may pass.

A key comes as a Bearer token or in X-API-Key and is looked up by its hash (storage/tenants.py). The
token of a user who has logged in (storage/user_tokens.py) is good for the same.
What was found is remembered for a second, so that a busy client costs no read a request. A change
through this API counts at once, and so does one by the command line, which says that there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from starlette.requests import Request

from config.settings import Api
from control_api.brake import Brake
from control_api.client_address import client_address
from control_api.errors import UNAUTHORIZED, ApiError, Problem
from control_api.logins import Logins
from control_api.rate_limits import RateLimiter
from mta.core.access import Denial, Reason, may_use
from mta.core.api_key import is_session, key_hash, looks_like_key
from storage import tenants, user_tokens
from storage.database import Connection, Database
from storage.key_uses import KeyUses
from storage.tenants import KeyRecord

REMEMBERED_FOR = timedelta(seconds=1)


class Gate:
    """Lets requests through or raises why not.

    Attributes:
        limiter: counts the requests of each key.
        logins: counts attempts to log in.
    """

    def __init__(
        self, database: Database, settings: Api, uses: KeyUses, now: Callable[[], datetime]
    ) -> None:
        """Take [api] of the settings, and who notes that keys are used."""
        limits = settings.limits
        self.limiter = RateLimiter(database, limits.requests, limits.exempt_networks, now)
        self.logins = Logins(settings.login, now)
        self._brake = Brake(limits.wrong_keys, now)
        self._pages = Brake(limits.pages, now, "requests of such pages")
        self._database = database
        self._proxies = settings.trusted_proxies
        self._uses = uses
        self._now = now
        self._found: dict[bytes, tuple[KeyRecord, datetime]] = {}
        self._changes = 0

    async def admit(self, request: Request, scope: str, *, key: str | None = None) -> KeyRecord:
        """Return the key that the request carries.

        Args:
            request: the request.
            scope: what its route asks (Route.scope).
            key: as sent, where that is not for this gate to find; "" for none.

        Raises:
            ApiError: 401 without a key, and for one that is unknown, revoked or expired; 429 for
                one request, or one wrong key, too many; 403 where the key may not do this, or not
                from there.
        """
        client = client_address(request, self._proxies)
        try:
            record = await self._authenticate(key_of(request) if key is None else key)
        except ApiError:
            self._brake.note(client.text)
            raise
        denial = may_use(record.access, scope, address=client.text, now=self._now())
        if denial and denial.reason is Reason.EXPIRED:
            raise ApiError(replace(UNAUTHORIZED, message=denial.message))
        self.limiter.count(request, record.id, client)
        if denial:
            raise ApiError(forbidden(denial))
        if record.user is None:
            self._uses.note(record.id)
        return record

    def admit_to_page(self, request: Request) -> None:
        """Let a request of a page that needs no key pass.

        Raises:
            ApiError: 429; it is one too many from this client.
        """
        client = client_address(request, self._proxies)
        # A proxy that nobody has called trusted would make all its clients one.
        if client.is_certain and not self.limiter.is_exempt(client):
            self._pages.note(client.text)

    def denial(self, request: Request, record: KeyRecord, scope: str) -> Problem | None:
        """Return the 403 for what a key that was let in may not do besides; None when it may."""
        needs_address = bool(record.access.networks)
        address = client_address(request, self._proxies).text if needs_address else ""
        denial = may_use(record.access, scope, address=address, now=self._now())
        return forbidden(denial) if denial else None

    def is_exempt(self, request: Request) -> bool:
        """Tell whether the requests of a client are not counted."""
        return self.limiter.is_exempt(client_address(request, self._proxies))

    def forget(self) -> None:
        """Look all keys up again: some have changed."""
        self._found.clear()
        self._changes += 1

    async def _authenticate(self, key: str) -> KeyRecord:
        if not looks_like_key(key):
            raise ApiError(UNAUTHORIZED)
        hashed = key_hash(key)
        record, until = self._found.get(hashed, (None, self._now()))
        if record is None or until <= self._now():
            record = await self._look_up(hashed, is_user=is_session(key))
        return record

    async def _look_up(self, hashed: bytes, *, is_user: bool) -> KeyRecord:
        self._found.pop(hashed, None)
        changes, now = self._changes, self._now()

        def find(connection: Connection) -> KeyRecord | None:
            if not is_user:
                return tenants.authenticate(connection, hashed)
            is_on = self.logins.settings.enabled
            return user_tokens.authenticate(connection, hashed, now) if is_on else None

        record = await self._database.read(find)
        if record is None:
            raise ApiError(UNAUTHORIZED)
        if changes == self._changes:  # else it may be what was true before
            self._found[hashed] = (record, self._now() + REMEMBERED_FOR)
        return record


def forbidden(denial: Denial) -> Problem:
    """Return the 403 that names what a key may not."""
    return Problem(403, "forbidden", denial.message)


def key_of(request: Request) -> str:
    """Return the key as sent, "" when there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key", "").strip()
