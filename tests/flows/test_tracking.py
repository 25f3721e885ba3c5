"""Tracked mail over the wire: signed as it is sent, read, clicked, told."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import re
import urllib.error
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from tests.support.engine import Engine, configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Receiver

BASE = "https://mail.sender.test"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
EXTRA = '\n[webhooks]\nallow_private_targets = ["127.0.0.0/8"]\n'


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def visit(engine: Engine, path: str) -> tuple[int, str]:
    """Fetch a page as a browser, without following; return status and Location."""
    url = f"{engine.api}{path}"
    request = urllib.request.Request(url, headers={"User-Agent": BROWSER})  # noqa: S310 - loopback
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=20) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", "")


async def test_each_recipient_is_told_apart(tmp_path: Path) -> None:
    async with Receiver() as receiver, HttpReceiver() as hooks:
        config = configuration(
            routing={"*": f"smtp://{receiver.address}:{receiver.port}"}, extra=EXTRA
        ).replace("[api]\n", f'[api]\npublic_url = "{BASE}"\n')
        async with running(tmp_path, config) as engine, engine.journal() as until:
            await engine.call(
                "POST", "/v1/webhooks", {"url": hooks.url, "events": ["email.clicked"]}
            )
            mail = {
                "from": "app@sender.test",
                "to": ["ant@dest.test", "bee@dest.test"],
                "subject": "Two",
                "html": '<p><a href="https://shop.example/">buy</a></p>',
                "tracking": True,
            }
            sent = await engine.call("POST", "/v1/emails", mail)
            assert sent.status == 200, sent.body
            got = await receiver.wait_for(2)
            links = {one.recipients[0]: link_of(one.data) for one in got}
            assert len(set(links.values())) == 2
            status, location = await asyncio.to_thread(visit, engine, links["bee@dest.test"])
            assert (status, location) == (302, "https://shop.example/")
            [event] = await until(kind="clicked", email_id=sent.body["id"])
            [post] = await hooks.wait_for(1)
            shown = await engine.call("GET", f"/v1/emails/{sent.body['id']}")
    assert event["recipient"] == "bee@dest.test"
    assert json.loads(post.body)["data"]["details"]["url"] == "https://shop.example/"
    engaged = {
        one["address"]: one["engagement"]["clicks"] + one["engagement"]["machine_clicks"]
        for one in shown.body["recipients"]
    }
    assert engaged == {"ant@dest.test": 0, "bee@dest.test": 1}


def link_of(data: bytes) -> str:
    message = cast("EmailMessage", email.message_from_bytes(data, policy=email.policy.default))
    body = message.get_body(("html",))
    assert body is not None
    [link] = re.findall(rf'href="{BASE}(/t/c/[^"]*)"', body.get_content())
    return str(link)
