"""POST /v1/login and /v1/logout: a password, or a one-time link's token, for a token that works.

POST /v1/login-tokens makes one-time links; their page is login_page.py. Everything here is off
unless [api.login] is enabled. Not here: the users (users.py), limits on attempts (logins.py).
"""

from __future__ import annotations

from dataclasses import replace

from starlette.responses import Response

from control_api import audit, filters
from control_api.api_keys import require_no_more
from control_api.auth import key_of
from control_api.errors import UNAUTHORIZED, ApiError, FieldError, Problem, invalid
from control_api.fields import Fields, read_json
from control_api.routes import Call, Route, json_response, timestamp
from control_api.users import as_json, count_attempt
from mta.core import password
from mta.core.access import ANY_KEY, grants
from mta.core.address import Address, AddressError, parse_address
from mta.core.api_key import (
    ENTROPY_SIZE,
    format_login_token,
    format_session,
    is_login_token,
    key_hash,
    login_url,
)
from storage import user_tokens, users
from storage.database import Connection
from storage.user_tokens import Purpose
from storage.users import Credentials, User

MAX_BODY = 16_384
"""Bytes of a body that are read of somebody who has shown nothing yet."""

_OFF = Problem(
    403,
    "login_disabled",
    "Logging in is switched off here: the operator must set api.login.enabled in mta.toml.",
)
_WRONG = Problem(
    401,
    "invalid_credentials",
    "The email address or the password is wrong.",
    headers=UNAUTHORIZED.headers,
)
_SPENT = Problem(
    401,
    "invalid_credentials",
    "This login token was used before, or is too old.",
    headers=UNAUTHORIZED.headers,
)
_NOT_A_USER = Problem(409, "not_logged_in", "This is an API key, which nobody is logged in with.")


async def login(call: Call) -> Response:
    """POST /v1/login: `email` and `password`, or `token`."""
    require_enabled(call)
    fields = Fields(read_json(await _small_body(call)), [])
    token = fields.text("token", 100)
    email, given = fields.text("email", 320), fields.text("password", password.MAX_LENGTH)
    for name, value in (("email", email), ("password", given)):
        if token and value:
            fields.fail(name, "conflict", "Give token, or email and password, not both.")
        elif not (token or value or fields.errors):
            fields.fail(name, "required", "This field is required.")
    filters.finish(fields)
    if token:
        return _private(await exchange(call, token))
    credentials = await _check(call, email, given)
    return _private(await _begin(call, credentials))


async def exchange(call: Call, token: str) -> dict[str, object]:
    """Use a one-time login token up; return the session that it gives.

    Raises:
        ApiError: 401 when it is none, or was used; 429 for one attempt too many.
    """
    require_enabled(call)
    count_attempt(call)
    now, hashed = call.services.now(), key_hash(token)
    credentials = None
    if is_login_token(token):
        credentials = await call.services.database.write(
            lambda db: user_tokens.redeem(db, hashed, now)
        )
    if credentials is None:
        audit.refused(call)
        raise ApiError(_SPENT)
    audit.begin_login(call, credentials)
    return await _begin(call, credentials)


async def logout(call: Call) -> Response:
    """POST /v1/logout: the token that it came with ends."""
    if call.key.user is None:
        raise ApiError(_NOT_A_USER)
    hashed = key_hash(key_of(call.request))
    await call.services.database.write(lambda db: user_tokens.revoke(db, hashed))
    call.services.gate.forget()
    return json_response({"object": "session", "deleted": True})


async def create_login_token(call: Call) -> Response:
    """POST /v1/login-tokens: a link that logs a user in once."""
    require_enabled(call)
    services = call.services
    body = await call.request.body()
    fields = Fields(read_json(body) if body else {}, [])
    wanted = fields.text("user_id", 100)
    filters.finish(fields)
    user = await _whose(call, wanted)
    token = format_login_token(services.entropy(ENTROPY_SIZE))
    now = services.now()
    expires_at = now + services.gate.logins.settings.link

    def act(connection: Connection) -> bool:
        credentials = users.credentials_of(connection, user.id)
        return credentials is not None and user_tokens.issue(
            connection,
            credentials,
            Purpose.LINK,
            key_hash(token),
            now=now,
            expires_at=expires_at,
        )

    if not await services.database.write(act):
        raise ApiError(_unknown_user())
    audit.changed(call, "given a login link", user.id)
    answer = {
        "object": "login_token",
        "token": token,
        "url": login_url(services.settings.api.base_url, token),
    }
    return _private({**answer, "expires_at": timestamp(expires_at), "user": as_json(user)})


