"""Suppressions over HTTP: one by one, by the thousand, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest

from config import settings
from storage import events
from tests.control_api.conftest import EMAIL, Api
from tests.support.asgi import Reply

PATH = "/v1/suppressions"


async def add(api: Api, *emails: str, **fields: Any) -> Any:
    reply = await api.client.post(PATH, {"emails": list(emails)} | fields)
    assert reply.status == 200, reply.json
    return reply.json


async def listed(api: Api, query: str = "") -> list[str]:
    reply = await api.client.get(f"{PATH}?{query}")
    assert reply.status == 200, reply.json
    return [one["email"] for one in reply.json["data"]]


def journal(api: Api) -> list[tuple[str, object]]:
    found = api.database.read_now(lambda db: events.read(db, after=0, limit=99))
    return [(one.kind.webhook_type, one.data.get("email")) for one in found]


class TestOne:
    async def test_added_looked_at_and_deleted(self, api: Api) -> None:
        made = await api.client.post(PATH, {"email": "Bee@EXAMPLE.net", "reason": "complaint"})
        assert made.json | {"id": ""} == {
            "object": "suppression",
            "id": "",
            "email": "Bee@example.net",
            "reason": "complaint",
            "rule": None,
            "event_id": None,
            "email_id": None,
            "created_at": "2026-03-01T12:00:00.000Z",
            "expires_at": None,
        }
        for name in ("Bee@example.NET", made.json["id"]):
            assert (await api.client.get(f"{PATH}/{name}")).json == made.json
        assert (await api.client.get(f"{PATH}/bee@example.net")).status == 404
        gone = await api.client.delete(f"{PATH}/Bee@example.net")
        assert gone.json == {
            "object": "suppression",
            "id": made.json["id"],
            "email": "Bee@example.net",
            "deleted": True,
        }
        assert (await api.client.delete(f"{PATH}/Bee@example.net")).json["deleted"]
        assert (await api.client.get(f"{PATH}/Bee@example.net")).status == 404
        assert journal(api) == [
            ("suppression.added", "Bee@example.net"),
            ("suppression.removed", "Bee@example.net"),
        ]
        assert api.kicks == 2

    async def test_mail_to_it_becomes_an_event(self, api: Api) -> None:
        await add(api, "bee@example.net")
        sent = await api.client.post("/v1/emails", EMAIL | {"to": ["bee@example.net", "c@d.test"]})
        assert sent.status == 200
        assert ("email.suppressed", None) in journal(api)

    async def test_it_ends_when_told(self, api: Api) -> None:
        await add(api, "bee@example.net", expires_at="2026-03-01T13:00:00Z")
        assert await listed(api) == ["bee@example.net"]
        api.clock.advance(hours=1)
        assert await listed(api) == []

    async def test_twice_is_once(self, api: Api) -> None:
        first = await api.client.post(PATH, {"email": "a@b.test"})
        again = await api.client.post(PATH, {"email": "a@b.test", "reason": "other"})
        assert again.json == first.json

    async def test_with_a_key_a_repeat_is_a_replay(self, api: Api) -> None:
        body = {"emails": ["a@b.test"]}
        first = await api.client.post(PATH, body, idempotency_key="k")
        again = await api.client.post(PATH, body, idempotency_key="k")
        assert (first.json["added"], again.json["added"]) == (1, 1)

    async def test_tenants_have_lists_of_their_own(self, api: Api) -> None:
        await add(api, "a@b.test")
        other = api.client_with(api.new_key(tenant_id=2))
        assert (await other.get(f"{PATH}/a@b.test")).status == 404
        assert (await other.get(PATH)).json["data"] == []
        await other.delete(f"{PATH}/a@b.test")
        assert await listed(api) == ["a@b.test"]

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "email", "required"),
            ({"email": 1}, "email", "invalid_type"),
            ({"email": "nobody"}, "email", "invalid_address"),
            ({"email": "a@b.test", "reason": "two words"}, "reason", "invalid_value"),
            ({"email": "a@b.test", "expires_at": "soon"}, "expires_at", "invalid_time"),
            ({"email": "a@b.test", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at", None),
            ({"email": "a@b.test", "x": 1}, "x", "unknown_field"),
            ({"emails": ["a@b.test", "x"]}, "emails[1]", "invalid_address"),
            ({"emails": ["a@b.test", {"email": "x"}]}, "emails[1].email", "invalid_address"),
            ({"emails": [{"email": "a@b.test", "y": 1}]}, "emails[0].y", "unknown_field"),
            ({"emails": [None]}, "emails[0]", "required"),
            ({"emails": ["a@b.test"] * 1001}, "emails", "too_many"),
            ({"emails": ["a@b.test"], "email": "c@d.test"}, "email", "unknown_field"),
            ([], "", "invalid_type"),
        ],
    )
    async def test_errors_name_their_field(
        self, api: Api, body: Any, field: str, code: str | None
    ) -> None:
        reply = await api.client.post(PATH, body)
        assert reply.status == 422
        assert field in [one["field"] for one in reply.json["errors"]]
        assert code in (None, *(one["code"] for one in reply.json["errors"]))
        assert await listed(api) == []


class TestMany:
    async def test_each_with_its_own_reason(self, api: Api) -> None:
        items = ["a@b.test", {"email": "c@d.test", "reason": "bounce"}, "a@b.test"]
        reply = await api.client.post(PATH, {"emails": items, "reason": "moved"})
        assert reply.json["added"] == 2
        assert [one["reason"] for one in reply.json["data"]] == ["moved", "bounce", "moved"]

    async def test_lists(self, api: Api) -> None:
        await add(api, "a@x.test", "b@x.test", reason="bounce")
        api.clock.advance(minutes=1)
        await add(api, "c@x.test")
        newest_first = ["c@x.test", "b@x.test", "a@x.test"]
        assert await listed(api) == newest_first
        page = (await api.client.get(f"{PATH}?limit=2&include=total")).json
        assert (len(page["data"]), page["has_more"], page["total"]) == (2, True, 3)
        after = page["data"][-1]["id"]
        assert await listed(api, f"after={after}") == newest_first[2:]
        assert await listed(api, f"before={after}") == newest_first[:1]
        assert await listed(api, "reason=bounce") == newest_first[1:]
        assert await listed(api, "since=2026-03-01T12:01:00Z") == newest_first[:1]
        assert await listed(api, "q=B@X") == ["b@x.test"]
        for wrong in ("since=x", "limit=0", "include=all", "what=1"):
            assert (await api.client.get(f"{PATH}?{wrong}")).status == 422

    async def test_undo(self, api: Api) -> None:
        await add(api, "a@x.test", reason="bounce")
        api.clock.advance(minutes=1)
        await add(api, *(f"u{number}@x.test" for number in range(1000)), reason="bounce")
        await add(api, *(f"v{number}@x.test" for number in range(700)), reason="bounce")
        wish = {"reason": "bounce", "since": "2026-03-01T12:01:00Z"}
        reply = await api.client.post(f"{PATH}/undo", wish)
        assert reply.json == {"object": "suppression_undo", "removed": 1700}
        assert await listed(api) == ["a@x.test"]
        assert (await api.client.post(f"{PATH}/undo", {})).status == 422
        assert (await api.client.post(f"{PATH}/undo", {"since": "x"})).status == 422


class TestCsv:
    async def send(self, api: Api, text: str | bytes, query: str = "") -> Any:
        body = text if isinstance(text, bytes) else text.encode()
        reply = await api.client.request("POST", f"{PATH}/import{query}", body=body)
        return reply.json

    async def test_a_list_is_taken_and_what_is_wrong_in_it_told(self, api: Api) -> None:
        await add(api, "old@x.test")
        text = "Email,reason\na@x.test,bounce\nnobody,\nold@x.test,\nb@x.test,\n"
        reply = await self.send(api, text, "?reason=moved")
        import_id = reply.pop("id")
        assert reply.pop("errors") == [{"row": 2, "message": "the address has no @."}] or reply
        assert reply == {
            "object": "suppression_import",
            "rows": 4,
            "added": 2,
            "unchanged": 1,
            "invalid": 1,
        }
        one = (await api.client.get(f"{PATH}/b@x.test")).json
        assert (one["reason"], one["rule"]) == ("moved", import_id)
        assert len(journal(api)) == 1  # of the one that was added by itself
        undone = await api.client.post(f"{PATH}/undo", {"rule": import_id})
        assert undone.json["removed"] == 2

    async def test_it_is_read_as_it_comes(self, api: Api) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"email\n"
            for number in range(50):
                rows = (f"u{number}-{row}@x.test\n" for row in range(100))
                yield "".join(rows).encode()

        reply = await api.client.request("POST", f"{PATH}/import", body=chunks())
        assert reply.json["added"] == 5000
        again = await api.client.request("POST", f"{PATH}/import", body=chunks())
        assert (again.json["added"], again.json["unchanged"]) == (0, 5000)

    async def test_a_list_may_be_longer_than_other_bodies(self, api: Api) -> None:
        small = api.with_settings(api=settings.Api(max_body_size=100))
        rows = b"".join(b"user%d@x.test\n" % number for number in range(20))
        assert (await small.client.request("POST", f"{PATH}/import", body=rows)).status == 200
        assert (await small.client.request("POST", PATH, body=rows)).status == 413

    @pytest.mark.parametrize("text", [b"email\n\xff", b"name\nx\n", b'email\n"a@x.test\n'])
    async def test_what_is_no_list_is_refused(self, api: Api, text: bytes) -> None:
        reply = await self.send(api, text)
        assert reply["errors"][0]["code"] == "invalid_csv"

    async def test_what_came_before_the_fault_is_told(self, api: Api) -> None:
        rows = "".join(f"u{number}@x.test\n" for number in range(1500))

        async def chunks() -> AsyncIterator[bytes]:
            yield b"email\n" + rows.encode()
            yield b"\xff"

        reply = await api.client.request("POST", f"{PATH}/import", body=chunks())
        assert reply.status == 422
        assert "1000 addresses were added before, with the rule imp_" in reply.json["detail"]

    async def test_a_key_makes_a_repeat_harmless(self, api: Api) -> None:
        async def chunks(last: bytes = b"elk@x.example\r\n") -> AsyncIterator[bytes]:
            yield b"ant@x.example\r\n"
            yield last

        async def sent(body: AsyncIterator[bytes]) -> Reply:
            headers = {"idempotency-key": "list-1"}
            return await api.client.request("POST", f"{PATH}/import", body=body, headers=headers)

        first = await sent(chunks())
        assert (first.status, first.json["added"]) == (200, 2)
        assert (await api.client.post(f"{PATH}/undo", {"rule": first.json["id"]})).status == 200
        again = await sent(chunks())
        assert (again.status, again.json) == (200, first.json)
        assert again.headers["idempotent-replayed"] == "true"
        other = await sent(chunks(b"bee@x.example\r\n"))
        assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
        assert (await api.client.get(PATH)).json["data"] == []

    async def test_the_export_is_what_an_import_takes(self, api: Api) -> None:
        odd = ["=cmd@x.test", "+1@x.test", "'a@x.test", '"a,b"@x.test', "z@x.test"]
        await add(api, *odd, expires_at="2030-01-01T00:00:00Z")
        reply = await api.client.get(f"{PATH}/export")
        assert reply.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in reply.headers["content-disposition"]
        rows = list(csv.DictReader(StringIO(reply.body.decode(), newline="")))
        assert [row["email"] for row in rows][::-1] == [
            "'=cmd@x.test",
            "'+1@x.test",
            "''a@x.test",
            '"a,b"@x.test',
            "z@x.test",
        ]
        assert rows[0]["created_at"] == "2026-03-01T12:00:00.000Z"
        await api.client.post(f"{PATH}/undo", {"reason": "manual"})
        assert (await self.send(api, reply.body))["added"] == 5
        assert sorted(await listed(api)) == sorted(odd)

    async def test_an_export_has_as_many_pages_as_it_needs(self, api: Api) -> None:
        for start in (0, 1000, 2000):
            await add(api, *(f"u{number}@x.test" for number in range(start, start + 1000)))
        for query, expected in (("", 3001), ("?reason=x", 1), ("?since=2027-01-01T00:00:00Z", 1)):
            reply = await api.client.get(f"{PATH}/export{query}")
            assert reply.body.count(b"\r\n") == expected
        assert (await api.client.get(f"{PATH}/export?since=x")).status == 422


async def test_an_undo_that_is_repeated_is_answered_alike(api: Api) -> None:
    await api.client.post(PATH, {"email": "ant@example.net"})
    wish, named = {"reason": "manual"}, {"idempotency_key": "once"}
    first = await api.client.post(f"{PATH}/undo", wish, **named)
    await api.client.post(PATH, {"email": "bee@example.net"})
    second = await api.client.post(f"{PATH}/undo", wish, **named)
    assert first.json == second.json == {"object": "suppression_undo", "removed": 1}
    assert second.headers["idempotent-replayed"] == "true"
    assert (await api.client.get(f"{PATH}/bee@example.net")).status == 200


async def test_what_waits_for_an_address_is_not_sent_any_more(api: Api) -> None:
    sent = await api.client.post("/v1/emails", EMAIL)
    await api.client.post(PATH, {"email": EMAIL["to"][0]})
    shown = await api.client.get(f"/v1/emails/{sent.json['id']}")
    assert shown.json["status"] == "suppressed"
