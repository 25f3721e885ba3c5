"""A sender domain from adding it to signing with its next key, in a DNS zone on loopback.

`mta serve` runs for real; the zone is what its own zone file says, so that what is to be pasted and
what is looked for cannot differ.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dns.rdatatype
import dns.zone
import pytest

from tests.support.engine import Engine, configuration, running
from tests.support.fake_dns import FakeDns, Fault, Records
from tests.support.http_receiver import HttpReceiver

NAME = "sender.test"
PATH = f"/v1/domains/{NAME}"
SERVER: Mapping[str, Records] = {
    "mta.sender.test": {"A": ["192.0.2.25"], "AAAA": ["2001:db8::25"]},
}
MAIL = b"From: app@sender.test\r\nTo: x\r\nSubject: s\r\n\r\nbody\r\n"


def zone_of(text: str) -> dict[str, Records]:
    """Return what a nameserver has once this is pasted into the zone, read by dnspython."""
    head = "@ 60 IN SOA ns. host. 1 1 1 1 1\n@ 60 IN NS ns.\n"
    zone = dns.zone.from_text(head + text, origin=f"{NAME}.", relativize=False)
    found: dict[str, dict[str, list[str]]] = {}
    for name, ttl, record in zone.iterate_rdatas():
        kind = dns.rdatatype.to_text(record.rdtype)
        if kind not in {"SOA", "NS"}:
            assert ttl == 3600
            types = found.setdefault(name.to_text().removesuffix("."), {})
            types.setdefault(kind, []).append(record.to_text())
    return {**found, **SERVER}


def config_for(*servers: FakeDns, extra: str = "") -> str:
    return configuration(
        nameservers=[f"{server.endpoint[0]}:{server.endpoint[1]}" for server in servers],
        extra=extra,
    )


async def add(engine: Engine) -> dict[str, Records]:
    """Add the domain with all that it can have; return the zone that its zone file makes."""
    code, _, errors = await engine.mta("domain", "add", NAME)
    assert code == 0, errors
    code, _, errors = await engine.mta(
        *("domain", "set", NAME, "--return-path", "bounce", "--tracking-host", "links")
    )
    assert code == 0, errors
    code, text, errors = await engine.mta("domain", "zonefile", NAME)
    assert code == 0, errors
    zone = zone_of(text)
    zone[f"_mta-sts.{NAME}"] = {"TXT": ['"v=STSv1; id=1"']}
    zone[f"_smtp._tls.{NAME}"] = {"TXT": ['"v=TLSRPTv1; rua=mailto:tls@sender.test"']}
    return zone


async def verify(engine: Engine) -> Any:
    answer = await engine.call("POST", f"{PATH}/verify")
    assert answer.status == 200, answer.body
    return answer.body


def states(found: Any) -> dict[tuple[str, str, str], str]:
    """Return (what for, type, name below the domain) -> status of each record and note."""
    shown = found["records"] + found["notes"]
    return {
        (one["record"], one["type"], one["name"].removesuffix(NAME).rstrip(".")): one["status"]
        for one in shown
    }


def txt(text: str) -> Records:
    return {"TXT": [f'"{text}"']}


RSA = ("DKIM", "TXT", "mta1._domainkey")
ED25519 = ("DKIM", "TXT", "mta1-ed25519._domainkey")
SPF = ("SPF", "TXT", "")
DMARC = ("DMARC", "TXT", "_dmarc")
PATH_MX, PATH_SPF = ("Return-Path", "MX", "bounce"), ("Return-Path", "TXT", "bounce")
TRACKING = ("Tracking", "CNAME", "links")
MTA_STS, TLS_RPT = ("MTA-STS", "TXT", "_mta-sts"), ("TLS-RPT", "TXT", "_smtp._tls")
WRONG: Mapping[tuple[str, str, str], Records | None] = {
    RSA: txt("v=DKIM1; k=rsa; p=AAAA"),
    ED25519: txt("v=DKIM1; k=ed25519; p="),
    SPF: txt("v=spf1 include:_spf.elsewhere.test -all"),
    DMARC: txt("v=DMARC1; p=maybe"),
    PATH_MX: {"MX": ["10 mx.elsewhere.test."], "TXT": ['"v=spf1 a:mta.sender.test ~all"']},
    PATH_SPF: {"MX": ["10 mta.sender.test."], "TXT": ['"v=spf1 ip4:198.51.100.1 -all"']},
    TRACKING: {"CNAME": ["www.elsewhere.test."]},
    MTA_STS: None,  # a note is good or missing: it is about mail to the domain
    TLS_RPT: None,
}


async def test_every_record_is_seen_good_missing_wrong_and_unreachable(tmp_path: Path) -> None:
    async with FakeDns({}) as server, running(tmp_path, config_for(server)) as engine:
        good = await add(engine)
        table: dict[tuple[str, str, str], dict[str, str]] = {}
        seen = states(await verify(engine))
        assert seen.keys() == WRONG.keys()
        assert set(seen.values()) == {"missing", "unreachable"} or set(seen.values()) == {"missing"}
        server.records = dict(good)
        for record, status in states(await verify(engine)).items():
            table[record] = {"good": status}
        for record, wrong in WRONG.items():
            name = f"{record[2]}.{NAME}".removeprefix(".")
            for case, there in (
                ("missing", None),
                ("wrong", wrong),
                ("unreachable", Fault.SERVFAIL),
            ):
                server.records = {**good, name: there} if there else _without(good, name)
                seen = states(await verify(engine))
                table[record][case] = seen.pop(record)
                others = {other for other, status in seen.items() if status != "good"}
                assert others <= {PATH_MX, PATH_SPF}, (record, case, others)
        for record, cases in table.items():
            print(" ".join(record).ljust(40), *(f"{k}:{v}" for k, v in cases.items()))  # noqa: T201
    for record, cases in table.items():
        wrong_is = "wrong" if WRONG[record] else "missing"
        assert cases == {
            "good": "good",
            "missing": "missing",
            "wrong": wrong_is,
            "unreachable": "unreachable",
        }, record


def _without(zone: Mapping[str, Records], name: str) -> dict[str, Records]:
    return {other: records for other, records in zone.items() if other != name}


async def test_command_line_and_api_say_the_same(tmp_path: Path) -> None:
    async with FakeDns({}) as server, running(tmp_path, config_for(server)) as engine:
        server.records = await add(engine)
        server.records[f"_dmarc.{NAME}"] = Fault.REFUSED
        by_api = await verify(engine)
        code, text, errors = await engine.mta("domain", "verify", NAME, "--json")
        assert code == 0, errors
        by_hand = json.loads(text)
        assert states(by_hand) == states(by_api)
        assert by_hand["records"] == by_api["records"]
        assert by_api["verified"] is True
        assert by_api["records"][3]["error"]


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.TIMEOUT])
async def test_mail_of_a_verified_domain_outlives_a_dns_in_trouble(
    tmp_path: Path, fault: Fault
) -> None:
    async with FakeDns({}) as server:
        text = config_for(server).replace("verified_domain = false", "verified_domain = true")
        async with running(tmp_path, text) as engine:
            server.records = await add(engine)
            body = {"from": "app@sender.test", "to": "x@dest.test", "subject": "s", "text": "t"}
            refused = await engine.call("POST", "/v1/emails", body)
            assert refused.status in {403, 422}
            await verify(engine)
            server.records = dict.fromkeys(server.records, fault)
            for _ in range(2):
                found = await verify(engine)
                assert (found["status"], found["records"][0]["status"]) == (
                    "verified",
                    "unreachable",
                )
            assert (await engine.call("POST", "/v1/emails", body)).status == 200


async def test_looks_go_on_by_themselves_and_the_app_is_told(tmp_path: Path) -> None:
    extra = (
        '[domains]\ncheck_interval = "200ms"\n[webhooks]\nallow_private_targets = ["127.0.0.0/8"]'
    )
    async with FakeDns({}) as server, HttpReceiver() as receiver:
        extra += f"\nallow_ports = [{receiver.port}]"
        async with (
            running(tmp_path, config_for(server, extra=extra)) as engine,
            engine.journal() as until,
        ):
            hook = {"url": receiver.url, "events": ["domain.verified", "domain.failed"]}
            answer = await engine.call("POST", "/v1/webhooks", hook)
            assert answer.status == 200, answer.body
            server.records = await add(engine)
            [event] = await until(kind="domain_verified")
            assert event["data"]["name"] == NAME
            del server.records[f"mta1._domainkey.{NAME}"]
            await until(kind="domain_failed")
            told = [json.loads(one.body) for one in await receiver.wait_for(2)]
            shown = await engine.call("GET", PATH)
    assert [one["type"] for one in told] == ["domain.verified", "domain.failed"]
    assert told[1]["data"]["status"] == "failed"
    assert [r["status"] for r in told[1]["data"]["records"][:2]] != ["good", "good"]
    assert (shown.body["status"], shown.body["verified"]) == ("failed", False)


async def test_the_next_key_signs_once_every_nameserver_has_it(tmp_path: Path) -> None:
    async with FakeDns({}) as first, FakeDns({}) as second:
        config = config_for(first, second, extra='[domains]\ncheck_interval = "200ms"')
        async with running(tmp_path, config) as engine:
            first.records = dict(await add(engine))
            second.records = dict(first.records)
            await verify(engine)
            rotating = await engine.call("POST", f"{PATH}/dkim/rotate")
            assert [key["state"] for key in rotating.body["dkim"]] == [
                "active",
                "active",
                "next",
                "next",
            ]
            _, text, _ = await engine.mta("domain", "zonefile", NAME)
            lines = [line for line in text.splitlines() if line.startswith("mta2")]
            first.records.update(zone_of("\n".join(lines)))
            half = await verify(engine)
            assert {key["state"] for key in half["dkim"]} == {"active", "next"}
            assert "1 of 2 DNS servers" in json.dumps(half)
            second.records.update(first.records)
            async with asyncio.timeout(20):
                while {key["state"] for key in half["dkim"]} != {"active", "retired"}:
                    half = (await engine.call("GET", PATH)).body
    assert [key["selector"] for key in half["dkim"] if key["state"] == "active"] == [
        "mta2",
        "mta2-ed25519",
    ]
