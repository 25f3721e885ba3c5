from __future__ import annotations

import pytest

from storage import directives, domains
from storage.database import Connection
from storage.domains import DkimKeyRecord, DomainExists, DomainRecord
from tests.storage.builders import LATER, NOW

RSA = DkimKeyRecord("mw1", "rsa-sha256", "keys/sender.example/mw1.pem", "MIIB")
ED = DkimKeyRecord("mw2", "ed25519-sha256", "keys/sender.example/mw2.pem", "11qY")


def add(connection: Connection, name: str = "sender.example") -> DomainRecord:
    return domains.add_domain(
        connection, tenant_id=1, domain_id=f"dom_{name}", name=name, keys=[ED, RSA], now=NOW
    )


def test_what_is_added_is_found_by_name_and_id(connection: Connection) -> None:
    add(connection)
    record = domains.get_domain(connection, 1, "sender.example")
    assert record == DomainRecord(
        "dom_sender.example", 1, "sender.example", NOW, None, None, (RSA, ED)
    )
    assert domains.get_domain(connection, None, "dom_sender.example") == record
    assert domains.get_domain(connection, 2, "sender.example") is None
    assert domains.get_domain(connection, None, "other.example") is None
    assert domains.list_domains(connection) == [record]
    assert domains.list_domains(connection, tenant_id=2) == []


def test_a_name_is_taken_once(connection: Connection) -> None:
    add(connection)
    with pytest.raises(DomainExists, match=r"sender\.example"):
        add(connection)


def test_checks_verify_and_unverify(connection: Connection) -> None:
    add(connection)
    names = ["mail.sender.example", "sender.example"]
    assert not domains.verified_among(connection, 1, names)
    domains.mark_checked(connection, "sender.example", verified=True, now=NOW)
    assert domains.verified_among(connection, 1, names)
    assert not domains.verified_among(connection, 2, names)
    domains.mark_checked(connection, "sender.example", verified=False, now=LATER)
    assert not domains.verified_among(connection, 1, names)
    record = domains.get_domain(connection, 1, "sender.example")
    assert record is not None
    assert (record.verified_at, record.checked_at) == (None, LATER)


def test_keys_and_their_version(connection: Connection) -> None:
    assert (domains.signing_keys(connection), domains.keys_version(connection)) == ({}, 0)
    add(connection)
    add(connection, "other.example")
    assert domains.signing_keys(connection) == {
        "sender.example": (RSA, ED),
        "other.example": (RSA, ED),
    }
    assert domains.keys_version(connection) == 2
    assert domains.delete_domain(connection, 2, "sender.example") is None
    deleted = domains.delete_domain(connection, 1, "sender.example")
    assert deleted is not None
    assert deleted.keys == (RSA, ED)
    assert domains.signing_keys(connection).keys() == {"other.example"}
    assert domains.keys_version(connection) == 3
    changed, _ = directives.after(connection, 0)
    assert [(one.kind, one.target) for one in changed] == [
        ("keys_changed", "sender.example"),
        ("keys_changed", "other.example"),
        ("keys_changed", "sender.example"),
    ]
