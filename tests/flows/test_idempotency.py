"""The process dies between COMMIT and the answer; who asks again gets the first answer."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Self

import pytest

from tests.support.engine import Engine, configuration
from tests.support.receiver import Receiver

EMAIL = {"from": "a@sender.test", "to": "b@dest.test", "subject": "once", "text": "Hi"}
RAW = {"rcpt_to": ["b@dest.test"], "raw": "From: a@sender.test\nSubject: once\n\nHi\n"}
REQUESTS = {
    "/v1/emails": EMAIL,
    "/v1/emails/send": EMAIL,
    "/v1/emails/raw": RAW,
    "/v1/emails/batch": [EMAIL, EMAIL],
}
MESSAGE = b"From: a@sender.test\r\nX-Idempotency-Key: order-7\r\nSubject: once\r\n\r\nHi\r\n"


@pytest.mark.parametrize("path", REQUESTS)
async def test_j07_over_http(tmp_path: Path, path: str) -> None:
    expected = 2 if path.endswith("batch") else 1
    async with Receiver() as receiver, Crashing(tmp_path, receiver) as engine:
        with pytest.raises((http.client.HTTPException, OSError)):
            await engine.call("POST", path, REQUESTS[path], {"Idempotency-Key": "order-7"})
        await engine.revive()
        again = await engine.call("POST", path, REQUESTS[path], {"Idempotency-Key": "order-7"})
        assert again.status == 200, again.body
        assert again.headers["idempotent-replayed"] == "true"
        other = await engine.call(
            "POST", path, {**EMAIL, "text": "x"}, {"Idempotency-Key": "order-7"}
        )
        assert other.status == 422
        async with engine.journal() as until:
            await until(expected, kind="delivered")
        listed = (await engine.call("GET", "/v1/emails?include=total")).body
        assert listed["total"] == expected
        ids = {one["id"] for one in listed["data"]}
        assert ids == {one["id"] for one in again.body.get("data", [again.body])}
    assert len(receiver.messages) == expected


async def test_j07_over_smtp(tmp_path: Path) -> None:
    async with Receiver() as receiver, Crashing(tmp_path, receiver) as engine:
        with pytest.raises((OSError, AssertionError)):
            await engine.submit(MESSAGE, "a@sender.test", "b@dest.test")
        await engine.revive()
        again = await engine.submit(MESSAGE, "a@sender.test", "b@dest.test")
        async with engine.journal() as until:
            [event] = await until(kind="delivered")
        assert event["email_id"] == again
    assert len(receiver.messages) == 1


class Crashing(Engine):
    """An engine that dies after its first acceptance is committed, before anybody is told."""

    def __init__(self, directory: Path, receiver: Receiver) -> None:
        config = configuration(
            routing={"*": f"smtp://{receiver.address}:{receiver.port}"}, processes=1
        )
        super().__init__(directory, config, "after_accept")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    async def revive(self) -> None:
        """Start it again once it has died."""
        assert await self.wait() == 137
        self.faults = ""
        await self.start()
