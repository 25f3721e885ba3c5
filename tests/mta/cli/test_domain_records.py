"""What the DNS should have for a domain, and the judgement of what it has."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mta.cli.domain_records import (
    Finding,
    Kind,
    State,
    Wanted,
    examine,
    is_verified,
    wanted_records,
)
from mta.dkim_keys import DnsRecord
from mta.resolver import Answer, Failure, Found, NoData, NoSuchDomain
from storage.domains import DkimKeyRecord, DomainRecord

DKIM = Wanted(Kind.DKIM, DnsRecord("s1._domainkey.a.test", "TXT", "v=DKIM1; k=rsa; p=AAAABBBB"))
ED = Wanted(Kind.DKIM, DnsRecord("s2._domainkey.a.test", "TXT", "v=DKIM1; k=ed25519; p=CCCC"))
SPF = Wanted(Kind.SPF, DnsRecord("a.test", "TXT", "v=spf1 a:mta.a.test ~all"))
DMARC = Wanted(Kind.DMARC, DnsRecord("_dmarc.a.test", "TXT", "v=DMARC1; p=none"))


def test_every_key_has_its_record() -> None:
    keys = (
        DkimKeyRecord("s1", "rsa-sha256", "keys/a", "AAAA"),
        DkimKeyRecord("s1-ed25519", "ed25519-sha256", "keys/b", "BBBB"),
    )
    now = datetime(2026, 11, 20, tzinfo=UTC)
    domain = DomainRecord("dom_1", 1, "a.test", now, None, None, keys)
    wanted = wanted_records(domain, "mta.a.test")
    assert [(item.kind, item.record.name, item.record.value) for item in wanted] == [
        (Kind.DKIM, "s1._domainkey.a.test", "v=DKIM1; k=rsa; p=AAAA"),
        (Kind.DKIM, "s1-ed25519._domainkey.a.test", "v=DKIM1; k=ed25519; p=BBBB"),
        (Kind.SPF, "a.test", "v=spf1 a:mta.a.test ~all"),
        (Kind.DMARC, "_dmarc.a.test", "v=DMARC1; p=none"),
    ]


@pytest.mark.parametrize(
    ("wanted", "answer", "state", "advice"),
    [
        (DKIM, Found(("v=DKIM1; k=rsa; p=AAAABBBB",)), State.OK, ""),
        (DKIM, Found(("p=AAAA BBBB",)), State.OK, ""),  # v and k have these defaults
        (DKIM, Found(("v=DKIM1;p=AAAA\tBBBB; t=s",)), State.OK, ""),
        (DKIM, NoSuchDomain(), State.MISSING, "publish it"),
        (DKIM, NoData(), State.MISSING, "publish it"),
        (DKIM, Found(("v=DKIM1; p=",)), State.WRONG, "it revokes the key"),
        (DKIM, Found(("v=DKIM1; p=XXXX",)), State.WRONG, "it holds another key"),
        (DKIM, Found(("v=spf1 -all",)), State.WRONG, "it is no DKIM record"),
        (DKIM, Found(("v=DKIM1; p=AAAABBBB; t=y:s",)), State.WRONG, "it says t=y"),
        (DKIM, Found(("p=AAAABBBB", "p=XXXX")), State.WRONG, "keep one record only"),
        (DKIM, Failure("SERVFAIL"), State.UNKNOWN, "the DNS does not answer (SERVFAIL)"),
        (ED, Found(("v=DKIM1; p=CCCC",)), State.WRONG, "it holds another key"),  # of type rsa
        (SPF, Found(("other", "v=spf1 a:mta.a.test ~all")), State.OK, ""),
        (SPF, Found(("V=SPF1 mx +a:MTA.a.test -all",)), State.OK, ""),
        (SPF, Found(("other",)), State.MISSING, "publish it"),
        (SPF, Found(("v=spf1 include:x.test -all",)), State.WRONG, "add a:mta.a.test to it"),
        (SPF, Found(("v=spf1 +all",)), State.WRONG, "it lets the whole Internet send"),
        (SPF, Found(("v=spf1 -all", "v=spf1 mx -all")), State.WRONG, "keep one record only"),
        (DMARC, Found(("v=DMARC1; p=reject; rua=mailto:a@a.test",)), State.OK, ""),
        (DMARC, Found(("v=DMARC1; rua=mailto:a@a.test",)), State.WRONG, "it has no policy"),
        (DMARC, NoSuchDomain(), State.MISSING, "publish it"),
    ],
)
def test_records_are_judged(wanted: Wanted, answer: Answer[str], state: State, advice: str) -> None:
    finding = examine(wanted, answer)
    assert (finding.state, finding.advice[: len(advice) or None]) == (state, advice)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([(DKIM, State.OK), (ED, State.OK), (SPF, State.MISSING)], True),
        ([(DKIM, State.OK), (ED, State.MISSING)], False),
        ([(DKIM, State.OK), (ED, State.UNKNOWN)], None),
        ([(DKIM, State.WRONG), (ED, State.UNKNOWN)], False),  # no later answer mends it
        ([(SPF, State.OK)], False),  # SPF proves nothing
        ([(DKIM, State.OK), (SPF, State.UNKNOWN)], True),
    ],
)
def test_dkim_alone_decides(states: list[tuple[Wanted, State]], expected: bool | None) -> None:
    assert is_verified([Finding(wanted, state) for wanted, state in states]) is expected
