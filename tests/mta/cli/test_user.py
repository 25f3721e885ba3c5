"""`mta user`: passwords go in by standard input and are kept as hashes."""

from __future__ import annotations

import json

from mta.core.address import parse_address
from mta.core.password import is_password
from storage import users
from tests.mta.cli.conftest import CommandLine

PASSWORD = "correct horse battery"
ANT = "ant@shop.example"


def stored(mta: CommandLine) -> str:
    with mta.database() as database:
        found = database.read_now(lambda c: users.credentials(c, parse_address(ANT)))
    assert found is not None
    return found.password


def test_adding_and_listing(mta: CommandLine) -> None:
    added = mta("user", "add", ANT, "--first-name", "Ant", "--json", stdin=f"{PASSWORD}\n".encode())
    assert json.loads(added.stdout)["role"] == "owner"
    [listed] = json.loads(mta("user", "list", "--json").stdout)
    assert (listed["email"], listed["first_name"], listed["last_login_at"]) == (ANT, "Ant", None)
    assert ANT in mta("user", "list").stdout
    assert is_password(PASSWORD, stored(mta))


def test_a_weak_password_adds_nobody(mta: CommandLine) -> None:
    mta("key", "create", "--name", "x")
    refused = mta("user", "add", ANT, stdin=b"short\n")
    assert refused.exit_code == 2
    assert "at least 12" in refused.stderr
    assert json.loads(mta("user", "list", "--json").stdout) == []


def test_an_address_is_added_once_and_to_a_tenant_that_exists(mta: CommandLine) -> None:
    mta("user", "add", ANT, "--no-password")
    assert "there is a user" in mta("user", "add", ANT, "--no-password").stderr
    unknown = mta("user", "add", "bee@shop.example", "--no-password", "--tenant", "x")
    assert unknown.exit_code == 1
    assert "no tenant" in unknown.stderr


def test_another_password(mta: CommandLine) -> None:
    mta("user", "add", ANT, "--no-password")
    assert stored(mta) == ""
    assert mta("user", "password", ANT, stdin=f"{PASSWORD}\n".encode()).stdout.startswith("changed")
    assert is_password(PASSWORD, stored(mta))


def test_removing(mta: CommandLine) -> None:
    mta("user", "add", ANT, "--no-password")
    assert mta("user", "remove", ANT).stdout.startswith("removed")
    again = mta("user", "remove", ANT)
    assert again.exit_code == 1
    assert "no user has this address" in again.stderr
