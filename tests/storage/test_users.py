from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mta.core import ids
from mta.core.address import parse_address
from mta.core.role import Role
from storage import tenancy, user_tokens, users
from storage.database import Connection
from storage.user_tokens import MAX_TOKENS, Purpose
from storage.users import Credentials, Profile

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ANT = parse_address("Ant@shop.example")


def add(
    connection: Connection,
    address: str = "Ant@shop.example",
    *,
    tenant_id: int = 1,
    profile: Profile | None = None,
) -> str:
    number = connection.execute("SELECT COUNT(*) FROM users").fetchone()[0]
    user_id = ids.numbered_id("usr", ids.milliseconds(NOW), number)
    assert users.add(
        connection,
        user_id=user_id,
        tenant_id=tenant_id,
        address=parse_address(address),
        profile=profile or Profile(Role.OWNER, "Ant", "", ""),
        password="hash",
        now=NOW,
    )
    return user_id


def session(connection: Connection, user_id: str, token: bytes) -> bool:
    return user_tokens.log_in(
        connection, Credentials(user_id, "hash", 1), token, now=NOW, expires_at=LATER
    )


def test_a_user_is_found_however_the_address_is_written(connection: Connection) -> None:
    user_id = add(connection)
    found = users.find(connection, parse_address("ANT@Shop.Example"))
    assert found is not None
    assert (found.id, found.email, found.role, found.tenant_name) == (
        user_id,
        "Ant@shop.example",
        Role.OWNER,
        "default",
    )
    assert users.credentials(connection, ANT) == Credentials(user_id, "hash", 1)


def test_an_address_exists_once_among_all_tenants(connection: Connection) -> None:
    add(connection)
    other = tenancy.create(connection, name="other", now=NOW)
    assert other is not None
    assert not users.add(
        connection,
        user_id="usr_x",
        tenant_id=other.number,
        address=parse_address("ant@shop.example"),
        profile=Profile(),
        password="",
        now=NOW,
    )


def test_lists_are_read_both_ways(connection: Connection) -> None:
    made = [add(connection, f"u{number}@shop.example") for number in range(5)]

    def listed(**page: str) -> list[str]:
        return [user.id for user in users.list_(connection, tenant_id=1, limit=2, **page)]

    assert listed() == made[:2]
    assert listed(after=made[1]) == made[2:4]
    assert listed(before=made[4]) == made[2:4]
    assert [user.id for user in users.list_(connection, limit=9)] == made
    assert users.list_(connection, tenant_id=7, limit=9) == []


def test_a_session_acts_as_its_user(connection: Connection) -> None:
    user_id = add(connection)
    assert session(connection, user_id, b"t")
    record = user_tokens.authenticate(connection, b"t", NOW)
    assert record is not None
    assert record.user == users.get(connection, user_id)
    assert record.access == Role.OWNER.access
    assert record.user is not None
    assert record.user.login_at == NOW
    assert user_tokens.authenticate(connection, b"t", LATER) is None
    assert user_tokens.authenticate(connection, b"x", NOW) is None


def test_another_password_ends_all_tokens_and_all_logins_under_way(connection: Connection) -> None:
    user_id = add(connection)
    session(connection, user_id, b"t")
    users.set_password(connection, user_id, "other hash")
    assert user_tokens.authenticate(connection, b"t", NOW) is None
    assert not session(connection, user_id, b"u")


def test_a_link_works_once_and_is_no_session(connection: Connection) -> None:
    user_id = add(connection)
    user_tokens.issue(
        connection, Credentials(user_id, "hash", 1), Purpose.LINK, b"l", now=NOW, expires_at=LATER
    )
    assert user_tokens.authenticate(connection, b"l", NOW) is None
    assert user_tokens.redeem(connection, b"l", NOW) == Credentials(user_id, "hash", 1)
    assert user_tokens.redeem(connection, b"l", NOW) is None


def test_a_link_ends_and_a_session_is_no_link(connection: Connection) -> None:
    user_id = add(connection)
    credentials = Credentials(user_id, "hash", 1)
    user_tokens.issue(connection, credentials, Purpose.LINK, b"l", now=NOW, expires_at=LATER)
    session(connection, user_id, b"s")
    assert user_tokens.redeem(connection, b"l", LATER) is None
    assert user_tokens.redeem(connection, b"s", NOW) is None


def test_tokens_are_bounded_and_swept(connection: Connection) -> None:
    user_id = add(connection)
    for number in range(MAX_TOKENS + 3):
        session(connection, user_id, b"%d" % number)
    [(count,)] = connection.execute("SELECT COUNT(*) FROM user_tokens").fetchall()
    assert count == MAX_TOKENS
    user_tokens.issue(
        connection,
        Credentials(user_id, "hash", 1),
        Purpose.LINK,
        b"l",
        now=LATER,
        expires_at=LATER + timedelta(minutes=1),
    )
    [(count,)] = connection.execute("SELECT COUNT(*) FROM user_tokens").fetchall()
    assert count == 1


def test_users_go_with_their_tenant_and_tokens_with_their_user(connection: Connection) -> None:
    other = tenancy.create(connection, name="other", now=NOW)
    assert other is not None
    user_id = add(connection, tenant_id=other.number)
    session(connection, user_id, b"t")
    assert not users.remove(connection, user_id, tenant_id=1)
    assert tenancy.delete(connection, other.number) is None
    assert users.get(connection, user_id) is None
    assert user_tokens.authenticate(connection, b"t", NOW) is None
