"""What an API key may not do, it may not do over SMTP either."""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from mta.core.access import Access
from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4
from storage import tenants
from storage.database import Database
from tests.mta.test_smtp_submission import MESSAGE, NOW, Door, login
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import listening


def new_key(database: Database, **access: Any) -> str:
    key = format_key(os.urandom(ENTROPY_SIZE), is_test=access.get("is_test", False))
    database.write_now(
        lambda connection: tenants.create_key(
            connection,
            tenant_id=tenants.DEFAULT_TENANT,
            name="app",
            key_id=f"key_{last4(key)}",
            key_hash=key_hash(key),
            last4=last4(key),
            now=NOW,
            access=Access(**access),
        )
    )
    return key


@pytest.mark.parametrize(
    ("access", "reply"),
    [
        ({}, "250"),
        ({"scopes": ("emails:send",)}, "250"),
        ({"scopes": ("emails:read",)}, "550 5.7.1 This API key lacks the scope emails:send."),
        ({"networks": (ip_network("127.0.0.0/8"),)}, "250"),
        (
            {"networks": (ip_network("192.0.2.0/24"),)},
            "550 5.7.1 This API key may not be used from 127.0.0.1.",
        ),
        ({"domains": ("sender.test",)}, "250"),
        (
            {"domains": ("other.test",)},
            "550 5.7.1 This API key may not send from sender.test.",
        ),
    ],
)
async def test_i07_access(database: Database, access: dict[str, Any], reply: str) -> None:
    key = new_key(database, **access)
    async with listening(Door(database).service) as port, dialogue(port) as client:
        assert (await client.ask(login(key))).startswith("235")
        said = await client.ask("MAIL FROM:<bounce@sender.test>")
        if said.startswith("250"):
            await client.ask("RSET")
            said = await client.submit(MESSAGE)
        assert said.startswith(reply)


async def test_i07_loopback_trust_has_no_key_to_restrict_it(database: Database) -> None:
    async with listening(Door(database).service) as port, dialogue(port) as client:
        assert (await client.submit(MESSAGE)).startswith("250")


async def test_i06_an_expired_key_cannot_log_in(database: Database) -> None:
    key = new_key(database, expires_at=NOW)
    async with listening(Door(database).service) as port, dialogue(port) as client:
        assert (await client.ask(login(key))).startswith("535")


async def test_i06_a_session_ends_with_the_secret_that_was_rotated_away(
    database: Database,
) -> None:
    key = new_key(database)
    door = Door(database, recheck=timedelta(0))
    async with listening(door.service) as port, dialogue(port) as client:
        await client.ask(login(key))
        assert (await client.submit(MESSAGE)).startswith("250")
        database.write_now(
            lambda c: tenants.rotate_key(
                c, f"key_{last4(key)}", key_hash=b"new", last4="abcd", old_until=NOW
            )
        )
        assert (await client.ask("MAIL FROM:<>")).startswith("421 4.7.0")


async def test_mail_of_a_test_key_goes_to_the_sandbox(database: Database) -> None:
    key = new_key(database, is_test=True)
    door = Door(database)
    async with listening(door.service) as port, dialogue(port) as client:
        await client.ask(login(key))
        assert (await client.submit(MESSAGE)).startswith("250")
    assert not door.claimed()
    [claimed] = door.claimed("sandbox.test")
    assert [entry.recipient for entry in claimed.entries] == ["b@rcpt.test"]
