"""Mail in over SMTP and over the API, out over SMTP to a receiving server, told by the journal."""

from __future__ import annotations

from pathlib import Path

from tests.support.engine import configuration, running
from tests.support.receiver import Receiver

MESSAGE = (
    b"From: Shop <app@sender.test>\r\nTo: you@dest.test\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"Bcc: secret@dest.test\r\nX-Odd:  two  spaces\r\n\ttab\r\n"
    b"\r\n.dot\r\n..two\r\n\r\ntrailing  \r\n"
)


def pinned(receiver: Receiver) -> dict[str, str]:
    return {"*": f"smtp://{receiver.address}:{receiver.port}"}


async def test_a_message_over_smtp_arrives_byte_for_byte(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
        engine.journal() as until,
    ):
        email = await engine.submit(MESSAGE, "bounce@sender.test", "you@dest.test")
        (delivered,) = await until(kind="delivered", email_id=email)
        (received,) = await receiver.wait_for(1)
    assert received.mail_from == "bounce@sender.test"
    assert received.recipients == ["you@dest.test"]
    assert delivered["data"]["code"] == 250
    header, _, body = received.data.partition(b"\r\n\r\n")
    assert body == b".dot\r\n..two\r\n\r\ntrailing  \r\n"
    assert header.startswith(b"Received: from app.sender.test")
    assert email.encode() in header
    kept = (
        b"From: Shop <app@sender.test>\r\nTo: you@dest.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?="
    )
    assert kept + b"\r\nX-Odd:  two  spaces\r\n\ttab\r\n" in header + b"\r\n"
    assert b"bcc" not in header.lower()
    assert b"\r\nDate: " in header
    assert b"\r\nMessage-ID: <" in header


async def test_an_email_over_the_api_arrives_and_shows_its_events(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
        engine.journal() as until,
    ):
        answer = await engine.call(
            "POST",
            "/v1/emails",
            {
                "from": "Shop <app@sender.test>",
                "to": ["a@dest.test", "b@other.test"],
                "bcc": "c@dest.test",
                "subject": "Grüße",
                "text": "Hello",
                "html": "<p>Hello</p>",
                "tags": {"kind": "receipt"},
            },
        )
        assert answer.status == 200
        email = answer.body["id"]
        await until(count=3, kind="delivered", email_id=email)
        detail = (await engine.call("GET", f"/v1/emails/{email}")).body
        received = await receiver.wait_for(1)
    assert detail["status"] == "delivered"
    assert {each["address"] for each in detail["recipients"]} == {
        "a@dest.test",
        "b@other.test",
        "c@dest.test",
    }
    assert sorted(each["kind"] for each in detail["events"]) == ["delivered"] * 3 + ["queued"] * 3
    assert sorted(address for each in received for address in each.recipients) == [
        "a@dest.test",
        "b@other.test",
        "c@dest.test",
    ]
    assert all(b"c@dest.test" not in each.data for each in received)


async def test_a_deferred_recipient_is_tried_again_and_a_refused_one_bounces(
    tmp_path: Path,
) -> None:
    script = {"RCPT": ["451 4.7.1 greylisted", "250 ok"]}
    refusals = {"gone@dest.test": "550 5.1.1 no such user"}
    async with (
        Receiver(script=script, recipients=refusals) as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
        engine.journal() as until,
    ):
        email = await engine.submit(MESSAGE, "b@sender.test", "gone@dest.test", "you@dest.test")
        (bounced,) = await until(kind="bounced", email_id=email)
        (deferred,) = await until(kind="deferred", email_id=email)
        (delivered,) = await until(kind="delivered", email_id=email)
        code, output, _ = await engine.mta("message", "show", email)
    assert (bounced["recipient"], bounced["data"]["class"]) == ("gone@dest.test", "bad_mailbox")
    assert (deferred["recipient"], deferred["data"]["enhanced"]) == ("you@dest.test", "4.7.1")
    assert delivered["data"]["attempt"] == 2
    assert code == 0
    assert "greylisted" in output


async def test_an_entry_that_stays_deferred_expires(tmp_path: Path) -> None:
    config = configuration(
        routing={},
        delivery='retry = { first = "100ms", ceiling = "100ms", lifetime = "700ms" }',
    )
    async with (
        Receiver(script={"RCPT": "450 4.2.0 later"}) as receiver,
        running(tmp_path, config + f'"*" = "smtp://127.0.0.1:{receiver.port}"\n') as engine,
        engine.journal() as until,
    ):
        email = await engine.submit(MESSAGE, "b@sender.test", "you@dest.test")
        (expired,) = await until(kind="expired", email_id=email)
        assert expired["data"]["attempt"] >= 3
        detail = (await engine.call("GET", f"/v1/emails/{email}")).body
    assert detail["status"] == "expired"


async def test_cancel_and_hold_reach_a_running_engine(tmp_path: Path) -> None:
    async with (
        Receiver() as receiver,
        running(tmp_path, configuration(routing=pinned(receiver))) as engine,
        engine.journal() as until,
    ):
        mail = {"from": "a@sender.test", "subject": "s", "text": "t"}
        later = mail | {"send_at": "in 1 hours"}
        canceled = (await engine.call("POST", "/v1/emails", later | {"to": "x@dest.test"})).body
        assert canceled["status"] == "scheduled"
        answer = await engine.call("POST", f"/v1/emails/{canceled['id']}/cancel")
        assert answer.status == 200
        await until(kind="canceled", email_id=canceled["id"])
        await engine.mta("queue", "suspend", "dest.test", "--for", "1h")
        held = (await engine.call("POST", "/v1/emails", mail | {"to": "y@dest.test"})).body
        early = (await engine.call("POST", "/v1/emails", later | {"to": "z@dest.test"})).body
        assert (await engine.mta("queue", "hold", held["id"], early["id"]))[0] == 0
        assert (await engine.mta("queue", "resume", "dest.test"))[0] == 0
        assert (await engine.mta("queue", "release", held["id"], early["id"]))[0] == 0
        await until(kind="delivered", email_id=held["id"])
        assert (await engine.mta("queue", "retry", early["id"]))[0] == 0
        await until(kind="delivered", email_id=early["id"])
        received = await receiver.wait_for(2)
    assert [one.recipients for one in received] == [["y@dest.test"], ["z@dest.test"]]
