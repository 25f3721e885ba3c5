"""The Python SDK of Resend, which nobody here wrote, pointed at the native API.

Calls whose shapes are the same: sending one and many, idempotency, reading, listing, another time,
cancelling, and errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

resend: Any = pytest.importorskip("resend")

PARAMS = {
    "from": "Ant <a@sender.test>",
    "to": ["b@dest.test"],
    "subject": "From the SDK",
    "html": "<p>Hi</p>",
}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def engine(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Engine]:
    config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
    async with running(tmp_path, config) as engine:
        yield engine


@pytest.fixture
def sdk(engine: Engine) -> Iterator[Callable[..., Any]]:
    """Return a function that makes one call of the SDK in a thread."""
    before = resend.api_url, resend.api_key
    resend.api_url, resend.api_key = f"{engine.api}/v1", engine.key
    yield asyncio.to_thread
    resend.api_url, resend.api_key = before


async def test_one_email(sdk: Callable[..., Any], engine: Engine, receiver: Receiver) -> None:
    params = PARAMS | {
        "cc": "c@dest.test",
        "reply_to": "r@sender.test",
        "headers": {"X-Order": "7"},
        "tags": [{"name": "kind", "value": "invoice"}],
        "attachments": [{"filename": "a.txt", "content": list(b"octets")}],
    }
    sent = await sdk(resend.Emails.send, params)
    await receiver.wait_for(1, within=20)
    assert b"X-Order: 7" in receiver.messages[0].data
    async with engine.journal() as until:
        await until(2, kind="delivered")
    read = await sdk(resend.Emails.get, sent["id"])
    assert (read["id"], read["object"], read["subject"]) == (sent["id"], "email", "From the SDK")
    assert (read["to"], read["cc"]) == (["b@dest.test"], ["c@dest.test"])
    assert (read["reply_to"], read["bcc"]) == (["r@sender.test"], [])
    assert read["created_at"]
    assert read["status"] == "delivered"
    listed = await sdk(resend.Emails.list, {"limit": 1})
    assert (listed["object"], listed["has_more"]) == ("list", False)
    assert [one["id"] for one in listed["data"]] == [sent["id"]]


async def test_idempotency(sdk: Callable[..., Any]) -> None:
    options = {"idempotency_key": "order-7"}
    first = await sdk(resend.Emails.send, PARAMS, options)
    again = await sdk(resend.Emails.send, PARAMS, options)
    assert again["id"] == first["id"]
    with pytest.raises(resend.exceptions.ResendError):
        await sdk(resend.Emails.send, PARAMS | {"subject": "another"}, options)


async def test_a_batch(sdk: Callable[..., Any]) -> None:
    sent = await sdk(resend.Batch.send, [PARAMS, PARAMS])
    assert len({one["id"] for one in sent["data"]}) == 2
    options = {"batch_validation": "permissive"}
    sent = await sdk(resend.Batch.send, [PARAMS, PARAMS | {"to": "nobody"}], options)
    assert len(sent["data"]) == 1
    [error] = sent["errors"]
    assert error["index"] == 1
    assert error["message"]


async def test_scheduled_moved_and_canceled(sdk: Callable[..., Any]) -> None:
    sent = await sdk(resend.Emails.send, PARAMS | {"scheduled_at": "in 1 hour"})
    moved = await sdk(resend.Emails.update, {"id": sent["id"], "scheduled_at": "in 2 hours"})
    assert (moved["id"], moved["object"]) == (sent["id"], "email")
    canceled = await sdk(resend.Emails.cancel, sent["id"])
    assert canceled["id"] == sent["id"]
    assert (await sdk(resend.Emails.get, sent["id"]))["status"] == "canceled"


async def test_errors_are_understood(sdk: Callable[..., Any]) -> None:
    with pytest.raises(resend.exceptions.ResendError) as caught:
        await sdk(resend.Emails.send, PARAMS | {"to": "nobody"})
    assert str(caught.value.code) == "422"
    resend.api_key = "mta_live_wrong"
    with pytest.raises(resend.exceptions.ResendError) as caught:
        await sdk(resend.Emails.send, PARAMS)
    assert str(caught.value.code) == "401"
