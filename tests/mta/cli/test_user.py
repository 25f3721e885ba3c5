"""`mta user`: passwords go in by standard input and are kept as hashes."""

from __future__ import annotations

import json

from mta.core.address import parse_address
from mta.core.api_key import key_hash
from mta.core.password import is_password
from storage import user_tokens, users
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


def test_another_role(mta: CommandLine) -> None:
    mta("user", "add", ANT, "--no-password")
    assert mta("user", "role", ANT, "viewer").stdout.startswith("changed")
    [listed] = json.loads(mta("user", "list", "--json").stdout)
    assert listed["role"] == "viewer"
    assert mta("user", "role", ANT, "king").exit_code == 2


def test_a_link_works_once_and_its_token_is_nowhere_in_the_file(mta: CommandLine) -> None:
    mta.configure('[api]\npublic_url = "https://mail.sender.test"\nlogin = { enabled = true }\n')
    mta("user", "add", ANT, "--no-password")
    made = json.loads(mta("user", "link", ANT, "--json").stdout)
    assert made["url"] == f"https://mail.sender.test/login/{made['token']}"
    assert mta("user", "link", ANT).stdout.startswith("https://mail.sender.test/login/mta_once_")
    hashed = key_hash(made["token"])
    with mta.database() as database:
        redeemed = [
            database.write_now(lambda c: user_tokens.redeem(c, hashed, mta.now)) for _ in range(2)
        ]
    assert redeemed[0] is not None
    assert redeemed[1] is None
    files = [path for path in mta.data.iterdir() if path.is_file()]
    assert all(made["token"].encode() not in path.read_bytes() for path in files)


def test_no_links_while_nobody_may_log_in(mta: CommandLine) -> None:
    mta("user", "add", ANT, "--no-password")
    refused = mta("user", "link", ANT)
    assert refused.exit_code == 1
    assert "api.login.enabled" in refused.stderr
