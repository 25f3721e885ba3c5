"""A look at the records of a domain in a DNS that is right, lacking, wrong or silent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from mta.core.domain_check import Alignment, DomainReport, Finding, Status
from mta.core.domain_records import DkimKey, DomainFacts, Instance, KeyState
from mta.domain_lookup import look_at
from mta.resolver import Resolver
from tests.support.fake_dns import FakeDns, Fault, Records

INSTANCE = Instance(
    "mta.b.test", spf_include="_spf.b.test", tracking_target="links.b.test", reports_domain=""
)
DOMAIN = DomainFacts(
    "a.test",
    (DkimKey("s1", "rsa-sha256", "AAAA"), DkimKey("s2", "ed25519-sha256", "BBBB")),
    return_path="bounce.a.test",
    tracking_host="t.a.test",
)
ZONE: Mapping[str, Records] = {
    "mta.b.test": {"A": ["192.0.2.25"], "AAAA": ["2001:db8::25"]},
    "_spf.b.test": {"TXT": ['"v=spf1 ip4:192.0.2.25 ip6:2001:db8::25 -all"']},
    "links.b.test": {"A": ["192.0.2.80"]},
    "s1._domainkey.a.test": {"TXT": ['"v=DKIM1; k=rsa; " "p=AAAA"']},
    "s2._domainkey.a.test": {"CNAME": ["keys.b.test."]},  # delegated
    "keys.b.test": {"TXT": ['"v=DKIM1; k=ed25519; p=BBBB"']},
    "a.test": {"TXT": ['"site=1"', '"v=spf1 include:_spf.b.test ~all"']},
    "_dmarc.a.test": {"TXT": ['"v=DMARC1; p=quarantine; aspf=s"']},
    "bounce.a.test": {"MX": ["10 mta.b.test."], "TXT": ['"v=spf1 a:mta.b.test -all"']},
    "t.a.test": {"CNAME": ["links.b.test."]},
    "_mta-sts.a.test": {"TXT": ['"v=STSv1; id=1"']},
    "_smtp._tls.a.test": {"TXT": ['"v=TLSRPTv1; rua=mailto:x@a.test"']},
}


async def look(
    changes: Mapping[str, Records | None],
    *,
    domain: DomainFacts = DOMAIN,
    instance: Instance = INSTANCE,
    patience: timedelta = timedelta(seconds=5),
) -> DomainReport:
    """Look at the domain in the zone with these changes; None takes a name out."""
    zone = {name: found for name, found in {**ZONE, **changes}.items() if found is not None}
    async with FakeDns(zone) as dns:
        return await look_at(domain, instance, resolver(dns), patience)


def resolver(*servers: FakeDns, timeout: float = 2.0) -> Resolver:
    return Resolver(
        [server.endpoint for server in servers],
        timeout=timedelta(seconds=timeout),
        max_queries=50,
        clock=asyncio.get_running_loop().time,
    )


def bad(report: DomainReport) -> list[tuple[str, str, str]]:
    return [
        (one.wanted.kind.value, one.wanted.name, one.status.value)
        for one in report.findings
        if one.status is not Status.GOOD
    ]


async def test_a_domain_that_has_everything() -> None:
    report = await look({})
    assert bad(report) == []
    assert report.is_verified is True
    assert report.alignment == Alignment("quarantine", False, True, True, False)


DKIM1 = ("DKIM", "s1._domainkey.a.test")
SPF = ("SPF", "a.test")
DMARC = ("DMARC", "_dmarc.a.test")
PATH = ("Return-Path", "bounce.a.test")
TRACKING = ("Tracking", "t.a.test")


def text(value: str) -> Records:
    return {"TXT": [f'"{value}"']}


@pytest.mark.parametrize(
    ("name", "records", "found", "verified"),
    [
        (DKIM1[1], None, [(*DKIM1, "missing")], False),
        (DKIM1[1], text("v=DKIM1; k=rsa; p=XXXX"), [(*DKIM1, "wrong")], False),
        (DKIM1[1], Fault.SERVFAIL, [(*DKIM1, "unreachable")], None),
        (SPF[1], None, [(*SPF, "missing")], True),
        (SPF[1], text("v=spf1 mx -all"), [(*SPF, "wrong")], True),
        (SPF[1], Fault.REFUSED, [(*SPF, "unreachable")], True),
        (DMARC[1], None, [(*DMARC, "missing")], True),
        (DMARC[1], text("v=DMARC1; p=all"), [(*DMARC, "wrong")], True),
        (DMARC[1], Fault.TIMEOUT, [(*DMARC, "unreachable")], True),
        (PATH[1], None, [(*PATH, "missing")] * 2, True),
        (
            PATH[1],
            {"MX": ["10 mx.c.test."], "TXT": ['"v=spf1 ~all"']},
            [(*PATH, "wrong")] * 2,
            True,
        ),
        (PATH[1], Fault.GARBAGE, [(*PATH, "unreachable")] * 2, True),
        (TRACKING[1], None, [(*TRACKING, "missing")], True),
        (TRACKING[1], {"CNAME": ["www.c.test."]}, [(*TRACKING, "wrong")], True),
        (TRACKING[1], Fault.SERVFAIL, [(*TRACKING, "unreachable")], True),
        # What a record leads to decides too.
        ("_spf.b.test", None, [(*SPF, "wrong")], True),
        ("_spf.b.test", Fault.SERVFAIL, [(*SPF, "unreachable")], True),
        ("_mta-sts.a.test", None, [("MTA-STS", "_mta-sts.a.test", "missing")], True),
        ("_smtp._tls.a.test", None, [("TLS-RPT", "_smtp._tls.a.test", "missing")], True),
    ],
)
async def test_one_defect_is_one_finding(
    name: str, records: Records | None, found: list[tuple[str, str, str]], verified: bool | None
) -> None:
    report = await look({name: records})
    assert bad(report) == found
    assert report.is_verified is verified


async def test_no_answer_at_all_is_unreachable_within_the_patience() -> None:
    silent: dict[str, Records | None] = dict.fromkeys(ZONE, Fault.TIMEOUT)
    report = await look(silent, patience=timedelta(seconds=0.2))
    assert {one.status for one in report.findings} == {Status.UNREACHABLE}
    assert report.is_verified is None
    assert report.alignment is None


def spf_of(report: DomainReport) -> Finding:
    return next(one for one in report.findings if one.wanted.kind.value == "SPF")


async def test_the_lookups_of_spf_are_counted() -> None:
    includes = " ".join(f"include:i{number}.test" for number in range(11))
    zone: dict[str, Records | None] = {f"i{n}.test": text("v=spf1 -all") for n in range(11)}
    zone["a.test"] = text(f"v=spf1 include:_spf.b.test {includes} -all")
    finding = spf_of(await look(zone))
    assert finding.status is Status.WRONG
    assert "costs 12 DNS lookups" in finding.advice


async def test_an_egress_address_that_spf_refuses_is_named() -> None:
    instance = replace(INSTANCE, egress=("192.0.2.25", "198.51.100.7"))
    finding = spf_of(await look({}, instance=instance))
    assert finding.advice.startswith("it does not let 198.51.100.7 send; add include:_spf.b.test")


async def test_the_shared_return_path_is_looked_at_too() -> None:
    domain = replace(DOMAIN, return_path="")
    instance = replace(INSTANCE, reports_domain="r.b.test")
    report = await look({}, domain=domain, instance=instance)
    assert bad(report) == [("Return-Path", "r.b.test", "missing")] * 2
    assert report.alignment is not None
    assert report.alignment.is_spf_aligned is False


async def test_a_return_path_below_a_domain_without_dmarc_will_be_aligned() -> None:
    report = await look({"_dmarc.a.test": None})
    assert report.alignment == Alignment("", False, False, True, True)


async def test_the_next_key_has_to_be_on_every_server() -> None:
    domain = replace(DOMAIN, keys=(DkimKey("s3", "rsa-sha256", "CCCC", KeyState.NEXT),))
    name = "s3._domainkey.a.test"
    published = {**ZONE, name: text("v=DKIM1; k=rsa; p=CCCC")}
    async with FakeDns(published) as first, FakeDns(dict(ZONE)) as second:
        both = resolver(first, second)
        report = await look_at(domain, INSTANCE, both)
        assert not report.is_next_seen
        assert report.findings[0].status is Status.MISSING
        assert "1 of 2 DNS servers" in report.findings[0].advice
        second.records[name] = published[name]
        report = await look_at(domain, INSTANCE, both)  # nothing is remembered in between
        assert report.is_next_seen
        assert report.findings[0].status is Status.GOOD


async def test_without_a_next_key_none_is_seen() -> None:
    assert not (await look({})).is_next_seen
