"""What a header may ask of the SMTP door besides delivery, and mail that goes round."""

from __future__ import annotations

import pytest

from storage.database import Database
from tests.mta.test_smtp_submission import MESSAGE, Door
from tests.support.smtp_dialogue import dialogue
from tests.support.smtp_handler import listening

OURS = b"Received: from x by mx.test (Mailwright) with ESMTP id em_1; date\r\n"


async def submit(door: Door, fields: bytes) -> str:
    async with listening(door.service) as port, dialogue(port) as client:
        return await client.submit(fields + MESSAGE, to="<b@rcpt.test>")


@pytest.mark.parametrize(
    ("field", "has_offer"),
    [(b"", False), (b"X-MTA-Unsubscribe: no\r\n", False), (b"X-MTA-Unsubscribe: Yes\r\n", True)],
)
async def test_unsubscribing_is_offered_on_request(
    database: Database, field: bytes, has_offer: bool
) -> None:
    door = Door(database, can_unsubscribe=True)
    assert (await submit(door, field)).startswith("250")
    [claimed] = door.claimed()
    assert (claimed.message.unsubscribe is not None) is has_offer
    assert b"X-MTA-" not in (claimed.message.message.data or b"")
    assert claimed.message.door == "smtp"


@pytest.mark.parametrize(("wish", "can"), [(b"yes", False), (b"maybe", True)])
async def test_a_wish_that_cannot_be_is_refused(database: Database, wish: bytes, can: bool) -> None:
    door = Door(database, can_unsubscribe=can)
    reply = await submit(door, b"X-MTA-Unsubscribe: " + wish + b"\r\n")
    assert reply.startswith("550 5.6.0 X-MTA-Unsubscribe")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (OURS * 5, "250"),  # a list at the far end may send through us too
        (OURS * 6, "554 5.4.6"),
        (b"Received: by other.test; date\r\n" * 100, "250"),
        (b"Received: by other.test; date\r\n" * 101, "554 5.4.6"),
    ],
)
async def test_mail_that_goes_round_ends_here(database: Database, fields: bytes, code: str) -> None:
    assert (await submit(Door(database), fields)).startswith(code)
