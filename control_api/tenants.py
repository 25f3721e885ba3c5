"""Tenants, for operators: make, list, look at, change the quota, delete. Takes the scope admin."""

from __future__ import annotations

from starlette.responses import Response

from control_api import api_keys, filters
from control_api.errors import NOT_FOUND, ApiError, Problem
from control_api.fields import Fields, read_json
from control_api.idempotency import Written, once
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from mta.core.access import ADMIN
from mta.core.quota import Quota
from storage import quotas, suppressions, tenancy
from storage.database import Connection
from storage.suppressions import SuppressionFilter
from storage.tenancy import TenantRecord, Undeletable

MAX_NAME = 100
MAX_QUOTA = 1_000_000_000
_STEP = 1000
"""Suppressions removed in one transaction."""

_TAKEN = Problem(409, "tenant_exists", "Another tenant has this name.")
_KEPT = {
    Undeletable.DEFAULT: "The first tenant cannot be deleted.",
    Undeletable.DOMAINS: "Delete its sender domains first.",
    Undeletable.QUEUE: "Mail of it is still in the queue; cancel that first.",
    Undeletable.CONTENT: "Delete its contacts, audiences, templates and campaigns first.",
}


async def create_tenant(call: Call) -> Response:
    """POST /v1/tenants."""
    now = call.services.now()
    body = await call.request.body()
    with once(call, body) as request:
        fields = Fields(read_json(body), [])
        name, has_quota, quota = fields.required_text("name", MAX_NAME), *_quota(fields)
        filters.finish(fields)

        def act(connection: Connection) -> Written | Problem:
            made = tenancy.create(connection, name=name, now=now)
            if made is None:
                return _TAKEN
            if has_quota:
                quotas.set_own_quota(connection, made.number, quota)
            return Written(_as_json(tenancy.get(connection, made.number) or made))

        outcome = await request.run(act)
    return outcome.response()


async def list_tenants(call: Call) -> Response:
    """GET /v1/tenants: oldest first."""
    fields = filters.query_fields(call.request)
    page = read_page(fields)
    if page.before:
        fields.fail("before", "unsupported", "This list is read forwards only.")
    filters.finish(fields)
    found = await call.services.database.read(
        lambda db: tenancy.list_(db, limit=page.reach, after=page.after)
    )
    return json_response(page.render(found, _as_json))


async def get_tenant(call: Call) -> Response:
    """GET /v1/tenants/{id}."""
    number = _number(call)
    found = await call.services.database.read(lambda db: tenancy.get(db, number))
    if found is None:
        raise ApiError(NOT_FOUND)
    return json_response(_as_json(found))


async def change_tenant(call: Call) -> Response:
    """PATCH /v1/tenants/{id}: its quota and delivery reports; null leaves them to mta.toml."""
    number = _number(call)
    fields = Fields(read_json(await call.request.body()), [])
    has_quota, quota = _quota(fields)
    has_dsn, dsn = fields.has("dsn"), fields.take("dsn")
    if dsn is not None and not isinstance(dsn, bool):
        fields.fail("dsn", "invalid_type", "Expected true, false or null.")
        dsn = None
    filters.finish(fields)

    def act(connection: Connection) -> TenantRecord | None:
        if has_quota and tenancy.get(connection, number) is not None:
            quotas.set_own_quota(connection, number, quota)
        if has_dsn:
            tenancy.set_dsn(connection, number, dsn)
        return tenancy.get(connection, number)

    found = await call.services.database.write(act)
    if found is None:
        raise ApiError(NOT_FOUND)
    return json_response(_as_json(found))


async def create_key(call: Call) -> Response:
    """POST /v1/tenants/{id}/api-keys: as POST /v1/api-keys, for that tenant."""
    number = _number(call)
    if await call.services.database.read(lambda db: tenancy.get(db, number)) is None:
        raise ApiError(NOT_FOUND)
    return await api_keys.create_for(call, number)


async def delete_tenant(call: Call) -> Response:
    """DELETE /v1/tenants/{id}: with its keys, webhooks and suppressions."""
    number, database = _number(call), call.services.database
    everything = SuppressionFilter()
    obstacle = await database.read(lambda db: tenancy.obstacle(db, number))
    if obstacle is None:
        last = _STEP
        while last == _STEP:
            last = await database.write(
                lambda db: suppressions.remove_matching(db, number, everything, limit=_STEP)
            )
        obstacle = await database.write(lambda db: tenancy.delete(db, number))
    if obstacle is not None:
        raise ApiError(Problem(409, "tenant_in_use", _KEPT[obstacle]))
    call.services.gate.forget()
    call.services.kick()
    name = call.request.path_params["id"]
    return json_response({"object": "tenant", "id": name, "deleted": True})


def _number(call: Call) -> int:
    number = tenancy.number_of(call.request.path_params["id"])
    if number is None:
        raise ApiError(NOT_FOUND)
    return number


def _quota(fields: Fields) -> tuple[bool, Quota | None]:
    """Take `quota`: whether it is given, and what; each limit null for none."""
    has_quota = fields.has("quota")
    given = fields.take("quota")
    if given is None:
        return has_quota, None
    inner = Fields(given, fields.errors, "quota")
    limits = [_limit(inner, name) for name in ("per_hour", "per_day")]
    inner.finish()
    return True, Quota(*limits)


def _limit(fields: Fields, name: str) -> int | None:
    value = fields.take(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_QUOTA:
        return value
    fields.fail(name, "invalid_value", f"Expected 1 to {MAX_QUOTA}, or null for no limit.")
    return None


def _as_json(tenant: TenantRecord) -> dict[str, object]:
    quota = tenant.quota
    return {
        "object": "tenant",
        "id": tenant.id,
        "name": tenant.name,
        "created_at": timestamp(tenant.created_at),
        "quota": {"per_hour": quota.per_hour, "per_day": quota.per_day} if quota else None,
        "keys": tenant.keys,
        "domains": tenant.domains,
        "dsn": tenant.dsn,
    }


_ONE = "/v1/tenants/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/tenants", create_tenant, ADMIN, "Make a tenant"),
    Route("GET", "/v1/tenants", list_tenants, ADMIN, "List tenants"),
    Route("GET", _ONE, get_tenant, ADMIN, "Look at a tenant"),
    Route("PATCH", _ONE, change_tenant, ADMIN, "Change quota and delivery reports of a tenant"),
    Route("POST", f"{_ONE}/api-keys", create_key, ADMIN, "Make an API key for a tenant"),
    Route("DELETE", _ONE, delete_tenant, ADMIN, "Delete a tenant"),
)
