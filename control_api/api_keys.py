"""API keys over the API: create, list, look at, change, rotate, revoke. A secret is told once.

A key never makes, changes or shows one that may do more than itself (core/access.py: exceeds). An
answer that is repeated for an Idempotency-Key lacks the secret: it is stored nowhere.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import ip_network

from starlette.responses import Response

from control_api import audit
from control_api.auth import forbidden
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, parse_time, read_json
from control_api.idempotency import Outcome, Written, once
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.access import SCOPES, UNRESTRICTED, Access, exceeds
from mta.core.address import AddressError, to_ascii_domain
from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4
from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.network import IpNetwork
from storage import tenants
from storage.database import Connection
from storage.tenants import KeyRecord

MAX_KEYS = 1000
"""Keys of one tenant: the counters of each are in memory."""
MAX_NAME, MAX_DESCRIPTION = 200, 500
MAX_DOMAINS = MAX_NETWORKS = 100
GRACE = timedelta(days=1)
"""How long the old secret works after a rotation, unless told otherwise."""
MAX_GRACE = timedelta(days=30)


@frozen
class _Wish:
    """A key as it is to be."""

    name: str
    description: str
    access: Access


async def create_key(call: Call) -> Response:
    """POST /v1/api-keys."""
    return await create_for(call, call.tenant_id)


async def create_for(call: Call, tenant_id: int) -> Response:
    """Make the key that a request asks for, for a tenant that exists."""
    body = await call.request.body()
    with once(call, body) as request:
        wish = _read(body, _Wish("", "", UNRESTRICTED), call.services.now(), is_new=True)
        require_no_more(call, wish.access)
        key_id, now = call.services.new_id("key"), call.services.now()
        secret = _new_secret(call, is_test=wish.access.is_test)

        def act(connection: Connection) -> Written | Problem:
            valid = tenants.list_keys(connection, tenant_id=tenant_id, is_valid_only=True)
            if len(valid) >= MAX_KEYS:
                return Problem(422, "too_many_api_keys", f"At most {MAX_KEYS} keys are allowed.")
            tenants.create_key(
                connection,
                tenant_id=tenant_id,
                name=wish.name,
                key_id=key_id,
                key_hash=key_hash(secret),
                last4=last4(secret),
                now=now,
                access=wish.access,
                description=wish.description,
            )
            return _written(connection, key_id)

        outcome = await request.run(act)
    if outcome.written is not None:
        audit.key_changed(call, "made", key_id)
    return _told_once(outcome, secret)


async def list_keys(call: Call) -> Response:
    """GET /v1/api-keys: those that are valid, oldest first."""
    fields = Fields(dict(call.request.query_params), [])
    page = read_page(fields)
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    found = await call.services.database.read(
        lambda db: tenants.list_keys(db, tenant_id=call.tenant_id, is_valid_only=True)
    )
    ids = [record.id for record in found]
    if page.after:
        found = found[ids.index(page.after) + 1 :] if page.after in ids else []
    if page.before:
        found = found[: ids.index(page.before)][-page.reach_skipped :] if page.before in ids else []
    return json_response(page.render(found[: page.reach], as_json))


async def get_key(call: Call) -> Response:
    """GET /v1/api-keys/{id}."""
    return json_response(as_json(await _find(call)))


async def change_key(call: Call) -> Response:
    """PATCH /v1/api-keys/{id}: what is named is replaced."""
    body = await call.request.body()
    old = await _find(call)
    wish = _read(body, _Wish(old.name, old.description, old.access), call.services.now())
    require_no_more(call, wish.access)

    def act(connection: Connection) -> Written | Problem:
        tenants.change_key(
            connection, old.id, name=wish.name, description=wish.description, access=wish.access
        )
        return _written(connection, old.id)

    found = await call.services.database.write(act)
    call.services.gate.forget()
    if isinstance(found, Problem):
        raise ApiError(found)
    audit.key_changed(call, "changed", old.id)
    return json_response(found.value)


async def rotate_key(call: Call) -> Response:
    """POST /v1/api-keys/{id}/rotate: a new secret; the old one works for a while."""
    body = await call.request.body()
    record = await _find(call)
    require_no_more(call, record.access)
    with once(call, body) as request:
        old_until = call.services.now() + _read_grace(body)
        secret = _new_secret(call, is_test=record.access.is_test)

        def act(connection: Connection) -> Written | Problem:
            tenants.rotate_key(
                connection,
                record.id,
                key_hash=key_hash(secret),
                last4=last4(secret),
                old_until=old_until,
            )
            return _written(connection, record.id)

        outcome = await request.run(act)
    call.services.gate.forget()
    if outcome.written is not None:
        audit.key_changed(call, "given another secret", record.id)
    return _told_once(outcome, secret)


async def revoke_key(call: Call) -> Response:
    """DELETE /v1/api-keys/{id}; doing it again, or to what never was, succeeds too."""
    key_id, tenant_id, now = call.request.path_params["id"], call.tenant_id, call.services.now()
    is_revoked = await call.services.database.write(
        lambda db: tenants.revoke_key(db, key_id, now, tenant_id=tenant_id)
    )
    call.services.gate.forget()
    if is_revoked:
        audit.key_changed(call, "revoked", key_id)
    return json_response({"object": "api_key", "id": key_id, "deleted": True})


def as_json(record: KeyRecord) -> dict[str, object]:
    """Return a key as the API shows it."""
    access = record.access
    return {
        "object": "api_key",
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "last4": record.last4,
        "test": access.is_test,
        "scopes": access.scopes,
        "allowed_domains": access.domains,
        "allowed_networks": [str(network) for network in access.networks],
        "created_at": timestamp(record.created_at),
        "expires_at": _optional(access.expires_at),
        "last_used_at": _optional(record.used_at),
        "previous_valid_until": _optional(record.old_until),
    }


async def _find(call: Call) -> KeyRecord:
    key_id, tenant_id = call.request.path_params["id"], call.tenant_id
    found = await call.services.database.read(
        lambda db: tenants.get_key(db, key_id, tenant_id=tenant_id)
    )
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def _written(connection: Connection, key_id: str) -> Written | Problem:
    """Return the key as it has been written; it may have been revoked before it was."""
    record = tenants.get_key(connection, key_id)
    return NOT_FOUND if record is None else Written(as_json(record))


def _told_once(outcome: Outcome, secret: str) -> Response:
    """Return the answer, with the secret when it is not a repetition."""
    if outcome.written is None:
        return outcome.response()
    return json_response({**_object(outcome.written.value), "token": secret})


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _new_secret(call: Call, *, is_test: bool) -> str:
    return format_key(call.services.entropy(ENTROPY_SIZE), is_test=is_test)


def require_no_more(call: Call, wanted: Access) -> None:
    """Refuse to make, change or show what may do more than who asks.

    Raises:
        ApiError: 403.
    """
    if denial := exceeds(wanted, call.key.access):
        raise ApiError(forbidden(denial))


def _read_grace(body: bytes) -> timedelta:
    fields = Fields(read_json(body) if body else {}, [])
    seconds = fields.take("grace_seconds")
    fields.finish()
    longest = int(MAX_GRACE.total_seconds())
    if seconds is None:
        seconds = int(GRACE.total_seconds())
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= longest:
        fields.fail("grace_seconds", "invalid_value", f"Expected a number from 0 to {longest}.")
        seconds = 0
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    return timedelta(seconds=seconds)


def _read(body: bytes, old: _Wish, now: datetime, *, is_new: bool = False) -> _Wish:
    """Read a body that changes a key from what it was; expires_at: null makes it last for ever.

    Raises:
        ApiError: 422; says all that is wrong.
    """
    value = read_json(body)
    named = dict(value) if isinstance(value, dict) else {}
    given = {name for name, wish in named.items() if wish is not None}
    fields, was = Fields(value, []), old.access
    name = fields.required_text("name", MAX_NAME) if is_new else fields.text("name", MAX_NAME)
    description = fields.text("description", MAX_DESCRIPTION)
    scopes, domains, networks = _scopes(fields), _domains(fields), _networks(fields)
    access = Access(
        scopes=scopes if "scopes" in given else was.scopes,
        domains=domains if "allowed_domains" in given else was.domains,
        networks=networks if "allowed_networks" in given else was.networks,
        expires_at=_expiry(fields, now) if "expires_at" in named else was.expires_at,
        is_test=_flag(fields, "test") if is_new else was.is_test,
    )
    if not access.scopes and not fields.errors:
        fields.fail("scopes", "required", "Give at least one scope.")
    fields.finish()
    if fields.errors:
        raise ApiError(invalid(fields.errors))
    description = description if "description" in given else old.description
    return _Wish(name or old.name, description, access)


def _flag(fields: Fields, name: str) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        fields.fail(name, "invalid_type", "Expected true or false.")
    return value is True


def _expiry(fields: Fields, now: datetime) -> datetime | None:
    value = fields.take("expires_at")
    if value is None:
        return None
    expires_at = parse_time(_text(value))
    if expires_at is None or expires_at <= now:
        fields.fail("expires_at", "invalid_value", "Expected an RFC 3339 time in the future.")
    return expires_at


def _scopes(fields: Fields) -> tuple[str, ...]:
    scopes = []
    for path, value in fields.items("scopes", len(SCOPES)):
        if isinstance(value, str) and value in SCOPES:
            scopes.append(value)
        else:
            fields.fail(path, "invalid_value", f"Expected one of {', '.join(SCOPES)}.")
    return tuple(dict.fromkeys(scopes))


def _domains(fields: Fields) -> tuple[str, ...]:
    domains = []
    for path, value in fields.items("allowed_domains", MAX_DOMAINS):
        try:
            domains.append(to_ascii_domain(_text(value)))
        except AddressError as error:
            fields.errors.append(FieldError(path, "invalid_domain", f"{error}."))
    return tuple(dict.fromkeys(domains))


def _networks(fields: Fields) -> tuple[IpNetwork, ...]:
    networks: list[IpNetwork] = []
    for path, value in fields.items("allowed_networks", MAX_NETWORKS):
        try:
            networks.append(ip_network(_text(value)))
        except ValueError:
            message = 'Expected an address or network without host bits, such as "192.0.2.0/24".'
            fields.errors.append(FieldError(path, "invalid_network", message))
    return tuple(dict.fromkeys(networks))


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _optional(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/api-keys", create_key, "keys:write", "Create an API key"),
    Route("GET", "/v1/api-keys", list_keys, "keys:read", "List API keys"),
    Route("GET", "/v1/api-keys/{id}", get_key, "keys:read", "Look at an API key"),
    Route("PATCH", "/v1/api-keys/{id}", change_key, "keys:write", "Change an API key"),
    Route("DELETE", "/v1/api-keys/{id}", revoke_key, "keys:write", "Revoke an API key"),
    Route("POST", "/v1/api-keys/{id}/rotate", rotate_key, "keys:write", "Give a key a new secret"),
)
