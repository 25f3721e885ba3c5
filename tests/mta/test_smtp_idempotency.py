"""One message that comes twice over SMTP with a key in its header."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from storage import messages
from storage.database import Database
from tests.mta.test_smtp_submission import Door, submit

HEAD = b"From: shop@sender.test\r\nSubject: x\r\nDate: Tue, 01 Jan 2030 09:30:00 +0000\r\n"
KEY = b"X-Idempotency-Key: order-1\r\n"
BODY = b"\r\nhello\r\n"


def count(database: Database) -> int:
    [found] = database.read_now(lambda c: c.execute("SELECT COUNT(*) FROM messages").fetchone())
    return int(found)


async def test_the_second_gets_the_reply_of_the_first(database: Database) -> None:
    door = Door(database)
    first = await submit(door, KEY + HEAD + BODY)
    again = await submit(door, KEY + HEAD.replace(b"09:30", b"09:35") + BODY)
    assert first.startswith("250")
    assert again == first
    assert count(database) == 1
    assert len(door.kicks) == 1


@pytest.mark.parametrize("name", [b"Idempotency-Key", b"Resend-Idempotency-Key"])
async def test_every_name_is_one_key_and_none_is_delivered(database: Database, name: bytes) -> None:
    door = Door(database)
    first = await submit(door, KEY + HEAD + BODY)
    again = await submit(door, name + b": order-1\r\n" + HEAD + BODY)
    assert again == first
    [claimed] = door.claimed()
    assert claimed.message.message.data
    assert b"order-1" not in claimed.message.message.data


async def test_another_message_under_the_key_is_refused(database: Database) -> None:
    door = Door(database)
    await submit(door, KEY + HEAD + BODY)
    for message in (KEY + HEAD + BODY + b"more\r\n", KEY + HEAD.replace(b"x", b"y") + BODY):
        reply = await submit(door, message)
        assert reply == "550 5.6.0 This idempotency key came with another message before"
    assert count(database) == 1


async def test_bad_keys_are_refused(database: Database) -> None:
    reply = await submit(Door(database), KEY + KEY.replace(b"1", b"2") + HEAD + BODY)
    assert reply.startswith("550 5.6.0")
    assert count(database) == 0


async def test_without_a_key_each_message_counts(database: Database) -> None:
    door = Door(database)
    for _ in range(2):
        await submit(door, HEAD + BODY)
    assert count(database) == 2


async def test_a_refusal_is_not_remembered(database: Database) -> None:
    strict = Door(database, require_verified_domain=True)
    assert (await submit(strict, KEY + HEAD + BODY)).startswith("550 5.7.1")
    assert (await submit(Door(database), KEY + HEAD + BODY)).startswith("250")


async def test_two_at_once_are_one(database: Database) -> None:
    door = Door(database)
    replies = await asyncio.gather(*(submit(door, KEY + HEAD + BODY) for _ in range(5)))
    assert len(set(replies)) == 1
    assert count(database) == 1


async def test_a_day_later_the_key_is_free(database: Database) -> None:
    door = Door(database)
    await submit(door, KEY + HEAD + BODY)
    door.at += timedelta(hours=23, minutes=59)
    await submit(door, KEY + HEAD + BODY)
    assert count(database) == 1
    door.at += timedelta(minutes=1)
    await submit(door, KEY + HEAD + BODY)
    assert count(database) == 2


async def test_a_large_repetition_leaves_nothing_in_the_spool(
    database: Database, tmp_path: Path
) -> None:
    door = Door(database)
    message = KEY + HEAD + b"\r\n" + (b"x" * 78 + b"\r\n") * 5000
    first = await submit(door, message)
    assert await submit(door, message) == first
    [view] = database.read_now(lambda c: [messages.get(c, 1, first.split()[-1])])
    assert view
    assert len(list((tmp_path / "data" / "spool").iterdir())) == 1
