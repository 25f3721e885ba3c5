"""Keys that may do less than everything, and their rotation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mta.core.api_key import key_hash
from storage import tenants
from storage.tenants import KeyRecord
from tests.mta.cli.conftest import CommandLine


def record_of(mta: CommandLine, key: str) -> KeyRecord | None:
    with mta.database() as database:
        return database.read_now(lambda c: tenants.authenticate(c, key_hash(key)))


def listed(mta: CommandLine) -> Any:
    [key] = json.loads(mta("key", "list", "--json").stdout)
    return key


def test_a_key_with_little_access(mta: CommandLine) -> None:
    result = mta(
        *("key", "create", "--name", "shop", "--scope", "emails:send", "--scope", "stats:read"),
        *("--domain", "Sender.Example", "--network", "192.0.2.0/24", "--network", "2001:db8::1"),
        *("--expires", "90d", "--test", "--description", "the shop's"),
    )
    key = result.stdout.strip()
    assert key.startswith("mta_test_")
    record = record_of(mta, key)
    assert record is not None
    access = record.access
    assert access.scopes == ("emails:send", "stats:read")
    assert access.domains == ("sender.example",)
    assert [str(network) for network in access.networks] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert access.is_test
    assert access.expires_at is not None
    assert (access.expires_at - record.created_at).days == 90
    shown = listed(mta)
    assert (shown["description"], shown["test"]) == ("the shop's", True)
    assert shown["scopes"] == ["emails:send", "stats:read"]
    text = mta("key", "list").stdout
    assert "test emails:send stats:read sender.example" in " ".join(text.split())


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--scope", "emails:eat", "emails:eat"),
        ("--domain", "a b", "must be a domain name"),
        ("--network", "10.0.0.1/8", "must be an IP address or network"),
        ("--expires", "soon", "must be a time span"),
    ],
)
def test_wrong_options(mta: CommandLine, option: str, value: str, said: str) -> None:
    result = mta("key", "create", "--name", "x", option, value)
    assert result.exit_code == 2
    assert said in result.stderr


def test_rotation(mta: CommandLine) -> None:
    created = json.loads(mta("key", "create", "--name", "shop", "--json").stdout)
    rotated = json.loads(mta("key", "rotate", created["id"], "--grace", "1h", "--json").stdout)
    assert rotated["id"] == created["id"]
    old, new = (record_of(mta, one["key"]) for one in (created, rotated))
    assert old is not None
    assert new is not None
    assert new.access.expires_at is None
    assert old.access.expires_at is not None
    assert listed(mta)["previous_valid_until"] == rotated["previous_valid_until"]
    assert mta("key", "rotate", created["id"]).stdout.startswith("mta_live_")
    assert record_of(mta, created["key"]) is None


def test_rotating_what_is_not_there(mta: CommandLine) -> None:
    mta("key", "create", "--name", "shop")
    result = mta("key", "rotate", "key_0")
    assert result.exit_code == 1
    assert "no valid key has this id" in result.stderr
