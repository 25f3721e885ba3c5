"""Contacts over the wire: an import that is killed twice, and a link in a mail that subscribes."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from tests.control_api.test_imports import BOUNDARY, form
from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

ROWS = 2000
BASE = "https://mail.sender.test"


def upload(engine: Engine, path: str, file: bytes) -> None:
    request = urllib.request.Request(  # noqa: S310 - the engine's own address
        engine.api + path,
        data=form(file, {}),
        headers={
            "Authorization": f"Bearer {engine.key}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        assert answer.status == 202


async def ended(engine: Engine) -> Any:
    """Return the import once it has ended."""
    async with asyncio.timeout(40):
        while True:
            [found] = (await engine.call("GET", "/v1/imports")).body["data"]
            if found["completed_at"]:
                return found
            await asyncio.sleep(0.05)


async def test_e17_an_import_that_is_killed_applies_every_row_once(tmp_path: Path) -> None:
    lines = [f"c{number}@d{number % 7}.test,Name {number}" for number in range(ROWS - 3)]
    lines[1000:1000] = ["no address,x", "c7@d0.test,Name 7", "c7@d0.test,Name 7"]
    file = "\n".join(["email,name", *lines]).encode()
    config = configuration(processes=1)
    async with running(tmp_path, config, "after_import_step:3") as engine:
        made = await engine.call("POST", "/v1/audiences", {"name": "News"})
        path = f"/v1/audiences/{made.body['id']}"
        await asyncio.to_thread(upload, engine, f"{path}/imports", file)
        assert await engine.wait() == 137
        engine.faults = "before_import_step:2"
        await engine.start()
        assert await engine.wait() == 137
        engine.faults = ""
        await engine.start()
        done = await ended(engine)
        assert done["status"] == "completed"
        assert done["counts"] == {
            "received": ROWS,
            "inserted": ROWS - 3,
            "updated": 2,
            "skipped": 0,
            "failed": 1,
        }
        audience = (await engine.call("GET", path)).body
        assert audience["counts"] == {"subscribed": ROWS - 3}
        events = (await engine.call("GET", "/v1/events")).body["data"]
        assert [one["type"] for one in events] == ["import.completed"]
        assert not list((engine.data / "spool").iterdir())


def visit(engine: Engine, path: str, body: bytes | None = None) -> str:
    request = urllib.request.Request(engine.api + path, data=body)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return cast("bytes", answer.read()).decode()


async def test_the_link_in_a_mail_subscribes(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        config = configuration(
            routing={"*": f"smtp://{receiver.address}:{receiver.port}"}, processes=1
        ).replace("[api]\n", f'[api]\npublic_url = "{BASE}"\n')
        async with running(tmp_path, config) as engine, engine.journal() as until:
            wish = {"name": "News", "from_email": "shop@sender.test", "double_opt_in": True}
            made = await engine.call("POST", "/v1/audiences", wish)
            assert made.status == 200, made.body
            members = f"/v1/audiences/{made.body['id']}/contacts"
            joined = await engine.call("POST", members, {"email": "ant@dest.test"})
            assert joined.body["status"] == "unconfirmed"
            [mail] = await receiver.wait_for(1)
            parsed = cast(
                "EmailMessage", email.message_from_bytes(mail.data, policy=email.policy.default)
            )
            text = parsed.get_body(("plain",))
            assert text is not None
            found = re.search(re.escape(BASE) + r"(/c/\S+)", text.get_content())
            assert found is not None
            assert "Yes, I want it" in await asyncio.to_thread(visit, engine, found[1])
            assert "You are subscribed" in await asyncio.to_thread(visit, engine, found[1], b"")
            [told] = await until(kind="contact_subscribed")
            assert told["data"]["contact"]["email"] == "ant@dest.test"
            member = await engine.call("GET", f"{members}/ant@dest.test")
            assert member.body["status"] == "subscribed"
