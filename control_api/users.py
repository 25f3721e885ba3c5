"""Users of a tenant over the API: add, list, look at, change, remove; and their own password.

Nobody makes, changes or removes a user who may do more than himself. Passwords go in and never come
out. Requests with a password heed no Idempotency-Key: what is kept of a body to recognise it again
would be a fast hash of the password; an address exists once, so that is what stops a repetition.

Not here: logging in (login.py), roles (core/role.py).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.responses import Response

from control_api import audit, filters
from control_api.api_keys import require_no_more
from control_api.client_address import client_address
from control_api.contact_payload import read_address
from control_api.errors import NOT_FOUND, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.paging import read_page
from control_api.routes import Call, Route, json_response, timestamp
from mta.core import password
from mta.core.access import ADMIN, ANY_KEY
from mta.core.address import parse_address
from mta.core.role import ROLES, Role
from storage import tenancy, users
from storage.database import Connection
from storage.users import Profile, User

MAX_USERS = 1000
"""Users of one tenant."""
MAX_NAME, MAX_URL = 100, 2000

_TAKEN = Problem(409, "user_exists", "There is a user with this email address.")
_TOO_MANY = Problem(422, "too_many_users", f"At most {MAX_USERS} users are allowed.")
_NOT_A_USER = Problem(409, "not_logged_in", "This is an API key; nobody's password goes with it.")


async def create_user(call: Call) -> Response:
    """POST /v1/users."""
    return await create_for(call, call.tenant_id)


async def create_for_tenant(call: Call) -> Response:
    """POST /v1/tenants/{id}/users: as POST /v1/users, for that tenant."""
    number = tenancy.number_of(call.request.path_params["id"])
    if number is None:
        raise ApiError(NOT_FOUND)
    found = await call.services.database.read(lambda db: tenancy.get(db, number))
    if found is None:
        raise ApiError(NOT_FOUND)
    return await create_for(call, number)


async def create_for(call: Call, tenant_id: int) -> Response:
    """Add the user that a request describes to a tenant that exists."""
    services = call.services
    fields = Fields(read_json(await call.request.body()), [])
    address = read_address(fields)
    profile = _read_profile(fields, Profile())
    chosen = _read_password(fields, "password", str(address or ""))
    filters.finish(fields)
    if address is None:
        raise ApiError(invalid(fields.errors))
    require_no_more(call, profile.role.access)
    hashed = await _hashed(call, chosen) if chosen else ""
    user_id, now = services.new_id("usr"), services.now()

    def act(connection: Connection) -> User | Problem | None:
        if users.count(connection, tenant_id) >= MAX_USERS:
            return _TOO_MANY
        is_new = users.add(
            connection,
            user_id=user_id,
            tenant_id=tenant_id,
            address=address,
            profile=profile,
            password=hashed,
            now=now,
        )
        return users.get(connection, user_id) if is_new else _TAKEN

    made = await services.database.write(act)
    if isinstance(made, User):
        audit.changed(call, f"added as {made.role.value}", made.id)
    return _answer(made)


async def list_users(call: Call) -> Response:
    """GET /v1/users: oldest first."""
    fields = filters.query_fields(call.request)
    page = read_page(fields)
    filters.finish(fields)
    tenant_id = call.tenant_id
    found = await call.services.database.read(
        lambda db: users.list_(
            db, tenant_id=tenant_id, limit=page.reach, after=page.after, before=page.before
        )
    )
    return json_response(page.render(found, as_json))


async def get_user(call: Call) -> Response:
    """GET /v1/users/{id}."""
    return json_response(as_json(await _find(call)))


async def change_user(call: Call) -> Response:
    """PATCH /v1/users/{id}: what is named is replaced; another password ends all tokens."""
    user = await _find(call)
    fields = Fields(read_json(await call.request.body()), [])
    profile = _read_profile(fields, _profile(user))
    chosen = _read_password(fields, "password", user.email)
    filters.finish(fields)
    require_no_more(call, user.role.access)
    require_no_more(call, profile.role.access)
    hashed = await _hashed(call, chosen) if chosen else ""

    def act(connection: Connection) -> User | None:
        users.change(connection, user.id, profile)
        if hashed:
            users.set_password(connection, user.id, hashed)
        return users.get(connection, user.id)

    found = await call.services.database.write(act)
    call.services.gate.forget()
    audit.changed(call, "given another password" if hashed else "changed", user.id)
    return _answer(found)


async def remove_user(call: Call) -> Response:
    """DELETE /v1/users/{id}; doing it again, or to what never was, succeeds too."""
    user_id, tenant_id = call.request.path_params["id"], call.tenant_id
    database = call.services.database
    user = await database.read(lambda db: users.get(db, user_id, tenant_id=tenant_id))
    if user is not None:
        require_no_more(call, user.role.access)
        await database.write(lambda db: users.remove(db, user_id, tenant_id=tenant_id))
        call.services.gate.forget()
        audit.changed(call, "removed", user.id)
    return json_response({"object": "user", "id": user_id, "deleted": True})


async def change_own_password(call: Call) -> Response:
    """POST /v1/me/password: who is logged in takes another password; all tokens end."""
    user = call.key.user
    fields = Fields(read_json(await call.request.body()), [])
    current = fields.text("current_password", password.MAX_LENGTH)
    chosen = _read_password(fields, "password", user.email if user else "")
    filters.finish(fields)
    if user is None:
        raise ApiError(_NOT_A_USER)
    if not chosen:
        raise ApiError(invalid([FieldError("password", "required", "This field is required.")]))
    await _require_own(call, user, current)
    hashed = await _hashed(call, chosen)
    await call.services.database.write(lambda db: users.set_password(db, user.id, hashed))
    call.services.gate.forget()
    audit.changed(call, "given another password", user.id)
    return json_response(as_json(user))


async def _require_own(call: Call, user: User, given: str) -> None:
    """Refuse a wrong password; who has none, and came by a link, needs none."""
    stored = await call.services.database.read(lambda db: users.credentials_of(db, user.id))
    if stored is None:
        raise ApiError(NOT_FOUND)
    logins = call.services.gate.logins
    count_attempt(call, users.key_of(parse_address(user.email)))
    if stored.password and not await logins.matches(given, stored.password):
        audit.refused(call, user.id)
        wrong = FieldError("current_password", "invalid_value", "This is not your password.")
        raise ApiError(invalid([wrong]))


def count_attempt(call: Call, user: str = "") -> None:
    """Count an attempt to show a password or link; `user` stands for the user that it names.

    Raises:
        ApiError: 429; it is one too many.
    """
    proxies = call.services.settings.api.trusted_proxies
    call.services.gate.logins.count(client_address(call.request, proxies).text, user)


def as_json(user: User) -> dict[str, object]:
    """Return a user as the API shows it."""
    return {
        "object": "user",
        "id": user.id,
        "email": user.email,
        "role": user.role.value,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "image_url": user.image_url or None,
        "created_at": timestamp(user.created_at),
        "last_login_at": timestamp(user.login_at) if user.login_at else None,
    }


async def _find(call: Call) -> User:
    user_id, tenant_id = call.request.path_params["id"], call.tenant_id
    found = await call.services.database.read(
        lambda db: users.get(db, user_id, tenant_id=tenant_id)
    )
    if found is None:
        raise ApiError(NOT_FOUND)
    return found


def _answer(found: User | Problem | None) -> Response:
    if isinstance(found, User):
        return json_response(as_json(found))
    raise ApiError(found or NOT_FOUND)


async def _hashed(call: Call, chosen: str) -> str:
    salt = call.services.entropy(password.SALT_SIZE)
    return await call.services.gate.logins.hashed(chosen, salt)


def _profile(user: User) -> Profile:
    return Profile(user.role, user.first_name, user.last_name, user.image_url)


def _read_profile(fields: Fields, old: Profile) -> Profile:
    """Take `role`, `first_name`, `last_name` and `image_url`; what is not there stays."""
    return Profile(
        _read_role(fields, old.role),
        _read_name(fields, "first_name", old.first_name),
        _read_name(fields, "last_name", old.last_name),
        _read_url(fields, old.image_url),
    )


def _read_name(fields: Fields, name: str, old: str) -> str:
    is_given, text = fields.has(name), fields.text(name, MAX_NAME)
    return text if is_given else old


def _read_role(fields: Fields, old: Role) -> Role:
    name = fields.text("role", MAX_NAME)
    if name and name not in ROLES:
        fields.fail("role", "invalid_value", f"Expected one of {', '.join(ROLES)}.")
    return ROLES.get(name, old)


def _read_url(fields: Fields, old: str) -> str:
    is_given, url = fields.has("image_url"), fields.text("image_url", MAX_URL)
    if not is_given:
        return old
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_good = False
    if url and not is_good:
        fields.fail("image_url", "invalid_url", "Expected an http or https URL.")
    return url


def _read_password(fields: Fields, name: str, email: str) -> str:
    """Take a new password; "" when there is none, or it is wrong."""
    chosen = fields.text(name, password.MAX_LENGTH)
    problem = password.problem_of(chosen, email) if chosen else ""
    if problem:
        fields.fail(name, "invalid_password", problem)
    return "" if problem else chosen


_ONE = "/v1/users/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/users", create_user, "users:write", "Add a user"),
    Route("GET", "/v1/users", list_users, "users:read", "List users"),
    Route("GET", _ONE, get_user, "users:read", "Look at a user"),
    Route("PATCH", _ONE, change_user, "users:write", "Change a user"),
    Route("DELETE", _ONE, remove_user, "users:write", "Remove a user"),
    Route("POST", "/v1/me/password", change_own_password, ANY_KEY, "Change your password"),
    Route("POST", "/v1/tenants/{id}/users", create_for_tenant, ADMIN, "Add a user to a tenant"),
)
