"""What the DNS has for a sender domain, compared with what it should have, record by record.

Four states: good, missing, wrong, unreachable. A DNS that does not answer says nothing about a
record, so it never counts against a domain. Each judgement comes with one sentence of what to do.

Not here: what should be there (domain_records.py), looking it up (mta/domain_lookup.py), and what
follows for the domain (domain_standing.py).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import cast

from mta.core.dmarc import DmarcRecord, Walk, is_aligned, is_dmarc
from mta.core.domain_records import KeyState, RecordKind, WantedRecord
from mta.core.frozen import frozen
from mta.core.lookup import Answer, NoAnswer, Records
from mta.core.spf import MAX_LOOKUPS, SpfResult, Verdict
from mta.core.spf_record import is_spf


class Status(enum.Enum):
    """How a record stands."""

    GOOD = "good"
    MISSING = "missing"
    WRONG = "wrong"
    UNREACHABLE = "unreachable"
    """The DNS did not answer; nothing is known."""
    NOT_CHECKED = "not_checked"


@frozen
class Finding:
    """One record as the DNS has it.

    Attributes:
        wanted: what should be there.
        status: how what is there compares.
        found: the values in the DNS that bear on it, none when there are none.
        advice: what to do, one sentence; "" when all is well.
        error: why the DNS did not answer, "" when it did.
    """

    wanted: WantedRecord
    status: Status
    found: tuple[str, ...] = ()
    advice: str = ""
    error: str = ""


@frozen
class Alignment:
    """What receivers that check DMARC will see.

    Attributes:
        policy: p= of the record that holds; "" for none.
        is_dkim_strict, is_spf_strict: the record wants the very domain of From, not one related.
        is_dkim_aligned: the signing domain may speak for the domain in From.
        is_spf_aligned: the return path's may; None where the return path is the app's own choice.
    """

    policy: str
    is_dkim_strict: bool
    is_spf_strict: bool
    is_dkim_aligned: bool
    is_spf_aligned: bool | None


@frozen
class DomainReport:
    """All findings about a domain at one time.

    Attributes:
        findings: in the order of wanted_records().
        alignment: None when the DNS did not answer.
        is_next_seen: every DNS server asked has every key that is to be used next, and there is
            one.
    """

    findings: tuple[Finding, ...]
    alignment: Alignment | None = None
    is_next_seen: bool = False

    @property
    def is_verified(self) -> bool | None:
        """Whether all that is required is good; None when the DNS did not answer for one.

        False when nothing is required: nothing proves then that the domain is its tenant's.
        """
        states = {one.status for one in self.findings if one.wanted.is_required}
        if Status.UNREACHABLE in states and states <= {Status.GOOD, Status.UNREACHABLE}:
            return None
        return states == {Status.GOOD}


@frozen
class SpfLook:
    """What the DNS says about SPF at one name.

    Attributes:
        texts: the TXT records of the name.
        verdicts: egress address -> what SPF says of it; or why the addresses are not known.
        lookups: how many lookups the whole record costs.
    """

    texts: Answer
    verdicts: Mapping[str, Verdict] | NoAnswer
    lookups: int


def unreachable(wanted: WantedRecord, why: NoAnswer) -> Finding:
    """Return the finding for a record about which the DNS did not answer."""
    advice = "nothing to do now: the DNS did not answer, and it is asked again"
    return Finding(wanted, Status.UNREACHABLE, (), advice, why.error)


def check_dkim(wanted: WantedRecord, answer: Answer) -> Finding:
    """Judge the TXT records at the name of a key (RFC 6376 3.6.1)."""
    if isinstance(answer, NoAnswer):
        return unreachable(wanted, answer)
    match answer.values:
        case ():
            return Finding(wanted, Status.MISSING, (), _DKIM_MISSING[wanted.key_state])
        case (text,):
            return _judged(wanted, (text,), _dkim_advice(wanted, text))
        case texts:
            return Finding(wanted, Status.WRONG, texts, "keep one TXT record of this name only")


_DKIM_MISSING: Mapping[KeyState | None, str] = {
    None: "publish it",
    KeyState.ACTIVE: "publish it",
    KeyState.NEXT: "publish it; mail is signed with this key once every DNS server has it",
    KeyState.RETIRED: "publish it again for some days: mail under way is signed with this key",
}


def _dkim_advice(wanted: WantedRecord, found: str) -> str:
    ours, theirs = tags(wanted.value), tags(found)
    flaws = (
        (
            theirs.get("v", "DKIM1") != "DKIM1" or "p" not in theirs,
            "it is no DKIM record; replace it",
        ),
        (
            theirs.get("p") == "",
            "it revokes the key (empty p=); replace it, or rotate to a new key",
        ),
        (
            theirs.get("p") != ours["p"] or theirs.get("k", "rsa") != ours["k"],
            "it holds another key; replace it",
        ),
        (
            "y" in theirs.get("t", "").split(":"),
            "it says t=y (testing): receivers treat mail as unsigned; remove t=y",
        ),
        (
            not {"*", "email"} & set(theirs.get("s", "*").split(":")),
            "its s= excludes email; remove s=",
        ),
        (
            "sha256" not in theirs.get("h", "sha256").split(":"),
            "its h= excludes sha256; remove h=",
        ),
    )
    return next((advice for is_flawed, advice in flaws if is_flawed), "")


def check_spf(wanted: WantedRecord, look: SpfLook) -> Finding:
    """Judge the SPF record of a name by what it says of our addresses (RFC 7208)."""
    if isinstance(look.texts, NoAnswer):
        return unreachable(wanted, look.texts)
    found = tuple(text for text in look.texts.values if is_spf(text))
    if not found:
        return Finding(wanted, Status.MISSING, (), "publish it")
    if len(found) > 1:
        return Finding(wanted, Status.WRONG, found, "make one record of them: two are an error")
    if isinstance(look.verdicts, NoAnswer):
        return unreachable(wanted, look.verdicts)
    lost = [one for one in look.verdicts.values() if one.result is SpfResult.TEMPERROR]
    if lost:
        return unreachable(wanted, NoAnswer(lost[0].reason))
    return _judged(wanted, found, _spf_advice(wanted, found[0], look.verdicts, look.lookups))


def _spf_advice(
    wanted: WantedRecord, found: str, verdicts: Mapping[str, Verdict], lookups: int
) -> str:
    terms = wanted.value.removeprefix("v=spf1 ").removesuffix(" ~all")
    if {"+all", "all"} & set(found.lower().split()):
        return "it lets the whole Internet send as this domain; end it with ~all or -all"
    if not verdicts:
        return "this server has no known address: its operator has to set domains.egress_addresses"
    broken = [one for one in verdicts.values() if one.result is SpfResult.PERMERROR]
    if broken:
        return f"receivers cannot use it, correct it: {broken[0].reason}"
    refused = [address for address, one in verdicts.items() if one.result is not SpfResult.PASS]
    if refused:
        return f"it does not let {_listed(refused)} send; add {terms} before its last term"
    if lookups > MAX_LOOKUPS:
        return (
            f"it costs {lookups} DNS lookups and receivers stop at {MAX_LOOKUPS}; "
            "put addresses in the place of some includes"
        )
    return ""


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - 3
    return ", ".join(names[:3]) + (f" and {rest} more" if rest > 0 else "")


def check_mx(wanted: WantedRecord, answer: Answer) -> Finding:
    """Judge the MX records of a return path host: ours, and no other."""
    if isinstance(answer, NoAnswer):
        return unreachable(wanted, answer)
    if not answer.values:
        return Finding(wanted, Status.MISSING, (), "publish it, or bounces get lost")
    hosts = {text.partition(" ")[2] for text in answer.values}
    advice = ""
    if wanted.value not in hosts:
        advice = f"it leads elsewhere, where bounces get lost; replace it by {wanted.value}"
    elif len(hosts) > 1:
        advice = f"keep {wanted.value} only: bounces that go to the other hosts get lost"
    return _judged(wanted, answer.values, advice)


def check_dmarc(wanted: WantedRecord, own: Answer, walk: Walk | NoAnswer) -> Finding:
    """Judge the DMARC record that holds for a domain, its own or that of a parent (RFC 9989).

    Args:
        wanted: the domain's own.
        own: the TXT records at its name.
        walk: what the tree above says.
    """
    if isinstance(own, NoAnswer):
        return unreachable(wanted, own)
    found = tuple(text for text in own.values if is_dmarc(text))
    if len(found) > 1:
        return Finding(wanted, Status.WRONG, found, "keep one record only: two count as none")
    if isinstance(walk, NoAnswer):
        return unreachable(wanted, walk)
    if walk.record is None:
        almost = tuple(text for text in own.values if "dmarc" in text.lower())
        advice = "it does not begin with v=DMARC1; correct it" if almost else "publish it"
        return Finding(wanted, Status.WRONG if almost else Status.MISSING, almost, advice)
    advice = "" if walk.record.policy else "it has no policy; add p=none"
    return _judged(wanted, (walk.text,), advice)


def alignment_of(
    domain: str, walk: Walk, return_path: tuple[str, str] | None, *, is_signed: bool
) -> Alignment:
    """Return what DMARC makes of our signatures and of our return path.

    Args:
        domain: in From; it is the signing domain too.
        walk: of the domain.
        return_path: its host and that host's organisational domain; None: the app chooses.
        is_signed: the domain has a key to sign with.
    """
    record = walk.record or DmarcRecord("")
    is_spf_aligned = None
    if return_path is not None:
        is_spf_aligned = is_aligned(
            domain,
            return_path[0],
            is_strict=record.is_spf_strict,
            organisations=(walk.organisation, return_path[1]),
        )
    return Alignment(
        policy=record.policy,
        is_dkim_strict=record.is_dkim_strict,
        is_spf_strict=record.is_spf_strict,
        is_dkim_aligned=is_signed,
        is_spf_aligned=is_spf_aligned,
    )


def check_tracking(wanted: WantedRecord, alias: Answer, addresses: Answer, ours: Answer) -> Finding:
    """Judge the host of tracked links: an alias of ours, or, flattened, the same addresses.

    Args:
        wanted: the alias.
        alias: the CNAME records of the host.
        addresses: the addresses of the host.
        ours: those of the host that serves links.
    """
    match alias, addresses, ours:
        case Records(names), Records(found), Records(own):
            advice = ""
            if not names and not found:
                advice = "publish it, or tracked links lead nowhere"
                return Finding(wanted, Status.MISSING, (), advice)
            if wanted.value not in names and not (found and set(found) <= set(own)):
                advice = f"it leads elsewhere; make it an alias of {wanted.value}"
            return _judged(wanted, names or found, advice)
        case (NoAnswer() as lost, _, _) | (_, NoAnswer() as lost, _) | (_, _, lost):
            return unreachable(wanted, cast("NoAnswer", lost))


_NOTES: Mapping[RecordKind, tuple[str, str]] = {
    RecordKind.MTA_STS: (
        "v=STSv1",
        "optional: MTA-STS makes other servers use TLS for mail to this domain",
    ),
    RecordKind.TLS_RPT: (
        "v=TLSRPTv1",
        "optional: TLS-RPT tells how mail to this domain fares with TLS",
    ),
}


def check_note(wanted: WantedRecord, answer: Answer) -> Finding:
    """Say whether the domain has a record that concerns mail to it, not ours."""
    if isinstance(answer, NoAnswer):
        return unreachable(wanted, answer)
    version, advice = _NOTES[wanted.kind]
    found = tuple(text for text in answer.values if text.startswith(version))
    return (
        Finding(wanted, Status.GOOD, found)
        if found
        else Finding(wanted, Status.MISSING, (), advice)
    )


def tags(value: str) -> Mapping[str, str]:
    """Return the tags of a tag=value list, all white space dropped from values (RFC 6376 3.2)."""
    pairs = (item.partition("=") for item in value.split(";") if "=" in item)
    return {name.strip(): "".join(text.split()) for name, _, text in pairs}


def _judged(wanted: WantedRecord, found: tuple[str, ...], advice: str) -> Finding:
    return Finding(wanted, Status.WRONG if advice else Status.GOOD, found, advice)
