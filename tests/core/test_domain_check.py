"""The judgement of each record: good, missing, wrong, unreachable, with what to do."""

from __future__ import annotations

import pytest

from mta.core.dmarc import Walk, parse_dmarc
from mta.core.domain_check import (
    Alignment,
    DomainReport,
    Finding,
    SpfLook,
    Status,
    alignment_of,
    check_dkim,
    check_dmarc,
    check_mx,
    check_note,
    check_spf,
    check_tracking,
)
from mta.core.domain_records import (
    DkimKey,
    DomainFacts,
    Instance,
    KeyState,
    RecordKind,
    WantedRecord,
    dkim_record,
    is_selector,
    next_selector,
    wanted_records,
)
from mta.core.lookup import Answer, NoAnswer, Records
from mta.core.spf import SpfResult, Verdict

GOOD, MISSING, WRONG, UNREACHABLE = (
    Status.GOOD,
    Status.MISSING,
    Status.WRONG,
    Status.UNREACHABLE,
)
LOST = NoAnswer("SERVFAIL")
DKIM = dkim_record("a.test", DkimKey("s1", "rsa-sha256", "AAAABBBB"))
ED = dkim_record("a.test", DkimKey("s2", "ed25519-sha256", "CCCC"))
WANTED = wanted_records(
    DomainFacts("a.test", return_path="bounce.a.test", tracking_host="t.a.test"),
    Instance("mta.b.test", spf_include="_spf.b.test", tracking_target="links.b.test"),
)
SPF, DMARC, MX, _, TRACKING, MTA_STS, _ = WANTED


def records(*values: str) -> Records:
    return Records(values)


@pytest.mark.parametrize(
    ("wanted", "answer", "status", "advice"),
    [
        (DKIM, records("v=DKIM1; k=rsa; p=AAAABBBB"), GOOD, ""),
        (DKIM, records("k=rsa;p=AAAA BBBB"), GOOD, ""),  # v= may be left out, spaces may be there
        (DKIM, records("v=DKIM1; p=AAAABBBB"), GOOD, ""),  # rsa is the default
        (ED, records("v=DKIM1; p=CCCC"), WRONG, "another key"),
        (DKIM, records(), MISSING, "publish it"),
        (DKIM, records("v=DKIM1; k=rsa; p=XXXX"), WRONG, "another key"),
        (DKIM, records("v=DKIM1; k=rsa; p="), WRONG, "revokes"),
        (DKIM, records("google-site-verification=1"), WRONG, "no DKIM record"),
        (DKIM, records("v=DKIM1; k=rsa; t=y:s; p=AAAABBBB"), WRONG, "t=y"),
        (DKIM, records("v=DKIM1; k=rsa; t=s; p=AAAABBBB"), GOOD, ""),
        (DKIM, records("v=DKIM1; s=tlsrpt; p=AAAABBBB"), WRONG, "excludes email"),
        (DKIM, records("v=DKIM1; s=email:tlsrpt; p=AAAABBBB"), GOOD, ""),
        (DKIM, records("v=DKIM1; h=sha1; p=AAAABBBB"), WRONG, "sha256"),
        (DKIM, records("v=DKIM1; p=AAAABBBB", "v=DKIM1; p=XXXX"), WRONG, "keep one"),
        (DKIM, LOST, UNREACHABLE, "did not answer"),
    ],
)
def test_dkim(wanted: WantedRecord, answer: Answer, status: Status, advice: str) -> None:
    judged(check_dkim(wanted, answer), status, advice)


def judged(finding: Finding, status: Status, advice: str) -> None:
    assert finding.status is status
    assert advice in finding.advice
    assert bool(finding.advice) is (status is not GOOD)
    assert bool(finding.error) is (status is UNREACHABLE)


def test_keys_of_a_rotation_have_their_own_advice() -> None:
    for state, advice in ((KeyState.NEXT, "every DNS server"), (KeyState.RETIRED, "again")):
        wanted = dkim_record("a.test", DkimKey("s1", "rsa-sha256", "AAAA", state))
        assert not wanted.is_required
        assert advice in check_dkim(wanted, records()).advice


PASS, FAIL = Verdict(SpfResult.PASS), Verdict(SpfResult.FAIL, "-all")
PERMERROR = Verdict(SpfResult.PERMERROR, "include:x.test: x.test has no SPF record")
GOOD_SPF = "v=spf1 include:_spf.b.test -all"


