"""Imports of contacts over HTTP: at once, in the background, from JSON and from files."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api.import_upload import MAX_ROWS
from control_api.import_worker import ImportWorker
from control_api.imports import MAX_OPEN, MAX_SYNC
from mta.core.access import Access
from storage import imports
from tests.control_api.conftest import Api
from tests.support.asgi import Client, Reply
from tests.support.import_reader import InlineReader

ANT, BEE, ELK = "ant@example.net", "bee@example.net", "elk@example.net"
AUDIENCES, IMPORTS, CONTACTS = "/v1/audiences", "/v1/imports", "/v1/contacts"
BOUNDARY = "a-boundary"


async def ok(reply: Any, status: int = 200) -> Any:
    found = await reply
    assert found.status == status, found.body
    return found.json


async def audience(api: Api, *tags: str, **fields: Any) -> str:
    made = await ok(api.client.post(AUDIENCES, {"name": "News"} | fields))
    for tag in tags:
        kind = "number" if tag == "AGE" else "text"
        await ok(api.client.post(f"{AUDIENCES}/{made['id']}/fields", {"tag": tag, "type": kind}))
    return f"{AUDIENCES}/{made['id']}"


def form(file: bytes | None, fields: Mapping[str, str]) -> bytes:
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = 'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        parts.insert(0, f"{head}Content-Type: text/csv\r\n\r\n".encode() + file)
    mark = f"--{BOUNDARY}\r\n".encode()
    return b"".join(mark + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


async def upload(
    client: Client, path: str, file: bytes | str | None, headers: Any = None, **fields: str
) -> Reply:
    data = file.encode() if isinstance(file, str) else file
    media = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await client.request(
        "POST", f"{path}/imports", body=form(data, fields), headers=media | (headers or {})
    )


@asynccontextmanager
async def working(api: Api) -> AsyncIterator[None]:
    """Have a worker, whose reader is no process of its own."""
    worker = ImportWorker(
        api.database, now=lambda: api.clock.now, on_events=bool, open_reader=InlineReader
    )
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def finished(api: Api, import_id: str) -> Any:
    """Return an import when it has ended and its file is gone."""
    async with asyncio.timeout(20):
        while True:
            found = await ok(api.client.get(f"{IMPORTS}/{import_id}"))
            files = api.database.read_now(lambda db: imports.ended_files(db, limit=1))
            if found["status"] not in ("queued", "running") and not files:
                return found
            await asyncio.sleep(0.01)


async def imported(api: Api, path: str, file: bytes | str, **fields: str) -> Any:
    """Import a file, and return the import at its end."""
    reply = await upload(api.client, path, file, **fields)
    assert reply.status == 202, reply.body
    async with working(api):
        return await finished(api, reply.json["id"])


async def errors(api: Api, import_id: str) -> list[list[str]]:
    reply = await api.client.get(f"{IMPORTS}/{import_id}/errors")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(reply.body.decode())))


async def members(api: Api, path: str) -> dict[str, Any]:
    found = await ok(api.client.get(f"{path}/contacts?limit=100"))
    return {one["email"]: one for one in found["data"]}


def spooled(api: Api) -> list[str]:
    directory = api.database.spool.path("0" * 32).parent
    return sorted(file.name for file in directory.iterdir())


class TestAtOnce:
    async def test_each_row_is_told_of(self, api: Api) -> None:
        path = await audience(api, "AGE")
        rows = [
            {"email": ANT, "name": "Ant", "fields": {"AGE": 4}},
            {"email": "no"},
            5,
            {"email": BEE, "fields": {"AGE": "x"}},
            {"email": ANT, "name": "Ant again"},
        ]
        body = {"contacts": rows, "sync": True}
        told = await ok(api.client.post(f"{path}/imports", body))
        assert (told["status"], told["progress"]) == ("completed", 100)
        assert told["counts"] == {
            "received": 5,
            "inserted": 1,
            "updated": 1,
            "skipped": 0,
            "failed": 3,
        }
        assert [(one["index"], one["field"], one["code"]) for one in told["errors"]] == [
            (1, "email", "invalid_address"),
            (2, "", "invalid_type"),
            (3, "fields.AGE", "invalid_value"),
        ]
        found = await members(api, path)
        assert found[ANT]["name"] == "Ant again"
        assert found[ANT]["fields"] == {"AGE": 4}
        listed = await ok(api.client.get(IMPORTS))
        assert [one["id"] for one in listed["data"]] == [told["id"]]
        assert (await errors(api, told["id"]))[1][:2] == ["2", "no"]

    async def test_skip_leaves_known_members_alone(self, api: Api) -> None:
        path = await audience(api, "X")
        await ok(api.client.post(f"{path}/contacts", {"email": ANT, "name": "Ant"}))
        rows = [{"email": ANT, "name": "New", "fields": {"X": "1"}}, {"email": BEE}, {"email": BEE}]
        body = {"contacts": rows, "sync": True, "mode": "skip"}
        told = await ok(api.client.post(f"{path}/imports", body))
        assert told["counts"] | {"received": 0} == {
            "received": 0,
            "inserted": 1,
            "updated": 0,
            "skipped": 2,
            "failed": 0,
        }
        found = (await members(api, path))[ANT]
        assert (found["name"], found["fields"]) == ("Ant", {})

    async def test_a_repeated_request_is_one_import(self, api: Api) -> None:
        path = await audience(api)
        for body in ({"contacts": [{"email": ANT}], "sync": True}, {"contacts": [{"email": BEE}]}):
            key = {"Idempotency_Key": f"k{len(body)}"}
            first = await api.client.post(f"{path}/imports", body, **key)
            again = await api.client.post(f"{path}/imports", body, **key)
            assert first.json == again.json
            assert first.status == again.status
        assert api.count("imports") == 2
        assert len(spooled(api)) == 1

    async def test_no_event_for_each_row(self, api: Api) -> None:
        path = await audience(api)
        told = await ok(
            api.client.post(f"{path}/imports", {"contacts": [{"email": ANT}], "sync": True})
        )
        found = (await ok(api.client.get("/v1/events")))["data"]
        assert [one["type"] for one in found] == ["import.completed"]
        assert found[0]["data"] == {
            "id": told["id"],
            "audience_id": told["audience_id"],
            "status": "completed",
            "counts": told["counts"],
        }

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "contacts", "required"),
            ({"contacts": 5}, "contacts", "invalid_type"),
            ({"contacts": [], "mode": "replace"}, "mode", "invalid_value"),
            ({"contacts": [], "sync": "yes"}, "sync", "invalid_type"),
            ({"contacts": [], "status": "happy"}, "status", "invalid_value"),
            ({"contacts": [], "what": 1}, "what", "unknown_field"),
            ({"contacts": [{}] * (MAX_SYNC + 1), "sync": True}, "contacts", "too_many"),
            ({"contacts": [{}] * (MAX_ROWS + 1)}, "contacts", "too_many"),
        ],
    )
    async def test_bad_input(self, api: Api, body: Any, field: str, code: str) -> None:
        reply = await api.client.post(f"{await audience(api)}/imports", body)
        assert reply.status == 422
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [(field, code)]
        assert spooled(api) == []


class TestFiles:
    async def test_columns_are_known_by_their_names(self, api: Api) -> None:
        path = await audience(api, "FIRST_NAME", "AGE")
        text = f'E-Mail,First Name,AGE,City,Tags\r\n{ANT},"Ant, \n the 1st",7,Ulm,vip;new\r\n'
        done = await imported(api, path, text, mapping='{"City": "properties.city"}')
        assert done["status"] == "completed"
        assert done["counts"]["inserted"] == 0
        [(_, row, field, code, _)] = [
            (one[1], one[0], one[2], one[3], one[4]) for one in (await errors(api, done["id"]))[1:]
        ]
        assert (row, field, code) == ("1", "fields.FIRST_NAME", "invalid_value")
        done = await imported(
            api, path, text.replace("\n the", "the"), mapping='{"City": "properties.city"}'
        )
        assert done["counts"]["inserted"] == 1
        assert (await members(api, path))[ANT]["fields"] == {"FIRST_NAME": "Ant, the 1st", "AGE": 7}
        contact = await ok(api.client.get(f"{CONTACTS}/{ANT}"))
        assert (contact["properties"], contact["tags"]) == ({"city": "Ulm"}, ["new", "vip"])
        assert spooled(api) == []

    @pytest.mark.parametrize(
        ("encoding", "codec"),
        [
            ("", "utf-8"),
            ("", "utf-8-sig"),
            ("", "utf-16"),
            ("utf-8", "utf-8-sig"),
            ("utf-16", "utf-16"),
            ("latin-1", "latin-1"),
            ("cp1252", "cp1252"),
        ],
    )
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    async def test_encodings_and_delimiters(
        self, api: Api, encoding: str, codec: str, delimiter: str
    ) -> None:
        path = await audience(api)
        text = f"email,name\n{ANT},Käfer Größe\n\n{BEE},é\n".replace(",", delimiter)
        done = await imported(api, path, text.encode(codec), encoding=encoding)
        assert done["counts"]["inserted"] == 2
        assert (await members(api, path))[ANT]["name"] == "Käfer Größe"

    async def test_what_cannot_be_decoded_is_refused_by_its_row(self, api: Api) -> None:
        path = await audience(api)
        text = f"email,name\n{ANT},Ant\n{BEE},Käfer\n{ELK},Elk\n"
        done = await imported(api, path, text.encode("latin-1"))
        assert done["counts"] == {
            "received": 3,
            "inserted": 2,
            "updated": 0,
            "skipped": 0,
            "failed": 1,
        }
        assert [one[:4] for one in (await errors(api, done["id"]))[1:]] == [
            ["2", "", "", "undecodable"]
        ]

    async def test_errors_are_no_formulas(self, api: Api) -> None:
        path = await audience(api)
        done = await imported(api, path, "email\n=1+1\n+cmd\n")
        assert done["errors_url"] == f"{IMPORTS}/{done['id']}/errors"
        assert [one[1] for one in (await errors(api, done["id"]))[1:]] == ["'=1+1", "'+cmd"]

    async def test_a_row_with_broken_quotes_costs_no_other_file(self, api: Api) -> None:
        path = await audience(api)
        huge = "x" * 200_000
        done = await imported(api, path, f'email,name\n{ANT},"{huge}"\n{BEE},Bee\n')
        assert (done["counts"]["failed"], done["counts"]["inserted"]) == (1, 1)
        assert BEE in await members(api, path)

    async def test_a_line_without_an_end_fails_the_import(self, api: Api) -> None:
        path = await audience(api)
        done = await imported(api, path, f"email\n{ANT}\n" + "x" * 1_100_000)
        assert done["status"] == "failed"
        assert done["problem"] == "Line 3 is longer than 1000000 characters."

    async def test_statuses(self, api: Api) -> None:
        path = await audience(api)
        text = f"email,status\n{ANT},Unsubscribed\n{BEE},\n{ELK},happy\n"
        done = await imported(api, path, text, status="unconfirmed")
        assert done["counts"]["failed"] == 1
        found = {email: one["status"] for email, one in (await members(api, path)).items()}
        assert found == {ANT: "unsubscribed", BEE: "unconfirmed"}

    async def test_who_has_left_stays_away(self, api: Api) -> None:
        path = await audience(api)
        await ok(api.client.post("/v1/suppressions", {"email": ANT, "reason": "complaint"}))
        await ok(api.client.post(f"{path}/contacts", {"email": BEE}))
        await ok(api.client.post(f"{path}/contacts/{BEE}/unsubscribe"))
        await imported(api, path, f"email,status\n{ANT},subscribed\n{BEE},subscribed\n")
        found = {email: one["status"] for email, one in (await members(api, path)).items()}
        assert found == {ANT: "complained", BEE: "unsubscribed"}

    async def test_json_in_the_background(self, api: Api) -> None:
        path = await audience(api, "AGE")
        rows: list[Any] = [{"email": f"c{number}@example.net"} for number in range(1200)]
        rows += [{"email": "no"}, "x"]
        made = await ok(api.client.post(f"{path}/imports", {"contacts": rows}), 202)
        assert (made["status"], made["progress"]) == ("queued", 0)
        async with working(api):
            done = await finished(api, made["id"])
        assert (done["counts"]["inserted"], done["counts"]["failed"]) == (1200, 2)
        assert done["progress"] == 100
        assert (await ok(api.client.get(path)))["counts"] == {"subscribed": 1200}

    async def test_canceled_before_its_turn(self, api: Api) -> None:
        path = await audience(api)
        made = (await upload(api.client, path, f"email\n{ANT}\n")).json
        ended = await ok(api.client.delete(f"{IMPORTS}/{made['id']}"))
        assert ended["status"] == "canceled"
        again = await ok(api.client.post(f"{IMPORTS}/{made['id']}/cancel"))
        assert again == ended
        async with working(api):
            await finished(api, made["id"])
        assert await members(api, path) == {}
        assert spooled(api) == []

    async def test_an_audience_that_is_gone(self, api: Api) -> None:
        path = await audience(api)
        made = (await upload(api.client, path, f"email\n{ANT}\n")).json
        await ok(api.client.delete(path))
        async with working(api):
            done = await finished(api, made["id"])
        assert (done["status"], done["problem"]) == ("failed", "The audience was deleted.")

    async def test_deleting_a_contact_erases_it_from_errors(self, api: Api) -> None:
        path = await audience(api, "AGE")
        done = await imported(api, path, f"email,AGE\n{ANT},4\n{ANT},x\n{BEE},x\n")
        await ok(api.client.delete(f"{CONTACTS}/{ANT}"))
        assert [one[1] for one in (await errors(api, done["id"]))[1:]] == [BEE]

    async def test_the_same_upload_again_is_one_import(self, api: Api) -> None:
        path, key = await audience(api), {"Idempotency-Key": "one"}
        first = await upload(api.client, path, f"email\n{ANT}\n", key)
        again = await upload(api.client, path, f"email\n{ANT}\n", key)
        other = await upload(api.client, path, f"email\n{BEE}\n", key)
        assert (first.status, again.status, other.status) == (202, 202, 422)
        assert again.json == first.json
        assert len(spooled(api)) == 1

    @pytest.mark.parametrize(
        ("file", "fields", "field", "code"),
        [
            (None, {}, "", "invalid_form"),
            (b"", {}, "file", "no_email_column"),
            (b"name\nx\n", {}, "file", "no_email_column"),
            (b'"' + b"\n" * 30_000, {}, "file", "no_email_column"),
            (b'"' + b"x" * 200_000, {}, "file", "no_email_column"),
            (b"email,mail\n", {}, "mapping", "duplicate_column"),
            (b"email\n", {"mapping": "{"}, "mapping", "invalid_value"),
            (b"email\n", {"mapping": "[]"}, "mapping", "invalid_value"),
            (b"email\n", {"mapping": '{"email": 5}'}, "mapping", "invalid_value"),
            (b"email\n", {"mapping": '{"x": "name"}'}, "mapping", "unknown_column"),
            (b"email,x\n", {"mapping": '{"x": "CITY"}'}, "mapping", "unknown_field"),
            (b"email\n", {"encoding": "rot13"}, "encoding", "invalid_value"),
            (b"email\n", {"delimiter": "x"}, "delimiter", "invalid_value"),
            (b"email\n", {"mode": "x"}, "mode", "invalid_value"),
            (b"email\n", {"more": "x"}, "more", "unknown_field"),
            ("emäil,x\n".encode("latin-1"), {}, "encoding", "undecodable"),
            (b"email\n", {"mapping": "x" * 70_000}, "", "invalid_form"),
        ],
    )
    async def test_bad_input(
        self, api: Api, file: bytes | None, fields: dict[str, str], field: str, code: str
    ) -> None:
        reply = await upload(api.client, await audience(api), file, **fields)
        assert reply.status == 422, reply.body
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [(field, code)]
        assert spooled(api) == []

    @pytest.mark.parametrize(
        ("media", "body"),
        [
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=" + "x" * 100, b"x"),
            (f"multipart/form-data; boundary={BOUNDARY}", b"not a form"),
            (f"multipart/form-data; boundary={BOUNDARY}", form(b"email\n", {})[:-10]),
            (f"multipart/form-data; boundary={BOUNDARY}", b"--a-boundary\r\n\r\nx\r\n"),
        ],
    )
    async def test_forms_that_are_none(self, api: Api, media: str, body: bytes) -> None:
        path = await audience(api)
        reply = await api.client.request(
            "POST", f"{path}/imports", body=body, headers={"Content-Type": media}
        )
        assert (reply.status, reply.json["errors"][0]["code"]) == (422, "invalid_form")
        assert spooled(api) == []

    async def test_other_media_types(self, api: Api) -> None:
        path = await audience(api)
        for media in ("text/csv", "application/x-www-form-urlencoded"):
            reply = await api.client.request(
                "POST", f"{path}/imports", body=b"email\n", headers={"Content-Type": media}
            )
            assert reply.status == 415

    async def test_large_files_are_not_held_in_memory(self, api: Api) -> None:
        """The limit on bodies is for those that are read whole; JSON is one of them."""
        api = api.with_settings(api=api.settings.api)
        path = await audience(api)
        size = api.settings.api.max_body_size
        text = b"email,name\n" + b"ant@example.net,Ant\n" * (size // 20 + 10)
        reply = await upload(api.client, path, text)
        assert reply.status == 202
        body = json.dumps({"contacts": ["x" * size]}).encode()
        reply = await api.client.request(
            "POST",
            f"{path}/imports",
            body=body,
            headers={"Content-Type": "application/json"},
        )
        assert reply.status == 413


async def test_an_upload_that_breaks_off_leaves_nothing(api: Api) -> None:
    path = await audience(api)
    body = form(b"email\n" + b"ant@example.net\n" * 1000, {})

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:5000]
        raise ConnectionResetError

    media = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    reply = await api.client.request("POST", f"{path}/imports", body=pieces(), headers=media)
    assert reply.status == 500
    assert spooled(api) == []
    assert api.count("imports") == 0


class TestLists:
    async def test_by_audience_and_page(self, api: Api) -> None:
        one, other = await audience(api), await audience(api)
        made = [
            (await ok(api.client.post(f"{path}/imports", {"contacts": []}), 202))["id"]
            for path in (one, one, other)
        ]
        for query, expected in (
            ("", made[::-1]),
            (f"audience_id={one.rpartition('/')[2]}", made[1::-1]),
            ("limit=1", made[:1:-1]),
            ("limit=1&page=2", [made[1]]),
            (f"after={made[1]}", made[:1]),
            (f"before={made[1]}", made[2:]),
        ):
            found = await ok(api.client.get(f"{IMPORTS}?{query}"))
            assert [item["id"] for item in found["data"]] == expected, query
        reply = await api.client.get(f"{IMPORTS}?audience_id=aud_x")
        assert reply.json["errors"][0]["code"] == "unknown_audience"

    async def test_only_so_many_wait(self, api: Api) -> None:
        path = await audience(api)
        for _ in range(MAX_OPEN):
            await ok(api.client.post(f"{path}/imports", {"contacts": []}), 202)
        reply = await api.client.post(f"{path}/imports", {"contacts": []})
        assert (reply.status, reply.json["code"]) == (429, "too_many_imports")
        assert len(spooled(api)) == MAX_OPEN

    async def test_other_tenants_see_nothing(self, api: Api) -> None:
        path = await audience(api)
        made = (await upload(api.client, path, f"email\n{ANT}\n")).json["id"]
        other = api.client_with(api.new_key(tenant_id=2))
        assert (await ok(other.get(IMPORTS)))["data"] == []
        for method, target in (
            ("GET", f"{IMPORTS}/{made}"),
            ("GET", f"{IMPORTS}/{made}/errors"),
            ("DELETE", f"{IMPORTS}/{made}"),
            ("POST", f"{IMPORTS}/{made}/cancel"),
        ):
            assert (await other.request(method, target)).status == 404
        assert (await upload(other, path, f"email\n{BEE}\n")).status == 404
        assert (await other.post(f"{path}/imports", {"contacts": []})).status == 404
        assert (await ok(api.client.get(f"{IMPORTS}/{made}")))["status"] == "queued"

    async def test_a_key_without_the_scope_reads_only(self, api: Api) -> None:
        path = await audience(api)
        client = api.client_with(api.new_key(access=Access(scopes=("contacts:read",))))
        assert (await client.get(IMPORTS)).status == 200
        assert (await client.post(f"{path}/imports", {"contacts": []})).status == 403
