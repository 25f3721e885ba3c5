"""The routes of domains, with an engine that only pretends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dns.zone
import pytest

from config.settings import Domains
from control_api.app import build_app
from mta.core.domain_records import KeyState
from storage import domain_checks, domains
from storage.domain_checks import CheckRules, Look
from storage.domains import DkimKeyRecord
from tests.control_api.conftest import NOW, Api
from tests.support.asgi import Client, Reply

PATH = "/v1/domains"


@dataclass
class FakeWork:
    """The engine: makes keys out of nothing, and finds in the DNS what it is told.

    Attributes:
        found: what a look finds, by what the record is for; "good" unless it is told otherwise.
        removed: selectors of the keys that were removed.
    """

    api: Api
    found: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    kicks: int = 0

    async def make_keys(self, name: str, selector: str) -> tuple[DkimKeyRecord, ...]:
        self.made.append(selector)
        return (DkimKeyRecord(selector, "rsa-sha256", f"keys/{name}/{selector}.pem", "AAAA"),)

    async def remove_keys(self, keys: Sequence[DkimKeyRecord]) -> None:
        self.removed += [key.selector for key in keys]

    def kick(self) -> None:
        self.kicks += 1

    async def verify(self, domain_id: str) -> None:
        database = self.api.database
        domain = database.read_now(lambda db: domains.get_domain(db, None, domain_id))
        assert domain is not None
        shown = (await self.api.client.get(f"{PATH}/{domain_id}")).json
        records = [
            record | {"status": self.found.get(record["record"], "good"), "found": ["x"]}
            for record in shown["records"]
        ]
        is_verified = {"good": True, "unreachable": None}.get(self.found.get("DKIM", "good"), False)
        look = Look(domain.keys, {"records": records}, is_verified, is_next_seen=True)
        rules = CheckRules(self.api.settings.domains.check_interval, key_life=NOW - NOW)
        database.write_now(
            lambda db: domain_checks.conclude(
                db, domain_id, look, rules=rules, now=self.api.clock.now
            )
        )


@pytest.fixture
def work(api: Api) -> FakeWork:
    """The engine of the application `api`, which is built anew with it."""
    work = FakeWork(api)
    api.services = replace(api.services, domain_work=work)
    api.app = build_app(api.services)
    api.client = api.client_with(api.key)
    return work


def other_tenant(api: Api) -> Client:
    return api.client_with(api.new_key(tenant_id=2))


async def add(api: Api, **fields: object) -> dict[str, Any]:
    reply = await api.client.post(PATH, {"name": "sender.example", **fields})
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


def problem(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["code"]


async def test_a_new_domain_shows_what_to_publish(api: Api, work: FakeWork) -> None:
    found = await add(api)
    assert found["id"].startswith("dom_")
    assert {name: found[name] for name in ("object", "name", "status", "verified", "tls")} == {
        "object": "domain",
        "name": "sender.example",
        "status": "not_started",
        "verified": False,
        "tls": "opportunistic",
    }
    assert found["dkim"] == [{"selector": "mta1", "algorithm": "rsa-sha256", "state": "active"}]
    assert found["records"][0] == {
        "record": "DKIM",
        "type": "TXT",
        "name": "mta1._domainkey.sender.example",
        "value": "v=DKIM1; k=rsa; p=AAAA",
        "ttl": 3600,
        "priority": None,
        "required": True,
        "status": "not_checked",
        "found": [],
        "advice": "",
        "key": "active",
    }
    assert [record["record"] for record in found["records"]] == ["DKIM", "SPF", "DMARC"]
    assert [note["record"] for note in found["notes"]] == ["MTA-STS", "TLS-RPT"]
    assert api.kicks == 1
    for name in (found["id"], "sender.example", "SENDER.example"):
        assert (await api.client.get(f"{PATH}/{name}")).json == found


async def test_all_wishes_of_a_new_domain(api: Api, work: FakeWork) -> None:
    found = await add(
        api,
        name="Grüße.example",
        dkim_selector="S1",
        return_path="bounce",
        tracking_host="t.grüße.example",
        tls="opportunistic",
    )
    assert found["name"] == "xn--gre-6ka8l.example"
    assert found["dkim"][0]["selector"] == "s1"
    assert found["return_path"] == "bounce.xn--gre-6ka8l.example"
    records = [(r["record"], r["type"], r["name"].partition(".")[0]) for r in found["records"]]
    assert records[3:] == [
        ("Return-Path", "MX", "bounce"),
        ("Return-Path", "TXT", "bounce"),
        ("Tracking", "CNAME", "t"),
    ]
    assert (await api.client.get(f"{PATH}/gr%C3%BC%C3%9Fe.example")).json["id"] == found["id"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": 7}, "name"),
        ({"name": "no domain"}, "name"),
        ({"name": "localhost"}, "name"),
        ({"name": "a..example"}, "name"),
        ({"name": "192.0.2.1"}, "name"),
        ({"name": "a.example", "dkim_selector": "a/b"}, "dkim_selector"),
        ({"name": "a.example", "dkim_selector": "../x"}, "dkim_selector"),
        ({"name": "a.example", "return_path": "bounce.b.example"}, "return_path"),
        ({"name": "a.example", "return_path": "a.example"}, "return_path"),
        ({"name": "a.example", "tracking_host": "x_y"}, "tracking_host"),
        ({"name": "a.example", "tracking_host": "x", "return_path": "x"}, "tracking_host"),
        ({"name": "a.example", "tls": "enforced"}, "tls"),
        ({"name": "a.example", "x": 1}, "x"),
        ([], ""),
    ],
)
async def test_bad_bodies(api: Api, work: FakeWork, body: object, field: str) -> None:
    reply = await api.client.post(PATH, body)
    assert problem(reply) == (422, "validation_error")
    assert reply.json["errors"][0]["field"] == field
    assert work.made == []
    assert api.count("domains") == 0


async def test_a_domain_is_added_once(api: Api, work: FakeWork) -> None:
    await add(api)
    assert problem(await api.client.post(PATH, {"name": "sender.example"})) == (
        409,
        "domain_exists",
    )
    reply = await other_tenant(api).post(PATH, {"name": "sender.example"})
    assert problem(reply) == (409, "domain_taken")
    assert "tenant" not in reply.body.decode()
    assert work.made == ["mta1"]


async def test_a_repeated_request_adds_one_domain(api: Api, work: FakeWork) -> None:
    body = {"name": "sender.example"}
    first = await api.client.post(PATH, body, idempotency_key="k1")
    again = await api.client.post(PATH, body, idempotency_key="k1")
    assert (again.status, again.json) == (200, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert api.count("domains") == 1


async def test_nobody_sees_the_domains_of_others(api: Api, work: FakeWork) -> None:
    domain_id = (await add(api))["id"]
    other = other_tenant(api)
    for name in (domain_id, "sender.example", "none.example", "bad name"):
        target = f"{PATH}/{name.replace(' ', '%20')}"
        assert problem(await other.get(target)) == (404, "not_found")
        assert problem(await other.request("PATCH", target, body=b"{}")) == (404, "not_found")
        for action in ("verify", "dkim/rotate"):
            assert problem(await other.post(f"{target}/{action}")) == (404, "not_found")
        assert problem(await other.get(f"{target}/zonefile")) == (404, "not_found")
    assert (await other.delete(f"{PATH}/{domain_id}")).json["deleted"] is True
    assert (await other.get(PATH)).json["data"] == []
    assert (await api.client.get(f"{PATH}/{domain_id}")).status == 200


async def test_pages(api: Api, work: FakeWork) -> None:
    for name in ("a.example", "b.example", "c.example"):
        await add(api, name=name)
        api.clock.advance(seconds=1)
    first = (await api.client.get(f"{PATH}?limit=2&include=total")).json
    assert [one["name"] for one in first["data"]] == ["c.example", "b.example"]
    assert (first["has_more"], first["total"]) == (True, 3)
    assert "records" not in first["data"][0]
    last = first["data"][-1]["id"]
    rest = (await api.client.get(f"{PATH}?limit=2&after={last}")).json
    assert [one["name"] for one in rest["data"]] == ["a.example"]
    assert problem(await api.client.get(f"{PATH}?x=1")) == (422, "validation_error")


async def test_hosts_are_changed_one_by_one(api: Api, work: FakeWork) -> None:
    await add(api, return_path="bounce")
    target = f"{PATH}/sender.example"

    async def patch(body: bytes) -> dict[str, Any]:
        reply = await api.client.request("PATCH", target, body=body)
        assert reply.status == 200, reply.body
        found: dict[str, Any] = reply.json
        return found

    found = await patch(b'{"tracking_host": "links"}')
    assert found["tracking_host"] == "links.sender.example"
    assert found["return_path"] == "bounce.sender.example"
    found = await patch(b'{"return_path": null}')
    assert (found["return_path"], found["tracking_host"]) == (None, "links.sender.example")
    assert await patch(b"{}") == found
    assert work.kicks == 3
    reply = await api.client.request("PATCH", target, body=b'{"name": "x.example"}')
    assert problem(reply) == (422, "validation_error")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_verifying_shows_each_record(api: Api, work: FakeWork, method: str) -> None:
    await add(api)
    target = f"{PATH}/sender.example/verify"
    work.found = {"DKIM": "missing"}
    found = (await api.client.request(method, target)).json
    assert (found["status"], found["verified"], found["dkim_configured"]) == (
        "pending",
        False,
        False,
    )
    assert [one["status"] for one in found["records"]] == ["missing", "good", "good"]
    work.found = {}
    found = (await api.client.request(method, target)).json
    assert (found["status"], found["verified"], found["dkim_configured"]) == (
        "verified",
        True,
        True,
    )
    assert found["checked_at"] == found["verified_at"] == "2026-03-01T12:00:00.000Z"
    work.found = {"DKIM": "unreachable"}
    found = (await api.client.request(method, target)).json
    assert (found["status"], found["records"][0]["status"]) == ("verified", "unreachable")


async def test_a_rotation(api: Api, work: FakeWork) -> None:
    await add(api)
    target = f"{PATH}/sender.example/dkim/rotate"
    found = (await api.client.post(target)).json
    states = {key["selector"]: key["state"] for key in found["dkim"]}
    assert states == {"mta1": "active", "mta2": "next"}
    assert [record["required"] for record in found["records"][:2]] == [True, False]
    assert (await api.client.post(target)).json == found  # not once more
    assert work.made == ["mta1", "mta2"]
    await api.client.post(f"{PATH}/sender.example/verify")
    found = (await api.client.get(f"{PATH}/sender.example")).json
    states = {key["selector"]: key["state"] for key in found["dkim"]}
    assert states == {"mta1": KeyState.RETIRED.value, "mta2": KeyState.ACTIVE.value}


@pytest.mark.parametrize("selector", ["mta1", "a_b", ""])
async def test_the_next_selector_may_be_chosen(api: Api, work: FakeWork, selector: str) -> None:
    await add(api)
    target = f"{PATH}/sender.example/dkim/rotate"
    reply = await api.client.post(target, {"dkim_selector": selector})
    if selector:
        assert problem(reply) == (422, "validation_error")
    reply = await api.client.post(target, {"dkim_selector": "autumn"})
    expected = "autumn" if selector else "mta2"
    assert {key["selector"] for key in reply.json["dkim"]} == {"mta1", expected}


async def test_the_zone_file(api: Api, work: FakeWork) -> None:
    await add(api, return_path="bounce")
    reply = await api.client.get(f"{PATH}/sender.example/zonefile")
    assert reply.headers["content-type"] == "text/plain; charset=utf-8"
    soa = "@ 60 IN SOA ns. host. 1 1 1 1 1\n@ 60 IN NS ns.\n"
    zone = dns.zone.from_text(soa + reply.body.decode(), origin="sender.example.")
    assert {str(name) for name in zone.nodes} == {"@", "mta1._domainkey", "_dmarc", "bounce"}


async def test_the_records_follow_the_settings(api: Api, work: FakeWork) -> None:
    other = api.with_settings(domains=Domains(spf_include="_spf.op.example"))
    await add(api)
    found = (await other.client.get(f"{PATH}/sender.example")).json
    assert found["records"][1]["value"] == "v=spf1 include:_spf.op.example ~all"


async def test_deleting_takes_the_keys_too(api: Api, work: FakeWork) -> None:
    domain_id = (await add(api))["id"]
    for name in ("sender.example", domain_id):
        reply = await api.client.delete(f"{PATH}/{name}")
        assert reply.status == 200
        assert reply.json["deleted"] is True
    assert work.removed == ["mta1"]
    assert api.count("dkim_keys") == 0


async def test_without_an_engine_nothing_is_promised(api: Api) -> None:
    reply = await api.client.post(PATH, {"name": "sender.example"})
    assert problem(reply) == (503, "engine_unavailable")
    assert (await api.client.get(PATH)).status == 200