@pytest.mark.parametrize(
    ("texts", "verdicts", "lookups", "status", "advice"),
    [
        (records("x", GOOD_SPF), {"192.0.2.1": PASS}, 1, GOOD, ""),
        (records("x"), {}, 0, MISSING, "publish it"),
        (records(GOOD_SPF, "v=spf1 -all"), {"192.0.2.1": PASS}, 1, WRONG, "two are an error"),
        (
            records("v=spf1 mx -all"),
            {"192.0.2.1": FAIL, "2001:db8::1": PASS},
            1,
            WRONG,
            "does not let 192.0.2.1 send; add include:_spf.b.test",
        ),
        (records("v=spf1 +all"), {"192.0.2.1": PASS}, 0, WRONG, "whole Internet"),
        (records("v=spf1 include:x.test"), {"192.0.2.1": PERMERROR}, 1, WRONG, "no SPF record"),
        (records(GOOD_SPF), {"192.0.2.1": PASS}, 11, WRONG, "costs 11 DNS lookups"),
        (records(GOOD_SPF), {"192.0.2.1": PASS}, 10, GOOD, ""),
        (records(GOOD_SPF), {}, 1, WRONG, "egress_addresses"),
        (LOST, {}, 0, UNREACHABLE, ""),
        (records(GOOD_SPF), LOST, 1, UNREACHABLE, ""),
        (
            records(GOOD_SPF),
            {"192.0.2.1": Verdict(SpfResult.TEMPERROR, "_spf.b.test: SERVFAIL")},
            1,
            UNREACHABLE,
            "",
        ),
    ],
)
def test_spf(
    texts: Answer,
    verdicts: dict[str, Verdict] | NoAnswer,
    lookups: int,
    status: Status,
    advice: str,
) -> None:
    judged(check_spf(SPF, SpfLook(texts, verdicts, lookups)), status, advice)


@pytest.mark.parametrize(
    ("answer", "status", "advice"),
    [
        (records("10 mta.b.test"), GOOD, ""),
        (records("20 mta.b.test"), GOOD, ""),
        (records(), MISSING, "publish it"),
        (records("10 mx.c.test"), WRONG, "leads elsewhere"),
        (records("0 "), WRONG, "leads elsewhere"),
        (records("10 mta.b.test", "20 mx.c.test"), WRONG, "keep mta.b.test only"),
        (LOST, UNREACHABLE, ""),
    ],
)
def test_return_path_host(answer: Answer, status: Status, advice: str) -> None:
    judged(check_mx(MX, answer), status, advice)


def walk_of(text: str, owner: str = "a.test") -> Walk:
    return Walk("a.test", owner, text, parse_dmarc(text))


@pytest.mark.parametrize(
    ("own", "walk", "status", "advice"),
    [
        (records("v=DMARC1; p=none"), walk_of("v=DMARC1; p=none"), GOOD, ""),
        (records(), walk_of("v=DMARC1; p=reject", "test"), GOOD, ""),  # that of a parent holds
        (records(), Walk("a.test"), MISSING, "publish it"),
        (records("v=DMARC1; p=x"), walk_of("v=DMARC1; p=x"), WRONG, "no policy"),
        (records("v=dmarc1; p=none"), Walk("a.test"), WRONG, "begin with v=DMARC1"),
        (records("v=DMARC1; p=none", "v=DMARC1; p=none"), Walk("a.test"), WRONG, "keep one"),
        (LOST, LOST, UNREACHABLE, ""),
        (records(), LOST, UNREACHABLE, ""),
    ],
)
def test_dmarc(own: Answer, walk: Walk | NoAnswer, status: Status, advice: str) -> None:
    judged(check_dmarc(DMARC, own, walk), status, advice)


def test_alignment() -> None:
    strict = walk_of("v=DMARC1; p=reject; aspf=s; adkim=s")
    relaxed = walk_of("v=DMARC1; p=none")
    path = ("bounce.a.test", "a.test")
    assert alignment_of("a.test", relaxed, path, is_signed=True) == Alignment(
        "none", False, False, True, True
    )
    assert alignment_of("a.test", strict, path, is_signed=False) == Alignment(
        "reject", True, True, False, False
    )
    other = alignment_of("a.test", relaxed, ("reports.b.test", "b.test"), is_signed=True)
    assert other.is_spf_aligned is False
    assert alignment_of("a.test", Walk("a.test"), None, is_signed=True).is_spf_aligned is None


