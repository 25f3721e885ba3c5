"""What comes back: bounces and complaints by mail, unsubscribing by one click, and who is told."""

from __future__ import annotations

import asyncio
import json
import re
import smtplib
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.engine import Engine, configuration, running
from tests.support.http_receiver import HttpReceiver
from tests.support.receiver import Receiver
from tests.support.report_mails import arf, dsn
from tests.support.tools import find_tool

EXTRA = """
[smtp.reports]
listen = ["127.0.0.1:0"]
domain = "bounce.sender.test"
[webhooks]
allow_private_targets = ["127.0.0.0/8"]
"""
EMAIL = {"from": "Shop <app@sender.test>", "subject": "News", "text": "Hello"}
MESSAGE = b"From: Shop <app@sender.test>\r\nTo: you@dest.test\r\nSubject: s\r\n\r\nbody\r\n"


def config(receiver: Receiver) -> str:
    text = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"}, extra=EXTRA)
    return text.replace("[api]\n", '[api]\npublic_url = "https://mail.sender.test"\n')


def hand_in(engine: Engine, to: str, mail: bytes) -> tuple[int, str]:
    """Give a report to the reports listener; return its last reply."""
    endpoints = json.loads((engine.data / "endpoints.json").read_text())
    host, _, port = endpoints["reports"][0].rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=20) as client:
        client.ehlo("mx.dest.test")
        client.mail("")
        code, text = client.rcpt(to)
        if code == 250:
            code, text = client.data(mail)
        return code, text.decode()


async def told(hooks: HttpReceiver, *types: str) -> list[dict[str, Any]]:
    """Wait until the webhook has been told of these types of events; return those posts."""
    count = 0
    while True:
        count += 1
        posts = [json.loads(post.body) for post in await hooks.wait_for(count)]
        found = [post for post in posts if post["type"] in types]
        if {post["type"] for post in found} == set(types):
            return found


async def send(engine: Engine, to: str, **fields: Any) -> str:
    answer = await engine.call("POST", "/v1/emails", EMAIL | {"to": to} | fields)
    assert answer.status == 200, answer.body
    return str(answer.body["id"])


async def test_a_bounce_that_comes_later_suppresses_the_address(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        HttpReceiver() as hooks,
        running(tmp_path, config(receiver)) as engine,
        engine.journal() as until,
    ):
        await engine.call("POST", "/v1/webhooks", {"url": hooks.url})
        email = await send(engine, "gone@dest.test")
        await until(kind="delivered", email_id=email)
        [got] = await receiver.wait_for(1)
        assert re.fullmatch(r"b-[a-z2-7]{40}@bounce\.sender\.test", got.mail_from)

        report = dsn(got.data, "gone@dest.test")
        assert (await asyncio.to_thread(hand_in, engine, got.mail_from, report))[0] == 250
        [reported] = await until(kind="reported", email_id=email)
        assert reported["data"]["class"] == "bad_mailbox"
        assert reported["data"]["hard"] is True

        again = await send(engine, "gone@dest.test")
        [suppressed] = await until(kind="suppressed", email_id=again)
        assert suppressed["data"] == {"reason": "bounce"}
        posts = await told(hooks, "email.bounced", "email.suppressed")
        bounced = next(post for post in posts if post["type"] == "email.bounced")
        assert bounced["data"]["email_id"] == email
        assert bounced["data"]["details"]["reported"] is True

        detail = (await engine.call("GET", f"/v1/emails/{email}")).body
        assert [each["type"] for each in detail["events"]][-2:] == [
            "email.delivered",
            "email.bounced",
        ]
        # The same report again changes nothing, and nothing was mailed to anybody.
        assert (await asyncio.to_thread(hand_in, engine, got.mail_from, report))[0] == 250
        assert len(receiver.messages) == 1


async def test_a_complaint_without_a_recipient_finds_its_mail(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        HttpReceiver() as hooks,
        running(tmp_path, config(receiver)) as engine,
        engine.journal() as until,
    ):
        await engine.call("POST", "/v1/webhooks", {"url": hooks.url})
        email = await send(engine, "angry@dest.test")
        [got] = await receiver.wait_for(1)
        await until(kind="delivered", email_id=email)
        report = arf(got.data)
        fbl = "fbl@bounce.sender.test"
        assert (await asyncio.to_thread(hand_in, engine, fbl, report))[0] == 250
        await until(kind="complained", email_id=email, recipient="angry@dest.test")
        again = await send(engine, "angry@dest.test")
        [suppressed] = await until(kind="suppressed", email_id=again)
        assert suppressed["data"] == {"reason": "complaint"}
        await told(hooks, "email.complained", "email.suppressed")


