"""The SMTP door with real storage behind it."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from mta.core.api_key import format_key, key_hash
from mta.core.canonical import body_hash
from mta.core.envelope import Priority
from mta.smtp_session import Service
from mta.smtp_submission import Callbacks, SubmissionHandler, SubmissionRules
from storage import domains, messages, queue, tenants
from storage.database import Database
from storage.errors import StorageFull, StorageUnavailable
from storage.submissions import AcceptPolicy
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import FAST, listening

NOW = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
LOOPBACK = (ip_network("127.0.0.0/8"),)
KEY = format_key(bytes(24))
MESSAGE = (
    b"From: Shop <shop@sender.test>\r\nSubject: x\r\nDate: Tue, 01 Jan 2030 09:30:00 +0000\r\n"
    b"Message-ID: <1@sender.test>\r\n\r\nhello\r\n"
)


class Door:
    """A submission service and what happened in it."""

    def __init__(self, database: Database, **rules: Any) -> None:
        self.database = database
        self.kicks: list[int] = []
        self.urgent: list[list[int]] = []
        self.at = NOW
        numbers = count(1)
        policy = AcceptPolicy(require_verified_domain=rules.pop("require_verified_domain", False))
        handler = SubmissionHandler(
            database,
            SubmissionRules("mx.test", rules.pop("trusted", LOOPBACK), policy, **rules),
            hear=Callbacks(self._kicked, lambda: self.urgent.append(self.kicks[:])),
            now=lambda: self.at,
            entropy=lambda size: next(numbers).to_bytes(size),
        )
        self.service = Service(
            "mx.test",
            handler,
            FAST,
            spool=getattr(database, "spool", None),
            offers_auth=True,
            requires_tls_for_auth=False,
        )

    def _kicked(self) -> None:
        """Note how many entries are committed at this moment."""
        query = "SELECT count(*) FROM entries"
        [entries] = self.database.read_now(lambda c: c.execute(query).fetchone())
        self.kicks.append(entries)

    def claimed(self, domain: str = "rcpt.test") -> tuple[queue.ClaimedMessage, ...]:
        """Return what the engine would get now."""
        request = [queue.ClaimRequest(domain, 10)]
        work: Callable[..., queue.Claim] = queue.claim
        return self.database.write_now(
            lambda connection: work(connection, request, now=NOW, owner="test").messages
        )


async def submit(door: Door, message: bytes, **envelope: str) -> str:
    async with listening(door.service) as port, dialogue(port) as client:
        return await client.submit(message, **envelope)


async def test_a_message_is_committed_before_it_is_confirmed(database: Database) -> None:
    door = Door(database)
    reply = await submit(door, MESSAGE)
    queued = re.fullmatch(r"250 2\.0\.0 Ok: queued as (em_[0-9A-Z]{26})", reply)
    assert queued
    assert door.kicks == [1]
    email = database.read_now(lambda c: messages.get(c, 1, queued[1]))
    assert email
    assert (email.door, email.mail_from, email.subject) == ("smtp", "a@sender.test", "x")


async def test_bytes_pass_through_exactly(database: Database) -> None:
    kept = (
        b"from:\tShop <shop@sender.test>\r\n"
        b"Subject: =?utf-8?q?x?=\r\n  folded\r\n\tagain\r\n"
        b"X-Raw: \xff\xc3\xa9 \r\n"
        b"DATE: whenever\r\n"
        b"Message-Id: <1@sender.test>\r\n"
        b"Received: from elsewhere\r\n"
        b"To: b@rcpt.test\r\n"
        b"To: again@rcpt.test\r\n"
    )
    dropped = b"Bcc: hidden@rcpt.test,\r\n other@b.test\r\nX-MTA-Priority: bulk\r\nX-mta-x: y\r\n"
    body = b"..dot\r\n\r\n \t x \r\n\xff\0\r\n\r\n\r\n"
    door = Door(database)
    reply = await submit(door, dropped + kept + b"\r\n" + body.replace(b"\r\n.", b"\r\n.."))
    assert reply.startswith("250")
    [claimed] = door.claimed()
    message = claimed.message.message
    assert message.data
    header, content = message.data[: message.header_size], message.data[message.header_size :]
    received = header.removesuffix(kept + b"\r\n")
    assert content == body[1:]  # the first dot was transparency
    assert message.body_hash == body_hash(content)
    assert message.is_8bit
    assert received == (
        b"Received: from client.test ([127.0.0.1])\r\n"
        b"\tby mx.test (Mailwright) with ESMTP\r\n"
        b"\tid em_? (tenant default);\r\n"
        b"\tTue, 01 Jan 2030 09:30:00 +0000\r\n"
    ).replace(b"em_?", claimed.message.public_id.encode())
    assert claimed.entries[0].priority is Priority.BULK


async def test_date_and_message_id_are_added_where_missing(database: Database) -> None:
    door = Door(database)
    await submit(door, b"From: shop@sender.test\r\n\r\n")
    [claimed] = door.claimed()
    number = claimed.message.public_id.removeprefix("em_")
    assert claimed.message.message.data
    assert claimed.message.message.data.endswith(
        b"From: shop@sender.test\r\nDate: Tue, 01 Jan 2030 09:30:00 +0000\r\n"
        b"Message-ID: <" + number.encode() + b"@mx.test>\r\n\r\n"
    )
    email = database.read_now(lambda c: messages.get(c, 1, claimed.message.public_id))
    assert email
    assert email.message_id == f"<{number}@mx.test>"


async def test_the_envelope_is_kept(database: Database) -> None:
    door = Door(database)
    await submit(
        door,
        MESSAGE,
        sender="<> RET=HDRS ENVID=x",
        to='<"b c"@RCPT.test> NOTIFY=NEVER ORCPT=rfc822;y',
    )
    [claimed] = door.claimed()
    [entry] = claimed.entries
    assert (claimed.message.mail_from, claimed.message.ret, claimed.message.envid) == (
        "",
        "HDRS",
        "x",
    )
    assert (entry.recipient, entry.notify, entry.orcpt) == ('"b c"@rcpt.test', "NEVER", "rfc822;y")


@pytest.mark.parametrize(
    ("header", "reply"),
    [
        (b"X-MTA-Priority: urgent\r\n", "550 5.6.0 X-MTA-Priority must be"),
        (b"no colon here\r\n", "550 5.6.0 malformed header field at line 1"),
        (b"From: a@b.test\r\nFrom: c@d.test\r\n", "550 5.6.0"),
        (b"A: b\r\n" * 1001, "550 5.6.0"),
        (b"X-MTA-Priority: TRANSACTIONAL\r\n", "250"),
        (b"", "250"),  # nothing demands a From field here
    ],
)
async def test_headers(database: Database, header: bytes, reply: str) -> None:
    assert (await submit(Door(database), header + b"\r\nbody\r\n")).startswith(reply)


def create_key(database: Database, tenant_id: int = tenants.DEFAULT_TENANT) -> None:
    database.write_now(
        lambda connection: tenants.create_key(
            connection,
            tenant_id=tenant_id,
            name="app",
            key_id="key_1",
            key_hash=key_hash(KEY),
            last4=KEY[-4:],
            now=NOW,
        )
    )


def login(key: str) -> str:
    return "AUTH PLAIN " + b64encode(b"\0anyone\0" + key.encode()).decode()


async def test_word_of_urgent_mail_goes_ahead_of_it(database: Database) -> None:
    door = Door(database)
    bulk = b"X-MTA-Priority: bulk\r\n" + MESSAGE
    async with listening(door.service) as port, dialogue(port) as client:
        assert (await client.ask("MAIL FROM:<a@sender.test>")).startswith("250")
        assert door.urgent == [[]]
        await client.ask("RSET")
        await client.submit(MESSAGE)
        assert door.urgent == [[], [], []]  # at MAIL, and before COMMIT
        await client.submit(bulk)
        assert door.urgent[3:] == [[1]]  # nothing tells at MAIL that it is not
        await client.submit(bulk)
        assert len(door.urgent) == 4
        async with dialogue(port) as another:
            await another.submit(MESSAGE)
        assert door.urgent[4:] == [[1, 2, 3]]
        await client.submit(bulk)
        assert len(door.urgent) == 6
    assert door.kicks == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("rules", [{"trusted": ()}, {"can_unsubscribe": False}])
async def test_no_word_goes_ahead_of_what_is_refused(
    database: Database, rules: dict[str, object]
) -> None:
    door = Door(database, **rules)
    async with listening(door.service) as port, dialogue(port) as client:
        if "trusted" in rules:
            assert (await client.ask("MAIL FROM:<a@sender.test>")).startswith("530")
            assert door.urgent == []
        else:
            reply = await client.submit(b"X-MTA-Unsubscribe: yes\r\n" + MESSAGE)
            assert reply.startswith("550")
            assert len(door.urgent) == 1  # at MAIL


async def test_strangers_must_authenticate(database: Database) -> None:
    create_key(database)
    door = Door(database, trusted=())
    async with listening(door.service) as port, dialogue(port) as client:
        assert (await client.ask("MAIL FROM:<a@b.test>")).startswith("530 5.7.0")
        assert (await client.ask(login("password"))).startswith("535 5.7.8")
        assert (await client.ask(login(format_key(b"x" * 24)))).startswith("535 5.7.8")
        assert (await client.ask(login(KEY))).startswith("235")
        assert (await client.submit(MESSAGE)).startswith("250")
    [claimed] = door.claimed()
    assert b"with ESMTPA\r\n" in (claimed.message.message.data or b"")


async def test_strangers_who_cannot_authenticate_are_denied_relaying(database: Database) -> None:
    door = Door(database, trusted=())
    door.service = Service("mx.test", door.service.handler)
    async with listening(door.service) as port, dialogue(port) as client:
        assert (await client.ask("MAIL FROM:<a@b.test>")).startswith("550 5.7.1 Relaying denied")


async def test_mail_belongs_to_the_tenant_of_the_key(database: Database) -> None:
    database.write_now(
        lambda c: c.execute("INSERT INTO tenants (id, name, created_at) VALUES (2, 'acme', 0)")
    )
    create_key(database, tenant_id=2)
    door = Door(database)
    async with listening(door.service) as port, dialogue(port) as client:
        await client.ask(login(KEY))
        await client.submit(MESSAGE)
    [claimed] = door.claimed()
    assert claimed.message.tenant_id == 2
    assert b"(tenant acme)" in (claimed.message.message.data or b"")


async def test_a_revoked_key_ends_its_sessions(database: Database) -> None:
    create_key(database)
    door = Door(database, recheck=timedelta(0))
    async with listening(door.service) as port, dialogue(port) as client:
        await client.ask(login(KEY))
        assert (await client.submit(MESSAGE)).startswith("250")
        database.write_now(lambda c: tenants.revoke_key(c, "key_1", NOW))
        assert await client.ask("MAIL FROM:<>") == "421 4.7.0 The API key was revoked"
        assert await client.is_closed()
        async with dialogue(port) as again:
            assert (await again.ask(login(KEY))).startswith("535")


async def test_a_good_key_is_believed_for_a_while(database: Database) -> None:
    create_key(database)
    door = Door(database, recheck=timedelta(hours=1))
    async with listening(door.service) as port, dialogue(port) as client:
        await client.ask(login(KEY))
        database.write_now(lambda c: tenants.revoke_key(c, "key_1", NOW))
        assert (await client.ask("MAIL FROM:<>")).startswith("250")


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        (b"From: shop@sender.test\r\n", "250"),
        (b"From: shop@news.sender.test\r\n", "250"),
        (b"From: shop@other.test\r\n", "550 5.7.1 other.test is not a verified sender domain"),
        (b"From: shop@xsender.test\r\n", "550 5.7.1"),
        (b"", "550 5.6.0 The message needs a From field"),
    ],
)
async def test_only_verified_domains_may_send(
    database: Database, sender: bytes, reply: str
) -> None:
    def add(connection: Any) -> None:
        domains.add_domain(
            connection, tenant_id=1, domain_id="dom_1", name="sender.test", keys=[], now=NOW
        )
        domains.mark_checked(connection, "sender.test", verified=True, now=NOW)

    database.write_now(add)
    door = Door(database, require_verified_domain=True)
    answer = await submit(door, sender + b"\r\nhello\r\n")
    assert answer.startswith(reply)
    assert bool(door.claimed()) == (reply == "250")
    assert len(door.kicks) == (reply == "250")


async def test_the_refusal_of_a_domain_says_what_to_do(database: Database) -> None:
    door = Door(database, require_verified_domain=True)
    answer = await submit(door, MESSAGE)
    assert "`mta domain add sender.test`" in answer
    assert "`mta domain verify sender.test`" in answer


LARGE = MESSAGE + (b"x" * 70 + b"\r\n") * 5000


async def test_a_large_message_is_in_the_spool(database: Database) -> None:
    door = Door(database)
    assert (await submit(door, LARGE)).startswith("250")
    [claimed] = door.claimed()
    message = claimed.message.message
    assert message.file
    with database.spool.open(message.file) as file:
        kept = file.read()
    assert len(kept) == message.size
    assert kept.endswith(LARGE)
    assert kept[message.header_size :] == LARGE.partition(b"\r\n\r\n")[2]


async def test_a_large_message_that_is_refused_leaves_no_file(
    database: Database, tmp_path: Path
) -> None:
    door = Door(database, require_verified_domain=True)
    assert (await submit(door, LARGE)).startswith("550")
    assert not list((tmp_path / "data" / "spool").iterdir())


class BrokenDatabase:
    """Storage that fails as told."""

    def __init__(self, error: Exception, *, is_full: bool = False) -> None:
        self.error = error
        self.is_full = is_full

    def require_room(self, size: int) -> None:
        if self.is_full:
            raise self.error

    async def write(self, work: object) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "reply"),
    [(StorageFull("x"), "452 4.3.1"), (StorageUnavailable("x"), "451 4.3.0")],
)
async def test_storage_that_fails(error: Exception, reply: str) -> None:
    door = Door(cast("Database", BrokenDatabase(error)))
    assert (await submit(door, MESSAGE)).startswith(reply)
    assert not door.kicks


async def test_no_room_is_told_at_mail() -> None:
    broken = BrokenDatabase(StorageFull("x"), is_full=True)
    door = Door(cast("Database", broken))
    async with listening(door.service) as port, dialogue(port) as client:
        assert (await client.ask("MAIL FROM:<>")).startswith("452 4.3.1")
        broken.is_full = False
        assert (await client.ask("MAIL FROM:<>")).startswith("250")


async def test_many_sessions_at_once(database: Database) -> None:
    door = Door(database)

    async def one(port: int) -> None:
        async with dialogue(port) as client:
            for _ in range(5):
                assert (await client.submit(MESSAGE)).startswith("250")

    async with listening(door.service) as port, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(one(port))
    assert max(door.kicks) == 50
    assert len(door.kicks) == 50
