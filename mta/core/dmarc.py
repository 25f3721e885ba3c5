"""DMARC: the policy record of a domain, its organisational domain, and alignment.

The organisational domain is found by walking up the DNS tree (RFC 9989), which has replaced the
list of public suffixes of RFC 7489. All names of the walk are known beforehand, so they are asked
at once and the answers judged together.

Not here: reports, and whether SPF and DKIM themselves pass. Follows RFC 9989.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mta.core.frozen import frozen
from mta.core.lookup import Answer, NoAnswer

MAX_LABELS = 8
"""A walk that begins below more labels goes on at seven, so that nobody can make it long."""
POLICIES = ("none", "quarantine", "reject")

_VERSION = re.compile(r"v\s*=\s*DMARC1\s*(?:;|\Z)")


@frozen
class DmarcRecord:
    """A DMARC record; what it leaves out has the default of the standard.

    Attributes:
        policy: "none", "quarantine" or "reject"; "" where p= is missing or none of these.
        subdomain_policy: sp=, "" where it is missing: then `policy` holds.
        is_dkim_strict, is_spf_strict: adkim=s, aspf=s.
        psd: "y", "n" or "u": whether the domain is a public suffix.
        reports_to: rua=, "" for nobody.
    """

    policy: str
    subdomain_policy: str = ""
    is_dkim_strict: bool = False
    is_spf_strict: bool = False
    psd: str = "u"
    reports_to: str = ""


@frozen
class Walk:
    """What the DNS tree says about a domain.

    Attributes:
        organisation: the organisational domain; the domain itself where there is no record at all.
        owner: the domain whose record holds, "" when there is none.
        text: that record, "" when there is none.
        record: the same, parsed; None when there is none.
    """

    organisation: str
    owner: str = ""
    text: str = ""
    record: DmarcRecord | None = None


def is_dmarc(text: str) -> bool:
    """Return whether a TXT record is one of DMARC, good or bad."""
    return _VERSION.match(text) is not None


def parse_dmarc(text: str) -> DmarcRecord:
    """Read a record of which is_dmarc() is true; unknown tags and values are ignored."""
    pairs = (item.partition("=") for item in text.split(";") if "=" in item)
    tags = {name.strip().lower(): value.strip() for name, _, value in pairs}
    policy = tags.get("p", "").lower()
    if "p" not in tags and tags.get("rua"):
        policy = "none"
    return DmarcRecord(
        policy=policy if policy in POLICIES else "",
        subdomain_policy=_among(tags.get("sp", ""), POLICIES, ""),
        is_dkim_strict=tags.get("adkim", "r").lower() == "s",
        is_spf_strict=tags.get("aspf", "r").lower() == "s",
        psd=_among(tags.get("psd", ""), ("y", "n"), "u"),
        reports_to=tags.get("rua", ""),
    )


def _among(value: str, allowed: tuple[str, ...], otherwise: str) -> str:
    return value.lower() if value.lower() in allowed else otherwise


def walk_names(domain: str) -> tuple[str, ...]:
    """Return the domains of a walk, from the domain itself up to its top label."""
    labels = domain.split(".")
    rest = labels[1:] if len(labels) <= MAX_LABELS else labels[-(MAX_LABELS - 1) :]
    above = [".".join(rest[start:]) for start in range(len(rest))]
    return domain, *above


def walk(domain: str, answers: Mapping[str, Answer]) -> Walk | NoAnswer:
    """Judge the answers for the TXT records at "_dmarc." of all walk_names().

    A name with more than one record counts as one without. A name that does not answer ends the
    walk: NoAnswer, unless a record has been found below it.
    """
    found: dict[str, str] = {}
    for name in walk_names(domain):
        answer = answers[name]
        if isinstance(answer, NoAnswer):
            if not found:
                return answer
            break
        texts = [text for text in answer.values if is_dmarc(text)]
        if len(texts) != 1:
            continue
        found[name] = texts[0]
        if parse_dmarc(texts[0]).psd != "u":
            break
    organisation = _organisation(domain, found)
    owner = next((name for name in (domain, organisation) if name in found), "")
    if not owner:
        return Walk(organisation)
    return Walk(organisation, owner, found[owner], parse_dmarc(found[owner]))


def _organisation(domain: str, found: Mapping[str, str]) -> str:
    """Return the organisational domain, from records that stand in the order of the walk."""
    if not found:
        return domain
    last = list(found)[-1]
    psd = parse_dmarc(found[last]).psd
    if psd == "y" and last != domain:
        below = domain.removesuffix(f".{last}").rpartition(".")[2]
        return f"{below}.{last}"
    return last


def is_aligned(domain: str, other: str, *, is_strict: bool, organisations: tuple[str, str]) -> bool:
    """Return whether an authenticated domain may speak for the domain in From.

    Args:
        domain: in From.
        other: of the DKIM signature, or of the return path.
        is_strict: the record asks for the very same domain.
        organisations: the organisational domains of both, in the same order.
    """
    return domain == other if is_strict else organisations[0] == organisations[1]
