"""A look as JSON and back, and the zone file."""

from __future__ import annotations

import dns.rdatatype
import dns.zone

from mta.core.domain_check import Alignment, DomainReport, Finding, Status
from mta.core.domain_records import DkimKey, DomainFacts, Instance, wanted_records
from mta.core.domain_report import finding_json, last_findings, report_json, zone_file
from mta.core.json_text import decode, encode

DOMAIN = DomainFacts(
    "a.test",
    (DkimKey("s1", "rsa-sha256", "A" * 392),),
    return_path="bounce.a.test",
    tracking_host="t.a.test",
)
INSTANCE = Instance("mta.b.test", tracking_target="links.b.test")
WANTED = wanted_records(DOMAIN, INSTANCE)


def test_a_report_survives_storage() -> None:
    findings = tuple(
        Finding(wanted, status, ("x",), "do it", "lost" if status is Status.UNREACHABLE else "")
        for wanted, status in zip(WANTED, 2 * list(Status), strict=False)
    )
    report = DomainReport(findings, Alignment("none", False, True, True, None))
    kept = decode(encode(report_json(report)))
    assert isinstance(kept, dict)
    assert last_findings(WANTED, kept) == findings
    assert kept["alignment"] == {
        "policy": "none",
        "dkim": {"mode": "relaxed", "aligned": True},
        "spf": {"mode": "strict", "aligned": None},
    }


def test_a_record_that_is_wanted_anew_has_not_been_looked_at() -> None:
    kept = report_json(DomainReport(tuple(Finding(one, Status.GOOD) for one in WANTED)))
    moved = wanted_records(DOMAIN, Instance("other.b.test", tracking_target="links.b.test"))
    states = [finding.status for finding in last_findings(moved, kept)]
    assert states.count(Status.NOT_CHECKED) == 3  # both SPF records and the MX
    assert {finding.status for finding in last_findings(WANTED, {})} == {Status.NOT_CHECKED}


def test_the_json_of_a_record() -> None:
    shown = finding_json(Finding(WANTED[3], Status.WRONG, ("10 x.test",), "replace it"))
    assert shown == {
        "record": "Return-Path",
        "type": "MX",
        "name": "bounce.a.test",
        "value": "mta.b.test",
        "ttl": 3600,
        "priority": 10,
        "required": False,
        "status": "wrong",
        "found": ["10 x.test"],
        "advice": "replace it",
    }


def test_the_zone_file_is_one() -> None:
    text = zone_file(DOMAIN, last_findings(WANTED, {}))
    zone = dns.zone.from_text(
        f"@ 60 IN SOA ns. host. 1 1 1 1 1\n@ 60 IN NS ns.\n{text}", origin="a.test."
    )
    [key] = zone.find_rdataset("s1._domainkey", dns.rdatatype.TXT)
    assert b"".join(key.strings).decode() == WANTED[0].value
    [mx] = zone.find_rdataset("bounce", dns.rdatatype.MX)
    assert (mx.preference, mx.exchange.to_text()) == (10, "mta.b.test.")
    [alias] = zone.find_rdataset("t", dns.rdatatype.CNAME)
    assert alias.target.to_text() == "links.b.test."
    assert len(zone.nodes) == 5


def test_the_zone_file_leaves_what_is_there_alone() -> None:
    findings = [
        Finding(WANTED[1], Status.WRONG, ("v=spf1 -all",), "add a:mta.b.test before its last term"),
        Finding(WANTED[2], Status.GOOD, ("v=DMARC1; p=reject",)),
        Finding(WANTED[3], Status.GOOD, ("10 mta.b.test",)),
    ]
    assert zone_file(DOMAIN, findings).splitlines()[2:] == [
        "; a.test has such a record already: add a:mta.b.test before its last term",
        '; a.test. 3600 IN TXT "v=spf1 a:mta.b.test ~all"',
        "; _dmarc.a.test has such a record already, which serves",
        '; _dmarc.a.test. 3600 IN TXT "v=DMARC1; p=none"',
        "bounce.a.test. 3600 IN MX 10 mta.b.test.",
    ]


def test_the_zone_file_holds_only_names_of_the_domain() -> None:
    shared = wanted_records(
        DomainFacts("a.test"), Instance("mta.b.test", reports_domain="r.b.test")
    )
    assert "r.b.test" not in zone_file(DomainFacts("a.test"), last_findings(shared, {}))


def test_what_the_operator_has_to_publish_says_so() -> None:
    shared = wanted_records(
        DomainFacts("a.test"), Instance("mta.b.test", reports_domain="r.b.test")
    )
    shown = [finding_json(finding) for finding in last_findings(shared, {})]
    assert [one["record"] for one in shown if one.get("managed_by") == "operator"] == [
        "Return-Path",
        "Return-Path",
    ]
