"""Contacts, audiences and members over HTTP."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from control_api import contact_payload
from control_api.audiences import FIELD_TYPES
from control_api.schemas import contacts as schemas
from mta.core.access import Access
from mta.core.contact import STATUSES
from mta.core.ids import milliseconds
from storage import contacts
from tests.control_api.conftest import Api
from tests.support.asgi import Reply

ANT, BEE = "ant@example.net", "bee@example.net"
CONTACTS, AUDIENCES = "/v1/contacts", "/v1/audiences"


async def ok(reply: Any) -> Any:
    found = await reply
    assert found.status == 200, found.json
    return found.json


async def send(api: Api, method: str, path: str, body: Any) -> Reply:
    return await api.client.request(method, path, body=json.dumps(body).encode())


async def audience(api: Api, **fields: Any) -> str:
    made = await ok(api.client.post(AUDIENCES, {"name": "News"} | fields))
    return f"{AUDIENCES}/{made['id']}"


async def status(api: Api, path: str, email: str = ANT) -> str:
    return str((await ok(api.client.get(f"{path}/contacts/{email}")))["status"])


class TestContacts:
    async def test_added_changed_tagged_exported_and_forgotten(self, api: Api) -> None:
        made = await ok(
            api.client.post(
                CONTACTS,
                {"email": "ant@EXAMPLE.net", "name": "Ant", "tags": ["t"], "properties": {"a": 1}},
            )
        )
        assert made | {"id": ""} == {
            "object": "contact",
            "id": "",
            "email": ANT,
            "name": "Ant",
            "properties": {"a": 1},
            "tags": ["t"],
            "created_at": "2026-03-01T12:00:00.000Z",
            "updated_at": "2026-03-01T12:00:00.000Z",
            "last_opened_at": None,
            "last_clicked_at": None,
        }
        one = f"{CONTACTS}/{made['id']}"
        changed = await ok(send(api, "PATCH", one, {"properties": {"a": None, "b": 2}}))
        assert (changed["name"], changed["properties"]) == ("Ant", {"b": 2})
        tagged = await ok(api.client.post(f"{one}/tags", {"tags": ["u", "v"]}))
        assert tagged["tags"] == ["t", "u", "v"]
        assert (await ok(api.client.delete(f"{one}/tags?tag=t,%20v")))["tags"] == ["u"]
        news = await audience(api)
        await ok(api.client.post(f"{news}/contacts", {"email": ANT}))
        exported = await ok(api.client.get(f"{CONTACTS}/{ANT}/export"))
        assert exported["contact"]["id"] == made["id"]
        assert [one["status"] for one in exported["memberships"]] == ["subscribed"]
        assert [one["type"] for one in exported["events"]] == [
            "contact.created",
            "contact.tagged",
            "contact.updated",
            "contact.tagged",
            "contact.updated",
            "contact.subscribed",
        ]
        assert (await ok(api.client.delete(one)))["deleted"]
        assert (await api.client.get(one)).status == 404
        assert (await ok(api.client.get(f"{news}/contacts")))["data"] == []

    async def test_a_known_address_needs_upsert(self, api: Api) -> None:
        await ok(api.client.post(CONTACTS, {"email": ANT, "name": "Ant"}))
        again = await api.client.post(CONTACTS, {"email": ANT, "name": "Bee"})
        assert (again.status, again.json["code"]) == (409, "already_exists")
        wished = await ok(api.client.post(CONTACTS, {"email": ANT, "name": "B", "upsert": True}))
        put = await ok(send(api, "PUT", CONTACTS, {"email": ANT, "tags": ["x"]}))
        assert (put["id"], put["name"], put["tags"]) == (wished["id"], "B", ["x"])

    async def test_a_batch_tells_of_each_bad_row(self, api: Api) -> None:
        rows = [{"email": ANT}, {"email": "no"}, 5, {"email": BEE, "x": 1}, {"email": BEE}]
        told = await ok(api.client.post(f"{CONTACTS}/batch", {"contacts": rows}))
        assert (told["imported"], told["updated"], told["duplicates"]) == (2, 0, 0)
        assert [(one["index"], one["code"]) for one in told["errors"]] == [
            (1, "invalid_address"),
            (2, "invalid_type"),
            (3, "unknown_field"),
        ]
        again = {"contacts": [{"email": ANT, "name": "new"}], "mode": "skip"}
        told = await ok(api.client.post(f"{CONTACTS}/batch", again))
        assert (told["imported"], told["updated"], told["duplicates"]) == (0, 0, 1)
        assert (await ok(api.client.get(f"{CONTACTS}/{ANT}")))["name"] is None

    async def test_listed_by_tag_text_and_audience(self, api: Api) -> None:
        news = (await ok(api.client.post(AUDIENCES, {"name": "News"})))["id"]
        await ok(api.client.post(CONTACTS, {"email": ANT, "tags": ["t"]}))
        await ok(api.client.post(CONTACTS, {"email": BEE, "audience_id": news}))
        for query, expected in (
            ("", [BEE, ANT]),
            ("tag=t", [ANT]),
            ("q=BEE", [BEE]),
            (f"audience_id={news}", [BEE]),
            ("limit=1", [BEE]),
        ):
            found = await ok(api.client.get(f"{CONTACTS}?{query}"))
            assert [one["email"] for one in found["data"]] == expected, query
        assert (await ok(api.client.get(f"{CONTACTS}?include=total")))["total"] == 2

    async def test_other_tenants_see_nothing(self, api: Api) -> None:
        made = await ok(api.client.post(CONTACTS, {"email": ANT}))
        news = await audience(api)
        other = api.client_with(api.new_key(tenant_id=2))
        assert (await ok(other.get(CONTACTS)))["data"] == []
        for path in (f"{CONTACTS}/{made['id']}", f"{CONTACTS}/{ANT}", news, f"{news}/contacts"):
            assert (await other.get(path)).status == 404
        assert (await ok(other.delete(f"{CONTACTS}/{made['id']}")))["deleted"]
        await ok(other.delete(news))
        assert (await ok(api.client.get(news)))["name"] == "News"
        assert (await api.client.get(f"{CONTACTS}/{ANT}")).status == 200

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "email", "required"),
            ({"email": "no"}, "email", "invalid_address"),
            ({"email": ANT, "tags": "x"}, "tags", "invalid_type"),
            ({"email": ANT, "tags": [" "]}, "tags[0]", "required"),
            ({"email": ANT, "tags": ["x"] * 51}, "tags", "too_many"),
            ({"email": ANT, "name": "a\r\nb"}, "name", "invalid_text"),
            ({"email": ANT, "properties": []}, "properties", "invalid_type"),
            ({"email": ANT, "properties": {"a": "x" * 20_000}}, "properties", "too_long"),
            ({"email": ANT, "properties": {"a": "\0"}}, "properties", "invalid_value"),
            ({"email": ANT, "audience_id": "aud_x"}, "audience_id", "unknown_audience"),
            ({"email": ANT, "upsert": "yes"}, "upsert", "invalid_type"),
            ({"email": ANT, "else": 1}, "else", "unknown_field"),
        ],
    )
    async def test_bad_input(self, api: Api, body: Any, field: str, code: str) -> None:
        reply = await api.client.post(CONTACTS, body)
        assert reply.status == 422
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [(field, code)]

    async def test_a_key_without_the_scope_reads_only(self, api: Api) -> None:
        client = api.client_with(api.new_key(access=Access(scopes=("contacts:read",))))
        assert (await client.get(CONTACTS)).status == 200
        assert (await client.post(CONTACTS, {"email": ANT})).status == 403


class TestAudiences:
    async def test_changed_counted_and_deleted(self, api: Api) -> None:
        path = await audience(api, from_email="shop@sender.test", from_name="Shop")
        changed = await ok(send(api, "PATCH", path, {"from_name": None, "name": "Weekly"}))
        assert (changed["name"], changed["from_name"]) == ("Weekly", None)
        assert changed["from_email"] == "shop@sender.test"
        people = [{"email": ANT}, {"email": BEE, "status": "unconfirmed"}]
        await ok(api.client.post(f"{path}/contacts", {"contacts": people}))
        found = await ok(api.client.get(path))
        assert (found["counts"], found["total"]) == ({"subscribed": 1, "unconfirmed": 1}, 2)
        await ok(api.client.delete(path))
        assert (await api.client.get(path)).status == 404
        assert (await ok(api.client.get(f"{CONTACTS}?include=total")))["total"] == 2

    async def test_fields_are_kept_to(self, api: Api) -> None:
        path = await audience(api)
        for field in (
            {"tag": "FNAME", "required": True},
            {"tag": "AGE", "type": "number"},
            {"tag": "BORN", "type": "datetime"},
        ):
            await ok(api.client.post(f"{path}/fields", field))
        assert (await api.client.post(f"{path}/fields", {"tag": "AGE"})).status == 409
        good = {"FNAME": "Ant", "AGE": 4, "BORN": "2020-02-29"}
        made = await ok(api.client.post(f"{path}/contacts", {"email": ANT, "fields": good}))
        assert made["fields"] == good
        for values, wrong in (
            ({}, "fields.FNAME"),
            ({"FNAME": "a", "AGE": "4"}, "fields.AGE"),
            ({"FNAME": "a", "AGE": True}, "fields.AGE"),
            ({"FNAME": "a", "BORN": "2021-02-29"}, "fields.BORN"),
            ({"FNAME": "a\n"}, "fields.FNAME"),
            ({"FNAME": "a", "X": 1}, "fields.X"),
        ):
            reply = await api.client.post(f"{path}/contacts", {"email": BEE, "fields": values})
            assert [one["field"] for one in reply.json["errors"]] == [wrong]
        changed = await ok(send(api, "PATCH", f"{path}/contacts/{ANT}", {"fields": {"AGE": None}}))
        assert changed["fields"] == {"FNAME": "Ant", "BORN": "2020-02-29"}
        await ok(api.client.delete(f"{path}/fields/BORN"))
        tags = [one["tag"] for one in (await ok(api.client.get(f"{path}/fields")))["data"]]
        assert tags == ["AGE", "FNAME"]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": ""}, "name"),
            ({"name": "x", "from_email": "no"}, "from_email"),
            ({"name": "x", "reply_to": 5}, "reply_to"),
            ({"name": "x", "color": "red"}, "color"),
        ],
    )
    async def test_bad_audiences(self, api: Api, body: Any, field: str) -> None:
        reply = await api.client.post(AUDIENCES, body)
        assert reply.status == 422
        assert [one["field"] for one in reply.json["errors"]] == [field]

    @pytest.mark.parametrize("tag", ["", "1A", "A B", "A" * 65, "{{x}}", 5])
    async def test_bad_tags_of_fields(self, api: Api, tag: Any) -> None:
        reply = await api.client.post(f"{await audience(api)}/fields", {"tag": tag})
        assert reply.status == 422

    @pytest.mark.parametrize(
        ("kind", "default", "is_fine"),
        [
            ("number", "12.5", True),
            ("number", "-3", True),
            ("number", "twelve", False),
            ("number", "nan", False),
            ("datetime", "2026-03-01", True),
            ("datetime", "2026-03-01T10:00:00+01:00", True),
            ("datetime", "soon", False),
            ("text", "soon", True),
        ],
    )
    async def test_a_default_fits_its_field(
        self, api: Api, kind: str, default: str, is_fine: bool
    ) -> None:
        body = {"tag": "X", "type": kind, "default_value": default}
        reply = await api.client.post(f"{await audience(api)}/fields", body)
        assert reply.status == (200 if is_fine else 422)
        fields = [one["field"] for one in reply.json.get("errors", [])]
        assert fields == ([] if is_fine else ["default_value"])


class TestMembers:
    async def test_pages_go_both_ways(self, api: Api) -> None:
        path = f"{await audience(api)}/contacts"
        people = [{"email": f"c{number}@example.net"} for number in range(5)]
        await ok(api.client.post(path, {"contacts": people}))
        first = await ok(api.client.get(f"{path}?limit=2"))
        second = await ok(api.client.get(f"{path}?limit=2&after={first['data'][-1]['id']}"))
        assert [one["email"][:2] for one in [*first["data"], *second["data"]]] == [
            *("c4", "c3", "c2", "c1")
        ]
        back = await ok(api.client.get(f"{path}?limit=2&before={second['data'][0]['id']}"))
        assert back["data"] == first["data"]
        assert (await ok(api.client.get(f"{path}?status=bounced")))["data"] == []
        assert (await api.client.get(f"{path}?status=gone")).status == 422

    async def test_leaving_and_coming_back(self, api: Api) -> None:
        path, other = await audience(api), await audience(api)
        for one in (path, other):
            await ok(api.client.post(f"{one}/contacts", {"email": ANT}))
        left = await ok(api.client.post(f"{path}/contacts/{ANT}/unsubscribe", {}))
        assert left["status"] == "unsubscribed"
        assert await status(api, other) == "subscribed"
        await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        assert await status(api, path) == "unsubscribed"
        back = await ok(api.client.post(f"{path}/contacts/{ANT}/subscribe", {}))
        assert back["status"] == "subscribed"
        assert api.count("suppressions") == 0

    async def test_who_has_left_does_not_join_again_through_deletion(self, api: Api) -> None:
        path = await audience(api)
        await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        await ok(api.client.post(f"{path}/contacts/{ANT}/unsubscribe", {}))
        await ok(api.client.delete(f"{CONTACTS}/{ANT}"))
        again = await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        assert again["status"] == "unsubscribed"

    async def test_suppressed_everywhere(self, api: Api) -> None:
        path = await audience(api)
        await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        body = {"emails": [ANT, BEE], "reason": "complaint"}
        await ok(api.client.post("/v1/suppressions", body))
        assert await status(api, path) == "complained"
        joined = await ok(api.client.post(f"{path}/contacts", {"email": BEE}))
        assert joined["status"] == "complained"
        for reply in (
            await api.client.post(f"{path}/contacts/{ANT}/subscribe", {}),
            await send(api, "PATCH", f"{path}/contacts/{ANT}", {"status": "subscribed"}),
        ):
            assert (reply.status, reply.json["code"]) == (409, "suppressed")
        await ok(api.client.delete(f"/v1/suppressions/{ANT}"))
        back = await ok(api.client.post(f"{path}/contacts/{ANT}/subscribe", {}))
        assert back["status"] == "subscribed"

    async def test_taken_out(self, api: Api) -> None:
        path = await audience(api)
        await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        for _ in range(2):
            assert (await ok(api.client.delete(f"{path}/contacts/{ANT}")))["deleted"]
        assert (await api.client.get(f"{path}/contacts/{ANT}")).status == 404
        assert (await api.client.get(f"{CONTACTS}/{ANT}")).status == 200


def test_words_of_the_documentation_are_those_of_the_code() -> None:
    assert schemas.STATUSES == STATUSES
    assert schemas.FIELD_TYPES == FIELD_TYPES
    assert contact_payload.MAX_TAGS == 50


class TestFilters:
    async def test_members_by_what_they_did(self, api: Api) -> None:
        path = await audience(api)
        await ok(
            api.client.post(f"{path}/contacts", {"contacts": [{"email": ANT}, {"email": BEE}]})
        )
        for has_clicked in (False, True):
            api.database.write_now(
                partial(
                    contacts.note_engagement,
                    tenant_id=1,
                    key=ANT,
                    has_clicked=has_clicked,
                    at_ms=milliseconds(api.clock.now),
                )
            )
        for query, expected in (
            ("opened=true", [ANT]),
            ("opened=false", [BEE]),
            ("clicked=true&opened=true&status=subscribed", [ANT]),
            ("clicked=true&opened=false", []),
            ("clicked=false", [BEE]),
        ):
            found = await ok(api.client.get(f"{path}/contacts?include=total&{query}"))
            assert [one["email"] for one in found["data"]] == expected, query
            assert found["total"] == len(expected)
        one = await ok(api.client.get(f"{CONTACTS}/{ANT}"))
        assert one["last_opened_at"] == one["last_clicked_at"] == "2026-03-01T12:00:00.000Z"
        for query in ("opened=yes", "clicked=1", "opened=true&opened=false", "has_opened=true"):
            reply = await api.client.get(f"{path}/contacts?{query}")
            assert reply.status == 422, query

    @pytest.mark.parametrize("word", ["lists", "segments"])
    async def test_audiences_have_other_names(self, api: Api, word: str) -> None:
        made = await ok(api.client.post(f"/v1/{word}", {"name": "News"}))
        path = f"/v1/{word}/{made['id']}"
        await ok(api.client.post(f"{path}/contacts", {"email": ANT}))
        await ok(api.client.post(f"{path}/contacts/{ANT}/unsubscribe"))
        assert (await ok(api.client.get(path)))["counts"] == {"unsubscribed": 1}
        assert (await ok(api.client.get(f"{AUDIENCES}/{made['id']}")))["total"] == 1
        reply = await api.client.request("PUT", path)
        assert reply.status == 405
        assert set(reply.headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD", "PATCH"}
        assert (await api.client.get(f"/v1/{word}x")).status == 404
