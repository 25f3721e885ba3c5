"""Audiences that are named by what their owner calls them elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from tests.control_api.conftest import Api


async def test_a_reference_is_as_good_as_the_id(api: Api) -> None:
    made = (await api.client.post("/v1/audiences", {"name": "News", "reference": "42"})).json
    assert made["reference"] == "42"
    assert (await api.client.get("/v1/audiences/42")).json["id"] == made["id"]
    joined = await api.client.post("/v1/audiences/42/contacts", {"email": "ant@example.net"})
    assert joined.json["audience_id"] == made["id"]
    listed = await api.client.get("/v1/contacts?audience_id=42")
    assert [one["email"] for one in listed.json["data"]] == ["ant@example.net"]
    await api.client.delete("/v1/audiences/42")
    assert (await api.client.get("/v1/audiences/42")).status == 404
    assert (await api.client.post("/v1/audiences", {"name": "N", "reference": "42"})).status == 200


async def test_no_two_audiences_of_a_tenant_have_the_same(api: Api) -> None:
    wish = {"name": "News", "reference": "42"}
    await api.client.post("/v1/audiences", wish)
    again = await api.client.post("/v1/audiences", wish)
    assert (again.status, again.json["code"]) == (409, "already_exists")
    other = api.client_with(api.new_key(tenant_id=2))
    assert (await other.get("/v1/audiences/42")).status == 404
    assert (await other.post("/v1/audiences", wish)).status == 200


@pytest.mark.parametrize("reference", ["aud_1", "a/b", "x" * 101, 42, "a\nb"])
async def test_what_a_reference_cannot_be(api: Api, reference: Any) -> None:
    reply = await api.client.post("/v1/audiences", {"name": "News", "reference": reference})
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "reference")


async def test_audiences_without_one_are_not_found_by_nothing(api: Api) -> None:
    made = (await api.client.post("/v1/audiences", {"name": "News"})).json
    assert made["reference"] is None
    assert (await api.client.get("/v1/audiences/%20")).status == 404
