"""`mta key`: made once, shown once, revoked for good."""

from __future__ import annotations

import json

from mta.core.api_key import key_hash, looks_like_key
from storage import tenants
from tests.mta.cli.conftest import CommandLine


def test_a_key_is_shown_once_and_works(mta: CommandLine) -> None:
    result = mta("key", "create", "--name", "shop")
    key = result.stdout.strip()
    assert looks_like_key(key)
    assert "shop: keep the key" in result.stderr
    with mta.database() as database:
        record = database.read_now(lambda c: tenants.authenticate(c, key_hash(key)))
    assert record is not None
    assert record.name == "shop"
    assert key not in mta("key", "list").stdout


def test_json(mta: CommandLine) -> None:
    created = json.loads(mta("key", "create", "--name", "shop", "--json").stdout)
    assert set(created) == {"id", "name", "key"}
    [listed] = json.loads(mta("key", "list", "--json").stdout)
    assert (listed["id"], listed["name"], listed["last4"]) == (
        created["id"],
        "shop",
        created["key"][-4:],
    )
    assert listed["revoked_at"] is None


def test_revoking(mta: CommandLine) -> None:
    created = json.loads(mta("key", "create", "--name", "shop", "--json").stdout)
    assert mta("key", "revoke", created["id"]).stdout == f"revoked {created['id']}\n"
    assert "revoked 2" in mta("key", "list").stdout
    again = mta("key", "revoke", created["id"])
    assert again.exit_code == 1
    assert "no valid key has this id" in again.stderr


def test_i11_a_fresh_install_has_no_key(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    assert json.loads(mta("key", "list", "--json").stdout) == []


def test_markup_in_names_is_text(mta: CommandLine) -> None:
    mta("key", "create", "--name", "[red]shop\x1b[2J")
    output = mta("key", "list").stdout
    assert "[red]shop\\x1b[2J" in output
    assert "\x1b" not in output
