"""Users: people of a tenant who log in with a password. Found by id, or by their email address.

Not here: their tokens (user_tokens.py), hashing passwords (core/password.py), what a role may do
(core/role.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.core import ids
from mta.core.address import Address
from mta.core.frozen import frozen
from mta.core.role import Role
from storage.database import Connection


@frozen
class User:
    """One person.

    Attributes:
        id: "usr_...".
        tenant_id, tenant_name: whose user.
        email: as it was given.
        role: what the user may do.
        first_name, last_name: may be "".
        image_url: of a picture, "" for none.
        created_at: aware, UTC.
        login_at: when the user last logged in (aware, UTC); None: never.
    """

    id: str
    tenant_id: int
    tenant_name: str
    email: str
    role: Role
    first_name: str
    last_name: str
    image_url: str
    created_at: datetime
    login_at: datetime | None = None


@frozen
class Profile:
    """What can be said of a user by those who manage users; attributes as of User."""

    role: Role = Role.MEMBER
    first_name: str = ""
    last_name: str = ""
    image_url: str = ""


@frozen
class Credentials:
    """What a login is compared with: the hash of a user's password, "" for none."""

    user_id: str
    password: str
    tenant_id: int


def key_of(address: Address) -> str:
    """Return what addresses are compared by at the login: nobody remembers how they wrote it."""
    return address.key.casefold()


COLUMNS = """u.id, u.tenant_id, t.name, u.email, u.role, u.first_name, u.last_name, u.image_url,
    u.created_at, u.login_at"""
"""Of users u and tenants t: what user_of() reads."""
_SELECT = f"SELECT {COLUMNS} FROM users u JOIN tenants t ON t.id = u.tenant_id"  # noqa: S608


def add(  # noqa: PLR0913 - one parameter for each column
    connection: Connection,
    *,
    user_id: str,
    tenant_id: int,
    address: Address,
    profile: Profile,
    password: str,
    now: datetime,
) -> bool:
    """Keep a new user with a password hash ("": links only); False when the address is taken."""
    added = connection.execute(
        "INSERT INTO users (id, tenant_id, email, key, role, first_name, last_name, image_url,"
        " password, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (
            *(user_id, tenant_id, str(address), key_of(address), profile.role.value),
            *(profile.first_name, profile.last_name, profile.image_url),
            *(password, ids.milliseconds(now)),
        ),
    )
    return added.rowcount == 1


def get(connection: Connection, user_id: str, *, tenant_id: int | None = None) -> User | None:
    """Return a user (of that tenant); None when there is none."""
    row = connection.execute(
        f"{_SELECT} WHERE u.id = ? AND (? IS NULL OR u.tenant_id = ?)",
        (user_id, tenant_id, tenant_id),
    ).fetchone()
    return user_of(row) if row else None


def find(connection: Connection, address: Address) -> User | None:
    """Return the user with this address; None when there is none."""
    row = connection.execute(f"{_SELECT} WHERE u.key = ?", (key_of(address),)).fetchone()
    return user_of(row) if row else None


def oldest(connection: Connection, tenant_id: int) -> User | None:
    """Return the first user that a tenant had and still has; None when it has none."""
    found = list_(connection, tenant_id=tenant_id, limit=1)
    return found[0] if found else None


def list_(
    connection: Connection,
    *,
    tenant_id: int | None = None,
    limit: int,
    after: str = "",
    before: str = "",
) -> list[User]:
    """Return users of a tenant (None: of all), oldest first.

    Args:
        connection: any.
        tenant_id: whose.
        limit: at most so many.
        after: only those behind the one with this id; "" is the start.
        before: only those just in front of the one with this id; "" for no such wish.
    """
    rows = connection.execute(
        f"{_SELECT} WHERE (? IS NULL OR u.tenant_id = ?) AND u.id > ? AND (? = '' OR u.id < ?)"
        f" ORDER BY u.id {'DESC' if before else ''} LIMIT ?",
        (tenant_id, tenant_id, after, before, before, limit),
    ).fetchall()
    return [user_of(row) for row in (reversed(rows) if before else rows)]


def count(connection: Connection, tenant_id: int) -> int:
    """Return how many users a tenant has."""
    [(number,)] = connection.execute(
        "SELECT COUNT(*) FROM users WHERE tenant_id = ?", (tenant_id,)
    ).fetchall()
    return int(number)


def change(connection: Connection, user_id: str, profile: Profile) -> None:
    """Give a user another role, names and picture."""
    connection.execute(
        "UPDATE users SET role = ?, first_name = ?, last_name = ?, image_url = ? WHERE id = ?",
        (profile.role.value, profile.first_name, profile.last_name, profile.image_url, user_id),
    )


def remove(connection: Connection, user_id: str, *, tenant_id: int | None = None) -> bool:
    """Remove a user with all tokens; False when there is no such user (of that tenant)."""
    removed = connection.execute(
        "DELETE FROM users WHERE id = ? AND (? IS NULL OR tenant_id = ?)",
        (user_id, tenant_id, tenant_id),
    )
    return removed.rowcount == 1


def credentials(connection: Connection, address: Address) -> Credentials | None:
    """Return what a login with this address is compared with; None when there is no such user."""
    row = connection.execute(
        "SELECT id, password, tenant_id FROM users WHERE key = ?", (key_of(address),)
    ).fetchone()
    return Credentials(*row) if row else None


def credentials_of(connection: Connection, user_id: str) -> Credentials | None:
    """Return the same for a user's id."""
    row = connection.execute(
        "SELECT id, password, tenant_id FROM users WHERE id = ?", (user_id,)
    ).fetchone()
    return Credentials(*row) if row else None


def set_password(connection: Connection, user_id: str, password: str) -> None:
    """Give a user another password hash; all tokens end."""
    connection.execute("UPDATE users SET password = ? WHERE id = ?", (password, user_id))
    connection.execute("DELETE FROM user_tokens WHERE user_id = ?", (user_id,))


def renew_hash(connection: Connection, old: Credentials, password: str) -> None:
    """Keep another hash of the same password; nothing when that was changed meanwhile."""
    connection.execute(
        "UPDATE users SET password = ? WHERE id = ? AND password = ?",
        (password, old.user_id, old.password),
    )


def user_of(row: Sequence[object]) -> User:
    """Return the user in a row of COLUMNS."""
    user_id, tenant_id, tenant_name, email, role, first_name, last_name, image_url = row[:8]
    created_at, login_at = row[8:10]
    return User(
        id=str(user_id),
        tenant_id=int(str(tenant_id)),
        tenant_name=str(tenant_name),
        email=str(email),
        role=Role(role),
        first_name=str(first_name),
        last_name=str(last_name),
        image_url=str(image_url),
        created_at=ids.moment(int(str(created_at))),
        login_at=None if login_at is None else ids.moment(int(str(login_at))),
    )
