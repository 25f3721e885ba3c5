"""The DNS records of a sender domain: what to publish, and what the DNS says about each.

DKIM records prove that the domain is ours, so they decide whether it is verified; SPF and DMARC are
suggestions, looked at but never demanded. Pure: the answers of the DNS come in as values.
Follows RFC 6376 3.6.1 (DKIM), RFC 7208 4.5 (SPF), RFC 9989 (DMARC).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from mta.dkim_keys import DnsRecord, dns_record
from mta.resolver import Answer, Failure, Found, NoData, NoSuchDomain
from storage.domains import DomainRecord


class Kind(enum.Enum):
    """What a record is for."""

    DKIM = "DKIM"
    SPF = "SPF"
    DMARC = "DMARC"


class State(enum.Enum):
    """What the DNS says about a record."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """The DNS did not answer; nothing is known."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record to publish; only those of DKIM are required."""

    kind: Kind
    record: DnsRecord


@dataclass(frozen=True, slots=True)
class Finding:
    """One record as the DNS has it.

    Attributes:
        wanted: what should be there.
        state: how what is there compares.
        found: the values in the DNS that bear on it, none when there are none.
        advice: what to do; "" when all is well.
    """

    wanted: Wanted
    state: State
    found: tuple[str, ...] = ()
    advice: str = ""


def wanted_records(domain: DomainRecord, hostname: str) -> tuple[Wanted, ...]:
    """Return the records to publish for a domain whose mail the host `hostname` sends."""
    dkim = [
        dns_record(domain.name, key.selector, key.algorithm, key.public_key) for key in domain.keys
    ]
    return (
        *(Wanted(Kind.DKIM, record) for record in dkim),
        Wanted(Kind.SPF, DnsRecord(domain.name, "TXT", f"v=spf1 a:{hostname} ~all")),
        Wanted(Kind.DMARC, DnsRecord(f"_dmarc.{domain.name}", "TXT", "v=DMARC1; p=none")),
    )


def is_verified(findings: Sequence[Finding]) -> bool | None:
    """Return whether every DKIM record is right; None when the DNS did not answer for one.

    False without any: nothing proves the domain then.
    """
    states = {finding.state for finding in findings if finding.wanted.kind is Kind.DKIM}
    if State.UNKNOWN in states and states <= {State.OK, State.UNKNOWN}:
        return None
    return states == {State.OK}


def examine(wanted: Wanted, answer: Answer[str]) -> Finding:
    """Compare a wanted record with the TXT records at its name."""
    match answer:
        case Found(records):
            return _compare(wanted, records)
        case NoData() | NoSuchDomain():
            return _compare(wanted, ())
        case Failure(error):
            return Finding(
                wanted, State.UNKNOWN, (), f"the DNS does not answer ({error}); try later"
            )
        case _:
            assert_never(answer)


def _compare(wanted: Wanted, values: Sequence[str]) -> Finding:
    """Pick the values that count and let the kind's own rule judge a single one."""
    starts = {Kind.DKIM: "", Kind.SPF: "v=spf1", Kind.DMARC: "v=dmarc1"}[wanted.kind]
    found = tuple(value for value in values if value.lower().startswith(starts))
    if not found:
        return Finding(wanted, State.MISSING, (), "publish it")
    if len(found) > 1:
        return Finding(wanted, State.WRONG, found, "keep one record only")
    match wanted.kind:
        case Kind.DKIM:
            advice = _dkim_advice(wanted.record.value, found[0])
        case Kind.SPF:
            advice = _spf_advice(wanted.record.value, found[0])
        case Kind.DMARC:
            advice = "" if tags(found[0]).get("p") else "it has no policy: add p=none"
        case _:
            assert_never(wanted.kind)
    return Finding(wanted, State.WRONG if advice else State.OK, found, advice)


def _dkim_advice(wanted: str, found: str) -> str:
    ours, theirs = tags(wanted), tags(found)
    if theirs.get("v", "DKIM1") != "DKIM1" or "p" not in theirs:
        return "it is no DKIM record; replace it"
    if not theirs["p"]:
        return "it revokes the key (empty p=); replace it, or add the domain with a new selector"
    if theirs["p"] != ours["p"] or theirs.get("k", "rsa") != ours["k"]:
        return "it holds another key; replace it"
    if "y" in theirs.get("t", "").split(":"):
        return "it says t=y (testing): receivers treat mail as unsigned; remove t=y"
    return ""


def _spf_advice(wanted: str, found: str) -> str:
    """Judge an SPF record without looking up what it includes: is our own term in it?"""
    term = wanted.split()[1]
    terms = found.lower().split()
    if "+all" in terms or "all" in terms:
        return "it lets the whole Internet send as this domain; end it with ~all or -all"
    if term in {item.lstrip("+") for item in terms}:
        return ""
    return f"add {term} to it, unless it covers this machine's address already"


def tags(value: str) -> Mapping[str, str]:
    """Return the tags of a tag=value list, all white space dropped from values (RFC 6376 3.2)."""
    pairs = (item.partition("=") for item in value.split(";") if "=" in item)
    return {name.strip(): "".join(text.split()) for name, _, text in pairs}
