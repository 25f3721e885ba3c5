from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

from mta.core.access import UNRESTRICTED, Access
from storage import tenants
from storage.database import Connection
from storage.tenants import DEFAULT_TENANT, KeyRecord
from tests.storage.builders import LATER, NOW

NARROW = Access(
    scopes=("emails:send", "stats:read"),
    domains=("sender.example",),
    networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
    expires_at=LATER,
    is_test=True,
)


def create(
    connection: Connection,
    key_id: str = "key_1",
    secret: bytes = b"h" * 32,
    access: Access = UNRESTRICTED,
) -> None:
    tenants.create_key(
        connection,
        tenant_id=DEFAULT_TENANT,
        name="my app",
        key_id=key_id,
        key_hash=secret,
        last4="x9Zq",
        now=NOW,
        access=access,
        description="the shop's",
    )


def test_a_key_is_found_by_its_hash(connection: Connection) -> None:
    create(connection)
    record = tenants.authenticate(connection, b"h" * 32)
    expected = KeyRecord("key_1", 1, "default", "my app", "x9Zq", NOW, None)
    assert record == replace(expected, description="the shop's")
    assert tenants.authenticate(connection, b"g" * 32) is None


def test_a_revoked_key_is_listed_but_not_valid(connection: Connection) -> None:
    create(connection)
    create(connection, "key_2", b"g" * 32)
    assert tenants.revoke_key(connection, "key_1", LATER)
    assert not tenants.revoke_key(connection, "key_1", LATER)
    assert not tenants.revoke_key(connection, "key_2", LATER, tenant_id=2)
    assert not tenants.revoke_key(connection, "key_9", LATER)
    assert tenants.authenticate(connection, b"h" * 32) is None
    assert tenants.authenticate(connection, b"g" * 32) is not None
    listed = tenants.list_keys(connection, tenant_id=1)
    assert [(key.id, key.revoked_at) for key in listed] == [("key_1", LATER), ("key_2", None)]
    assert tenants.list_keys(connection) == listed
    assert tenants.list_keys(connection, tenant_id=2) == []


def test_access_is_kept(connection: Connection) -> None:
    create(connection, access=NARROW)
    record = tenants.authenticate(connection, b"h" * 32)
    assert record is not None
    assert record.access == NARROW


def test_changing_a_key(connection: Connection) -> None:
    create(connection, access=NARROW)
    wider = replace(UNRESTRICTED, is_test=True)
    tenants.change_key(connection, "key_1", name="new", description="", access=wider)
    record = tenants.get_key(connection, "key_1", tenant_id=1)
    assert record is not None
    assert (record.name, record.description, record.access) == ("new", "", wider)
    assert tenants.get_key(connection, "key_1", tenant_id=2) is None


def test_after_a_rotation_both_secrets_work_for_a_while(connection: Connection) -> None:
    create(connection)
    tenants.rotate_key(connection, "key_1", key_hash=b"n" * 32, last4="NEW4", old_until=LATER)
    new, old = (tenants.authenticate(connection, one * 32) for one in (b"n", b"h"))
    assert new is not None
    assert old is not None
    assert (new.id, new.last4, new.access.expires_at) == ("key_1", "NEW4", None)
    assert (old.id, old.access.expires_at) == ("key_1", LATER)
    tenants.rotate_key(connection, "key_1", key_hash=b"m" * 32, last4="NEW5", old_until=LATER)
    assert tenants.authenticate(connection, b"h" * 32) is None
    tenants.revoke_key(connection, "key_1", NOW)
    assert tenants.authenticate(connection, b"n" * 32) is None


def test_an_old_secret_lives_no_longer_than_its_key(connection: Connection) -> None:
    create(connection, access=NARROW)
    until = LATER + timedelta(days=1)
    tenants.rotate_key(connection, "key_1", key_hash=b"n" * 32, last4="NEW4", old_until=until)
    old = tenants.authenticate(connection, b"h" * 32)
    assert old is not None
    assert old.access.expires_at == LATER


def test_uses_only_ever_get_later(connection: Connection) -> None:
    create(connection)
    for at in (LATER, NOW):
        tenants.record_uses(connection, {"key_1": at, "key_gone": at})
    [record] = tenants.list_keys(connection)
    assert record.used_at == LATER


def test_revoked_keys_may_be_left_out(connection: Connection) -> None:
    create(connection)
    tenants.revoke_key(connection, "key_1", NOW)
    assert tenants.list_keys(connection, is_valid_only=True) == []
    assert tenants.get_key(connection, "key_1") is None