@pytest.mark.parametrize(
    ("alias", "addresses", "status", "advice"),
    [
        (records("links.b.test"), records("192.0.2.1"), GOOD, ""),
        (records(), records("192.0.2.1"), GOOD, ""),  # flattened by the DNS provider
        (records(), records(), MISSING, "publish it"),
        (records("www.c.test"), records("198.51.100.1"), WRONG, "alias of links.b.test"),
        (records(), records("192.0.2.1", "198.51.100.1"), WRONG, "leads elsewhere"),
        (LOST, records(), UNREACHABLE, ""),
        (records(), LOST, UNREACHABLE, ""),
    ],
)
def test_tracking_host(alias: Answer, addresses: Answer, status: Status, advice: str) -> None:
    judged(check_tracking(TRACKING, alias, addresses, records("192.0.2.1")), status, advice)


def test_notes() -> None:
    assert check_note(MTA_STS, records("v=STSv1; id=1")).status is GOOD
    assert check_note(MTA_STS, records()).advice.startswith("optional")
    assert check_note(MTA_STS, LOST).status is UNREACHABLE


@pytest.mark.parametrize(
    ("states", "verified"),
    [
        ([GOOD, GOOD], True),
        ([GOOD, MISSING], False),
        ([GOOD, WRONG], False),
        ([GOOD, UNREACHABLE], None),
        ([MISSING, UNREACHABLE], False),  # whatever the other says
        ([], False),
    ],
)
def test_verified_is_whose_every_required_record_is_good(
    states: list[Status], verified: bool | None
) -> None:
    findings = [Finding(DKIM, state) for state in states]
    findings += [Finding(SPF, MISSING), Finding(DMARC, UNREACHABLE)]
    assert DomainReport(tuple(findings)).is_verified is verified


def test_what_is_wanted() -> None:
    keys = (DkimKey("s1", "rsa-sha256", "AAAA"), DkimKey("s2", "rsa-sha256", "B", KeyState.NEXT))
    found = wanted_records(DomainFacts("a.test", keys), Instance("mta.b.test"))
    assert [(one.kind, one.name, one.value, one.is_required) for one in found if one.value] == [
        (RecordKind.DKIM, "s1._domainkey.a.test", "v=DKIM1; k=rsa; p=AAAA", True),
        (RecordKind.DKIM, "s2._domainkey.a.test", "v=DKIM1; k=rsa; p=B", False),
        (RecordKind.SPF, "a.test", "v=spf1 a:mta.b.test ~all", False),
        (RecordKind.DMARC, "_dmarc.a.test", "v=DMARC1; p=none", False),
    ]
    assert [(one.kind, one.type, one.name, one.value) for one in WANTED[2:5]] == [
        (RecordKind.RETURN_PATH, "MX", "bounce.a.test", "mta.b.test"),
        (RecordKind.RETURN_PATH, "TXT", "bounce.a.test", "v=spf1 include:_spf.b.test ~all"),
        (RecordKind.TRACKING, "CNAME", "t.a.test", "links.b.test"),
    ]
    egress = Instance("mta.b.test", egress=("192.0.2.1", "2001:db8::1"), reports_domain="r.b.test")
    shared = wanted_records(DomainFacts("a.test"), egress)
    assert shared[0].value == "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ~all"
    assert (shared[2].name, shared[2].priority) == ("r.b.test", 10)


@pytest.mark.parametrize(
    ("selectors", "following"),
    [
        ((), "mta1"),
        (("mta1", "mta1-ed25519"), "mta2"),
        (("mta9", "mta10-ed25519", "mta10"), "mta11"),
        (("autumn",), "autumn2"),
        (("s2026-11-rsa", "s2026-11"), "s2026-12"),
    ],
)
def test_the_next_selector(selectors: tuple[str, ...], following: str) -> None:
    assert next_selector(selectors) == following


@pytest.mark.parametrize(
    ("text", "is_good"),
    [
        ("mta1", True),
        ("a.b", True),
        ("", False),
        ("-a", False),
        ("a_b", False),
        ("A", False),
        ("../a", False),
        ("a..b", False),
        ("a" * 54, True),
        ("a" * 56, False),  # no room for "-ed25519"
    ],
)
def test_selectors(text: str, is_good: bool) -> None:
    assert is_selector(text, "a.test") is is_good
    assert not is_selector(text, ".".join(["a" * 60] * 4))
