from __future__ import annotations

from storage import tenants
from storage.database import Connection
from storage.tenants import DEFAULT_TENANT, KeyRecord
from tests.storage.builders import LATER, NOW


def create(connection: Connection, key_id: str = "key_1", secret: bytes = b"h" * 32) -> None:
    tenants.create_key(
        connection,
        tenant_id=DEFAULT_TENANT,
        name="my app",
        key_id=key_id,
        key_hash=secret,
        last4="x9Zq",
        now=NOW,
    )


def test_a_key_is_found_by_its_hash(connection: Connection) -> None:
    create(connection)
    record = tenants.authenticate(connection, b"h" * 32)
    assert record == KeyRecord("key_1", 1, "default", "my app", "x9Zq", NOW, None)
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
