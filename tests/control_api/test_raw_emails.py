"""Messages that the client has composed: bytes pass through, as JSON and as message/rfc822."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from mta.core.access import Access
from mta.core.canonical import body_hash
from storage import messages, queue, suppressions
from storage.messages import EmailView
from tests.control_api.conftest import Api
from tests.support.asgi import Client, Reply

HEADER = b"From: Ant <ant@sender.example>\r\nTo: Bee <bee@x.example>\r\nSubject: Hello\r\n"
MESSAGE = HEADER + b"\r\n..Hi\r\n"


async def post(api: Api | Client, message: bytes, query: str = "", **headers: str) -> Reply:
    client = api.client if isinstance(api, Api) else api
    return await client.request(
        "POST",
        f"/v1/emails/raw{query}",
        body=message,
        headers={"content-type": "message/rfc822", **headers},
    )


def view(api: Api, reply: Reply) -> EmailView:
    assert reply.status == 200, reply.json
    found = api.database.read_now(lambda db: messages.get(db, 1, reply.json["id"]))
    assert found
    return found


class TestBytes:
    async def test_pass_through(self, api: Api) -> None:
        kept = (
            b"from:\tShop <shop@sender.example>\r\nSubject: =?utf-8?q?x?=\r\n  folded\r\n"
            b"X-Raw: \xff \r\nMessage-Id: <1@sender.example>\r\nDATE: whenever\r\n"
            b"To: b@x.example\r\n"
        )
        dropped = (
            b"Bcc: hidden@x.example,\r\n other@x.example\r\nX-MTA-Priority: bulk\r\n"
            b"Idempotency-Key: 1\r\nX-Idempotency-Key: 1\r\nResend-Idempotency-Key: 1\r\n"
        )
        body = b"..dot\r\n\r\n \t x \r\n\xff\0\r\n\r\n"
        reply = await post(api, dropped + kept + b"\r\n" + body)
        stored = api.stored(reply.json["id"])
        received = stored.removesuffix(kept + b"\r\n" + body)
        assert received.startswith(
            b"Received: by mta.sender.test (Mailwright) with HTTP\r\n\tid em_"
        )
        assert received.count(b"\r\n") == 3
        [claimed] = api.database.write_now(
            lambda db: (
                queue.claim(
                    db, [queue.ClaimRequest("x.example", 9)], now=api.clock.now, owner="test"
                ).messages
            )
        )
        assert claimed.message.message.body_hash == body_hash(body)
        assert claimed.message.message.is_8bit
        assert {entry.priority for entry in claimed.entries} == {1}
        email = view(api, reply)
        assert [one.address for one in email.recipients] == [
            "b@x.example",
            "hidden@x.example",
            "other@x.example",
        ]
        assert (email.subject, email.message_id) == ("x folded again", "") or email.message_id
        assert email.bcc == ("hidden@x.example", "other@x.example")

    async def test_line_ends_and_missing_fields_are_mended(self, api: Api) -> None:
        reply = await post(api, MESSAGE.replace(b"\r\n", b"\n").rstrip(b"\n"))
        stored, email_id = api.stored(reply.json["id"]), reply.json["id"]
        assert stored.endswith(
            HEADER
            + b"Date: Sun, 01 Mar 2026 12:00:00 +0000\r\n"
            + f"Message-ID: <{email_id}@sender.example>\r\n\r\n".encode()
            + b"..Hi\r\n"
        )
        assert reply.json["message_id"] == f"<{email_id}@sender.example>"

    @pytest.mark.parametrize(
        ("message", "code", "reason"),
        [
            (b"To: b@x.example\r\n\r\nHi\r\n", "invalid_header", "no From"),
            (b"From: a@s.example\r\n" + MESSAGE, "invalid_header", "two From fields"),
            (b"From: a@s.example, b@t.example\r\n\r\n", "invalid_header", "two domains"),
            (b"From: nobody\r\n\r\n", "invalid_header", "no address"),
            (b"no field\r\n" + MESSAGE, "invalid_header", "not a field"),
            (b"X: \0\r\n" + MESSAGE, "invalid_header", "NUL"),
            (b"X: " + b"x" * 999 + b"\r\n" + MESSAGE, "line_too_long", "line"),
            (HEADER + b"\r\na\rb\r\n", "invalid_line_end", "CR alone"),
            (HEADER + b"X-MTA-Priority: now\r\n\r\n", "invalid_value", "priority"),
            (b"Received: by x\r\n" * 101 + MESSAGE, "mail_loop", "too many hops"),
            (b"X: y\r\n" * 1001 + MESSAGE, "invalid_header", "too many fields"),
        ],
    )
    async def test_refusals(self, api: Api, message: bytes, code: str, reason: str) -> None:
        reply = await post(api, message, "?rcpt_to=b@x.example")
        assert reply.status == 422, reason
        [error] = reply.json["errors"]
        assert (error["field"], error["code"]) == ("raw", code), reason
        assert api.count("messages") == 0

    async def test_large_ones_go_to_the_spool(self, api: Api) -> None:
        message = HEADER + b"\r\n" + b"x" * 78 + b"\r\n" * 200_000
        reply = await post(api, message)
        assert api.stored(reply.json["id"]).endswith(message[len(HEADER) :])
        assert len(list((api.settings.server.data_dir / "spool").iterdir())) == 1


class TestEnvelope:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", "ant@sender.example"),
            ("?mail_from=bounce%2Bx@sender.example", "bounce+x@sender.example"),
            ("?mail_from=", ""),
            ("?mail_from=%3C%3E", ""),
        ],
    )
    async def test_return_path(self, api: Api, query: str, expected: str) -> None:
        assert view(api, await post(api, MESSAGE, query)).mail_from == expected

    async def test_given_recipients_replace_those_of_the_header(self, api: Api) -> None:
        email = view(api, await post(api, MESSAGE, "?rcpt_to=x@y.example&rcpt_to=z@y.example"))
        assert [one.address for one in email.recipients] == ["x@y.example", "z@y.example"]
        assert email.to == ("Bee <bee@x.example>",)

    async def test_all_addressees_of_a_long_list(self, api: Api) -> None:
        to = b",\r\n ".join(b"u%d@x.example" % number for number in range(500))
        reply = await post(api, b"Cc: " + to + b"\r\n" + MESSAGE)
        assert len(view(api, reply).recipients) == 501

    @pytest.mark.parametrize(
        ("header", "query", "code"),
        [
            (b"To: undisclosed-recipients:;\r\n", "", "required"),
            (b"To: nobody\r\n", "", "invalid_address"),
            (b"To: " + b"a@x.example,\r\n " * 1500 + b"a@x.example\r\n", "", "too_long"),
            (
                b"",
                "?rcpt_to=" + "&rcpt_to=".join(f"u{n}@x.example" for n in range(1001)),
                "too_many",
            ),
        ],
    )
    async def test_bad_recipients(self, api: Api, header: bytes, query: str, code: str) -> None:
        reply = await post(api, b"From: a@s.example\r\n" + header + b"\r\n", query)
        assert reply.status == 422
        [error] = reply.json["errors"]
        assert (error["field"], error["code"]) == ("rcpt_to", code)

    async def test_too_many_addressees(self, api: Api) -> None:
        to = b",\r\n ".join(b"u%d@x.example" % number for number in range(500))
        reply = await post(
            api,
            b"".join(name + to + b"\r\n" for name in (b"To: ", b"Cc: ", b"Bcc: "))
            + b"From: a@s.example\r\n\r\n",
        )
        assert reply.json["errors"][0]["code"] == "too_many"


class TestJson:
    @pytest.mark.parametrize(
        "raw",
        [
            MESSAGE.decode(),
            base64.b64encode(MESSAGE).decode(),
            "\n".join(["", MESSAGE.decode()])[1:],
        ],
    )
    async def test_text_or_base64(self, api: Api, raw: str) -> None:
        body = {
            "mail_from": "b@sender.example",
            "rcpt_to": ["x@y.example"],
            "raw": raw,
            "tags": {"kind": "raw"},
            "metadata": {"n": 1},
            "send_at": "in 1 hour",
            "priority": "bulk",
        }
        reply = await api.client.post("/v1/emails/raw", body)
        email = view(api, reply)
        assert reply.json["status"] == email.status == "scheduled"
        assert (email.mail_from, email.tags, email.metadata) == (
            "b@sender.example",
            (("kind", "raw"),),
            {"n": 1},
        )
        assert api.stored(reply.json["id"]).endswith(b"\r\n\r\n..Hi\r\n")

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"raw": None}, "raw"),
            ({"raw": "%%%"}, "raw"),
            ({"raw": 5}, "raw"),
            ({"mail_from": "x"}, "mail_from"),
            ({"mail_from": ["a@b.example"]}, "mail_from"),
            ({"rcpt_to": "a@b.example"}, "rcpt_to"),
            ({"rcpt_to": ["Ant <a@b.example>"]}, "rcpt_to[0]"),
            ({"html": "x"}, "html"),
        ],
    )
    async def test_bad_bodies(self, api: Api, fields: dict[str, Any], field: str) -> None:
        body = {"rcpt_to": ["x@y.example"], "raw": MESSAGE.decode()} | fields
        reply = await api.client.post("/v1/emails/raw", body)
        assert reply.status == 422
        assert field in [error["field"] for error in reply.json["errors"]]


async def test_domains_are_checked_as_for_other_mail(api: Api) -> None:
    strict = api.with_settings(policy=type(api.settings.policy)(require_verified_domain=True))
    reply = await post(strict, MESSAGE)
    assert (reply.status, reply.json["code"]) == (403, "domain_not_verified")


async def test_a_key_may_be_bound_to_return_paths_too(api: Api) -> None:
    bound = api.client_with(api.new_key(access=Access(domains=("sender.example",))))
    assert (await post(bound, MESSAGE)).status == 200
    assert (await post(bound, MESSAGE, "?mail_from=")).status == 200
    reply = await post(bound, MESSAGE, "?mail_from=x@other.example")
    assert (reply.status, reply.json["errors"][0]["field"]) == (403, "mail_from")


async def test_a_test_key_sends_to_the_sandbox(api: Api) -> None:
    test = api.client_with(api.new_key(access=Access(is_test=True)))
    email = view(api, await post(test, MESSAGE))
    assert email.recipients[0].domain == api.settings.api.sandbox_domain


async def test_an_unsubscribe_offer_as_over_smtp(api: Api) -> None:
    wish = b"X-MTA-Unsubscribe: yes\r\n"
    refused = await post(api, wish + MESSAGE)
    assert refused.json["errors"][0]["code"] == "not_configured"
    page = replace(api.settings.api, public_url="https://mail.example")
    able = api.with_settings(api=page)
    assert (await post(able, wish + MESSAGE)).status == 200
    wrong = await post(able, wish.replace(b"yes", b"maybe") + MESSAGE)
    assert wrong.json["errors"][0]["code"] == "invalid_value"


async def test_a_suppressed_recipient_is_no_error(api: Api) -> None:
    api.database.write_now(
        lambda db: suppressions.add(
            db, tenant_id=1, key="bee@x.example", address="b", reason="manual", now=api.clock.now
        )
    )
    both = await post(api, MESSAGE, "?rcpt_to=bee@x.example&rcpt_to=elk@x.example")
    assert both.json["status"] == "queued"
    only = await post(api, MESSAGE)
    assert only.json["status"] == "suppressed"
    detail = (await api.client.get(f"/v1/emails/{only.json['id']}")).json
    assert [one["type"] for one in detail["events"]] == ["email.suppressed"]


async def test_the_query_is_part_of_an_idempotent_request(api: Api) -> None:
    first = await post(api, MESSAGE, "?rcpt_to=a@x.example", **{"idempotency-key": "k"})
    again = await post(api, MESSAGE, "?rcpt_to=a@x.example", **{"idempotency-key": "k"})
    other = await post(api, MESSAGE, "?rcpt_to=b@x.example", **{"idempotency-key": "k"})
    assert (first.body, again.headers["idempotent-replayed"]) == (again.body, "true")
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert api.count("messages") == 1
