"""Pages of every list: by number and by cursor, with the same items in the same order."""

from __future__ import annotations

from typing import Any

import pytest

from control_api.app import ROUTES
from control_api.fields import Fields
from control_api.paging import MAX_NUMBERED, MAX_OFFSET, Page, read_page
from tests.control_api.conftest import EMAIL, Api

SEVEN = [f"bee{number}@example.net" for number in range(7)]


async def ok(reply: Any) -> Any:
    found = await reply
    assert found.status == 200, found.json
    return found.json


async def _emails(api: Api) -> str:
    for address in SEVEN:
        await ok(api.client.post("/v1/emails", EMAIL | {"to": address}))
    return "/v1/emails"


async def _events(api: Api) -> str:
    made = await ok(api.client.post("/v1/emails", EMAIL | {"to": SEVEN}))
    return f"/v1/emails/{made['id']}/events"


async def _contacts(api: Api) -> str:
    await ok(api.client.post("/v1/contacts/batch", {"contacts": [{"email": e} for e in SEVEN]}))
    return "/v1/contacts"


async def _members(api: Api) -> str:
    made = await ok(api.client.post("/v1/audiences", {"name": "News"}))
    path = f"/v1/audiences/{made['id']}/contacts"
    await ok(api.client.post(path, {"contacts": [{"email": e} for e in SEVEN]}))
    return path


async def _audiences(api: Api) -> str:
    for address in SEVEN:
        await ok(api.client.post("/v1/audiences", {"name": address}))
    return "/v1/audiences"


async def _templates(api: Api) -> str:
    for address in SEVEN:
        await ok(api.client.post("/v1/templates", {"name": address, "text": "Hi"}))
    return "/v1/templates"


async def _suppressions(api: Api) -> str:
    await ok(api.client.post("/v1/suppressions", {"emails": SEVEN}))
    return "/v1/suppressions"


async def _keys(api: Api) -> str:
    for _ in range(6):
        api.new_key()
    return "/v1/api-keys"


LISTS = (
    _emails,
    _events,
    _contacts,
    _members,
    _audiences,
    _templates,
    _suppressions,
    _keys,
)


@pytest.mark.parametrize("fill", LISTS, ids=[fill.__name__[1:] for fill in LISTS])
async def test_pages_by_number_are_the_list_in_parts(api: Api, fill: Any) -> None:
    path = await fill(api)
    whole = await ok(api.client.get(f"{path}?limit=100"))
    pages = [await ok(api.client.get(f"{path}?limit=3&page={page}")) for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [3, 3, 1, 0]
    assert [one for page in pages for one in page["data"]] == whole["data"]
    assert [page["has_more"] for page in pages] == [True, True, False, False]


@pytest.mark.parametrize("fill", [_emails, _contacts, _members, _suppressions])
async def test_the_total_is_that_of_the_whole_list(api: Api, fill: Any) -> None:
    path = await fill(api)
    page = await ok(api.client.get(f"{path}?limit=2&page=2&include=total"))
    assert (page["total"], len(page["data"])) == (7, 2)


async def test_the_total_of_members_is_of_those_that_are_asked_for(api: Api) -> None:
    path = await _members(api)
    await ok(api.client.post(f"{path}/{SEVEN[0]}/unsubscribe"))
    left = await ok(api.client.get(f"{path}?status=subscribed&include=total"))
    assert left["total"] == 6


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=-1", "page"),
        ("page=1&limit=501", "limit"),
        ("limit=101", "limit"),  # without a number a page has 100 at most
        ("page=201&limit=500", "page"),
        ("page=2&after=ct_01KJMQ0R000000000000000001", "page"),
        ("page=1&before=ct_01KJMQ0R000000000000000001", "page"),
    ],
)
async def test_what_no_page_can_be_is_refused(api: Api, query: str, field: str) -> None:
    reply = await api.client.get(f"/v1/contacts?{query}")
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, field)


def test_the_last_page_with_a_number_ends_at_the_bound() -> None:
    fields = Fields({"page": str(MAX_OFFSET // MAX_NUMBERED), "limit": str(MAX_NUMBERED)}, [])
    assert read_page(fields).skip == MAX_OFFSET - MAX_NUMBERED
    assert fields.errors == []


def test_what_storage_has_skipped_is_not_skipped_again() -> None:
    page = Page(2, "", "", skip=4)
    by_storage = page.render([4, 5, 6], str, skipped=4)
    assert by_storage == page.render(list(range(7)), str)
    assert by_storage == {"object": "list", "data": ["4", "5"], "has_more": True}


def test_every_list_with_cursors_takes_page_numbers() -> None:
    for route in ROUTES:
        names = {one.name for one in route.spec.parameters}
        if {"after", "before"} <= names:
            assert "page" in names, route.path