def post(engine: Engine, path: str, form: dict[str, str] | None) -> tuple[int, str]:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(engine.api + path, data=data)  # noqa: S310 - our own engine
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def curl(engine: Engine, path: str, form: str) -> tuple[int, str]:
    """Post a form with curl, as a mail program would; return status and body."""
    process = await asyncio.create_subprocess_exec(
        *(find_tool("curl"), "--silent", "--show-error", "--max-time", "20", "--data", form),
        *("--write-out", "\n%{http_code}", engine.api + path),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    body, _, status = output.decode().rpartition("\n")
    return int(status), body


async def test_one_click_unsubscribes_and_can_be_taken_back(tmp_path: Path) -> None:
    one_click = {"List-Unsubscribe": "One-Click"}
    async with (
        Receiver() as receiver,
        HttpReceiver() as hooks,
        running(tmp_path, config(receiver)) as engine,
        engine.journal() as until,
    ):
        await engine.call("POST", "/v1/webhooks", {"url": hooks.url})
        email = await send(engine, "tired@dest.test", unsubscribe=True)
        [got] = await receiver.wait_for(1)
        unfolded = got.data.replace(b"\r\n ", b" ").decode()
        assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in unfolded
        link = re.search(r"<https://mail\.sender\.test(/u/[\w-]+)>", unfolded)
        mailto = re.search(r"<mailto:(u-[a-z2-7]{40}@bounce\.sender\.test)\?", unfolded)
        assert link
        assert mailto
        path = link[1]

        status, page = await asyncio.to_thread(post, engine, path, None)  # a scanner follows it
        assert status == 200
        assert "<form" in page
        assert (await asyncio.to_thread(post, engine, path, {"x": "y"}))[0] == 400
        assert (await asyncio.to_thread(post, engine, path[:-1] + "_", one_click))[0] == 404

        status, page = await curl(engine, path, "List-Unsubscribe=One-Click")
        assert status == 200
        await until(kind="unsubscribed", email_id=email, recipient="tired@dest.test")
        again = await send(engine, "tired@dest.test", unsubscribe=True)
        await until(kind="suppressed", email_id=again)
        await told(hooks, "email.unsubscribed", "email.suppressed")

        proof = re.search(r'name="resubscribe" value="([\w-]+)"', page)
        assert proof
        assert (await asyncio.to_thread(post, engine, path, {"resubscribe": proof[1]}))[0] == 200
        back = await send(engine, "tired@dest.test", unsubscribe=True)
        await until(kind="delivered", email_id=back)

        wish = b"From: tired@dest.test\r\nSubject: unsubscribe\r\n\r\n\r\n"
        assert (await asyncio.to_thread(hand_in, engine, mailto[1], wish))[0] == 250
        await until(count=2, kind="unsubscribed")


async def test_the_listener_takes_reports_and_nothing_else(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        await send(engine, "you@dest.test")
        [got] = await receiver.wait_for(1)
        local, _, domain = got.mail_from.partition("@")
        forged = f"{local[:10]}{'a' if local[10] != 'a' else 'b'}{local[11:]}@{domain}"
        expected = {
            "random@bounce.sender.test": 550,
            f"{local}@other.test": 550,
            forged: 550,
            f"{local.upper()}@{domain}": 250,
            "postmaster@bounce.sender.test": 250,
            "abuse@mta.sender.test": 250,
            "u" + local[1:] + "@" + domain: 550,  # sealed for another purpose
        }
        for address, code in expected.items():
            answer = await asyncio.to_thread(hand_in, engine, address, b"Subject: x\r\n\r\nx\r\n")
            assert answer[0] == code, (address, answer)
        assert len(receiver.messages) == 1


async def test_who_submits_by_smtp_is_told_of_failures(tmp_path: Path) -> None:
    refusals = {"gone@dest.test": "550 5.1.1 no such user"}
    async with (
        Receiver(recipients=refusals) as receiver,
        running(tmp_path, config(receiver)) as engine,
        engine.journal() as until,
    ):
        email = await engine.submit(MESSAGE, "app@sender.test", "gone@dest.test")
        await until(kind="bounced", email_id=email)
        [told_of] = await receiver.wait_for(1)
        assert told_of.mail_from == ""
        assert told_of.recipients == ["app@sender.test"]
        assert b"Status: 5.1.1" in told_of.data
        assert b"report-type=delivery-status" in told_of.data

        # Mail that failed later is reported on too, once; mail with a null return path never.
        late = await engine.submit(MESSAGE, "app@sender.test", "late@dest.test")
        await until(kind="delivered", email_id=late)
        got = (await receiver.wait_for(2))[-1]
        assert got.mail_from.startswith("b-")
        report = dsn(got.data, "late@dest.test")
        await asyncio.to_thread(hand_in, engine, got.mail_from, report)
        await until(kind="reported", email_id=late)
        assert (await receiver.wait_for(3))[-1].recipients == ["app@sender.test"]
        null = await engine.submit(MESSAGE, "", "gone2@dest.test")
        await until(kind="delivered", email_id=null)
        assert (await receiver.wait_for(4))[-1].mail_from == ""
        await send(engine, "last@dest.test")
        assert (await receiver.wait_for(5))[-1].recipients == ["last@dest.test"]


def submit_asking(engine: Engine, sender: str, recipient: str, *options: str) -> None:
    with smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=20) as client:
        client.ehlo("app.sender.test")
        client.mail(sender, ["ENVID=order+2B1"])
        assert client.rcpt(recipient, list(options))[0] == 250
        assert client.data(MESSAGE)[0] == 250


async def test_success_is_told_where_it_is_asked_for(tmp_path: Path) -> None:
    async with Receiver() as receiver, running(tmp_path, config(receiver)) as engine:
        ask = ("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;You@dest.test")
        await asyncio.to_thread(submit_asking, engine, "app@sender.test", "you@dest.test", *ask)
        got, told_of = await receiver.wait_for(2)
        assert "NOTIFY" not in got.rcpt_lines[0]  # whatever comes back is ours to hear
        assert told_of.recipients == ["app@sender.test"]
        for line in (
            b"Action: relayed",
            b"Original-Envelope-Id: order+1",
            b"rfc822; You@dest.test",
        ):
            assert line in told_of.data