def require_enabled(call: Call) -> None:
    """Refuse while nobody may log in.

    Raises:
        ApiError: 403.
    """
    if not call.services.gate.logins.settings.enabled:
        raise ApiError(_OFF)


async def _check(call: Call, email: str, given: str) -> Credentials:
    """Return whose password this is; takes as long whether there is such a user or not."""
    address = _address(email)
    count_attempt(call, users.key_of(address) if address else "")
    database = call.services.database
    stored = None
    if address is not None:
        stored = await database.read(lambda db: users.credentials(db, address))
    if stored is not None:
        audit.begin_login(call, stored)
    logins = call.services.gate.logins
    is_right = await logins.matches(given, stored.password if stored else "")
    if stored is None or not is_right:
        audit.refused(call, stored.user_id if stored else "")
        raise ApiError(_WRONG)
    return await _renewed(call, stored, given) if password.is_outdated(stored.password) else stored


async def _renewed(call: Call, stored: Credentials, given: str) -> Credentials:
    """Return credentials whose hash has today's cost, in the place of an older one."""
    salt = call.services.entropy(password.SALT_SIZE)
    hashed = await call.services.gate.logins.hashed(given, salt)
    await call.services.database.write(lambda db: users.renew_hash(db, stored, hashed))
    return replace(stored, password=hashed)


async def _begin(call: Call, credentials: Credentials) -> dict[str, object]:
    """Return a new session of somebody who has shown that he may."""
    services = call.services
    token, now = format_session(services.entropy(ENTROPY_SIZE)), services.now()
    expires_at = now + services.gate.logins.settings.session

    def act(connection: Connection) -> User | None:
        is_begun = user_tokens.log_in(
            connection, credentials, key_hash(token), now=now, expires_at=expires_at
        )
        return users.get(connection, credentials.user_id) if is_begun else None

    user = await services.database.write(act)
    if user is None:
        raise ApiError(_WRONG)
    audit.logged_in(call, user.id)
    session = {"object": "session", "token": token, "expires_at": timestamp(expires_at)}
    return {**session, "user": as_json(user)}


async def _whose(call: Call, wanted: str) -> User:
    """Return the user that a link is for: who is named, else who asks, else the oldest.

    Raises:
        ApiError: 422 without such a user; 403 for another's link without the scope for it, or when
            the user may do more than who asks.
    """
    own = call.key.user
    if own is not None and wanted in ("", own.id):
        return own
    if not grants(call.key.access.scopes, "users:write"):
        raise ApiError(Problem(403, "forbidden", "This API key lacks the scope users:write."))
    tenant_id = call.tenant_id

    def find(connection: Connection) -> User | None:
        if wanted:
            return users.get(connection, wanted, tenant_id=tenant_id)
        return users.oldest(connection, tenant_id)

    user = await call.services.database.read(find)
    if user is None:
        raise ApiError(_unknown_user())
    require_no_more(call, user.role.access)
    return user


def _unknown_user() -> Problem:
    return invalid([FieldError("user_id", "unknown_user", "You have no such user.")])


async def _small_body(call: Call) -> bytes:
    body = b""
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            message = f"A body may have {MAX_BODY} bytes at most."
            raise ApiError(Problem(413, "body_too_large", message))
    return body


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except AddressError:
        return None  # nobody has it, which takes as long to find out as a wrong password


def _private(value: object) -> Response:
    response = json_response(value)
    response.headers["Cache-Control"] = "no-store"
    return response


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/login", login, "", "Log in with a password"),
    Route("POST", "/v1/logout", logout, ANY_KEY, "Log out"),
    Route("POST", "/v1/login-tokens", create_login_token, ANY_KEY, "Make a one-time login link"),
)
