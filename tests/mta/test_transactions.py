"""What goes over the wire for a queued message, and what happens when it cannot be made."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mta.core.envelope import Priority
from mta.core.message import Message
from mta.core.outcome import Stage, Unreachable
from mta.core.transaction import SpooledBody, Transaction, TransactionRecipient
from mta.engine_store import KeyBook
from mta.signing import SigningError
from mta.transactions import TransactionBuilder
from storage.domains import DkimKeyRecord
from storage.queue import QueuedEntry, QueuedMessage
from storage.spool import Spool
from tests.support.fake_engine_store import FakeEngineStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER, BODY = b"From: a@news.sender.test\r\n\r\n", b"Hello\r\n"
KEY = DkimKeyRecord("s1", "ed25519-sha256", "keys/s1", "")
MESSAGE = QueuedMessage(
    id=1,
    public_id="em_1",
    tenant_id=1,
    mail_from="bounce@sender.test",
    ret="HDRS",
    envid="e1",
    message=Message(
        HEADER + BODY, None, len(HEADER + BODY), len(HEADER), hashlib.sha256(BODY).digest(), True
    ),
    header_8bit=True,
    sender_domain="news.sender.test",
    queued_at=NOW,
)
ENTRIES = [
    QueuedEntry(1, "ant@a.test", "a.test", "NEVER", "rfc822;x@y.test", Priority.BULK, 0, NOW),
    QueuedEntry(2, "bee@a.test", "a.test", "", "", Priority.BULK, 0, NOW),
]


class FakeSigner:
    """Signs by saying what it was asked."""

    error = ""

    async def sign(self, header: bytes, body_hash: bytes, **what: Any) -> bytes:
        if self.error:
            raise SigningError(self.error)
        assert (header, body_hash) == (HEADER, MESSAGE.message.body_hash)
        assert (what["keys"], what["at"]) == ((KEY,), NOW)
        return f"DKIM-Signature: d={what['domain']}\r\n".encode()


async def builder(
    tmp_path: Path, signer: FakeSigner | None = None, *, domain: str = "sender.test"
) -> TransactionBuilder:
    store = FakeEngineStore()
    store.keys = KeyBook({domain: (KEY,)}, 3)
    made = TransactionBuilder(store, Spool(tmp_path), signer)  # type: ignore[arg-type]
    await made.follow_keys(3)
    return made


async def test_everything_the_client_asked_for_goes_along(tmp_path: Path) -> None:
    made = await (await builder(tmp_path)).build(MESSAGE, ENTRIES, NOW)
    assert made == Transaction(
        mail_from="bounce@sender.test",
        recipients=(
            TransactionRecipient("ant@a.test", "NEVER", "rfc822;x@y.test"),
            TransactionRecipient("bee@a.test"),
        ),
        header=HEADER,
        body=BODY,
        size=len(HEADER + BODY),
        is_8bit=True,
        needs_smtputf8=True,
        ret="HDRS",
        envid="e1",
    )


async def test_the_closest_domain_with_keys_signs(tmp_path: Path) -> None:
    made = await (await builder(tmp_path, FakeSigner())).build(MESSAGE, ENTRIES, NOW)
    assert isinstance(made, Transaction)
    assert made.header == b"DKIM-Signature: d=sender.test\r\n" + HEADER
    assert made.size == len(made.header) + len(BODY)


async def test_mail_of_a_domain_without_keys_is_not_signed(tmp_path: Path) -> None:
    other = await builder(tmp_path, FakeSigner(), domain="other.test")
    made = await other.build(MESSAGE, ENTRIES, NOW)
    assert isinstance(made, Transaction)
    assert made.header == HEADER


async def test_n09_mail_that_cannot_be_signed_waits(tmp_path: Path) -> None:
    signer = FakeSigner()
    signer.error = "keys/s1: Permission denied"
    made = await (await builder(tmp_path, signer)).build(MESSAGE, ENTRIES, NOW)
    assert made == Unreachable(Stage.LOCAL, "keys/s1: Permission denied")


async def test_a_large_body_stays_on_disk(tmp_path: Path) -> None:
    building = await builder(tmp_path, FakeSigner())
    file = Spool(tmp_path).begin()
    file.write(HEADER + BODY)
    name = file.commit()
    spooled = replace(MESSAGE, message=replace(MESSAGE.message, data=None, file=name))
    made = await building.build(spooled, ENTRIES, NOW)
    assert isinstance(made, Transaction)
    assert made.header == b"DKIM-Signature: d=sender.test\r\n" + HEADER
    assert made.body == SpooledBody(tmp_path / name, len(HEADER))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"data": None}, "the body of the message is missing"),
        ({"data": None, "file": "0" * 32}, f"spool file {'0' * 32} is missing"),
        ({"data": HEADER}, "the message has 28 octets, and had 35 when it was accepted"),
        ({"data": None, "file": "../../etc/passwd"}, "'../../etc/passwd' is not the name of"),
    ],
)
async def test_a21_what_is_not_what_was_accepted_is_put_aside(
    tmp_path: Path, message: dict[str, Any], error: str
) -> None:
    broken = replace(MESSAGE, message=replace(MESSAGE.message, **message))
    made = await (await builder(tmp_path)).build(broken, ENTRIES, NOW)
    assert isinstance(made, Unreachable)
    assert made.stage is Stage.DAMAGED
    assert error in made.error


@pytest.mark.parametrize("kept", [5, len(HEADER) + 2])
async def test_a21_a_truncated_file_is_put_aside(tmp_path: Path, kept: int) -> None:
    file = Spool(tmp_path).begin()
    file.write((HEADER + BODY)[:kept])
    broken = replace(MESSAGE, message=replace(MESSAGE.message, data=None, file=file.commit()))
    made = await (await builder(tmp_path)).build(broken, ENTRIES, NOW)
    assert isinstance(made, Unreachable)
    assert made.stage is Stage.DAMAGED


@pytest.mark.parametrize("is_spooled", [False, True])
async def test_a21_an_altered_body_is_found_when_it_is_tried_again(
    tmp_path: Path, is_spooled: bool
) -> None:
    altered = HEADER + BODY.replace(b"H", b"J")
    changes: dict[str, Any] = {"data": altered}
    if is_spooled:
        file = Spool(tmp_path).begin()
        file.write(altered)
        changes = {"data": None, "file": file.commit()}
    broken = replace(MESSAGE, message=replace(MESSAGE.message, **changes))
    building = await builder(tmp_path)
    retried = [ENTRIES[0], replace(ENTRIES[1], attempts=1)]
    made = await building.build(broken, retried, NOW)
    assert isinstance(made, Unreachable)
    assert (made.stage, "its hash differs" in made.error) == (Stage.DAMAGED, True)
    assert isinstance(await building.build(MESSAGE, retried, NOW), Transaction)


async def test_a21_a_damaged_row_is_put_aside_and_stops_nobody(tmp_path: Path) -> None:
    damaged = [replace(ENTRIES[0], recipient="a@b.test> SIZE=1\r\nRSET")]
    made = await (await builder(tmp_path)).build(MESSAGE, damaged, NOW)
    assert isinstance(made, Unreachable)
    assert made.stage is Stage.DAMAGED
