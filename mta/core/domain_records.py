"""The DNS records that a sender domain needs: what to publish, and the zone file to paste.

Not here: what the DNS has (domain_check.py). Follows RFC 6376 3.6.1 (DKIM), RFC 7208 3 (SPF),
RFC 9989 (DMARC), RFC 1035 5.1 (zone files), RFC 8461 and RFC 8460 for the notes.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import field
from ipaddress import ip_address

from mta.core.frozen import frozen

TTL = 3600
"""Seconds that a suggested record may be remembered: a mistake is over within the hour."""
MX_PREFERENCE = 10
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_STRING = 255
"""Octets that one string of a TXT record holds (RFC 1035 3.3)."""


class RecordKind(enum.Enum):
    """What a record is for."""

    DKIM = "DKIM"
    SPF = "SPF"
    DMARC = "DMARC"
    RETURN_PATH = "Return-Path"
    TRACKING = "Tracking"
    MTA_STS = "MTA-STS"
    TLS_RPT = "TLS-RPT"


class KeyState(enum.Enum):
    """Where a DKIM key stands in its rotation."""

    ACTIVE = "active"
    """Mail is signed with it."""
    NEXT = "next"
    """To be published; mail is signed with it once every DNS server sees it."""
    RETIRED = "retired"
    """Nothing new is signed with it; its record stays while such mail may be under way."""


@frozen
class DkimKey:
    """The public side of a key; algorithm and public_key as in storage.domains.DkimKeyRecord."""

    selector: str
    algorithm: str
    public_key: str
    state: KeyState = KeyState.ACTIVE


@frozen
class DomainFacts:
    """What the records of a domain depend on.

    Attributes:
        name: A-label.
        keys: its DKIM keys.
        return_path: host below it that return paths are in, "" for the server's own.
        tracking_host: host below it that tracked links lead to, "" for none.
    """

    name: str
    keys: tuple[DkimKey, ...] = ()
    return_path: str = ""
    tracking_host: str = ""


@frozen
class Instance:
    """What all domains of a server share.

    Attributes:
        hostname: full name of the server.
        egress: addresses that mail leaves from; none means those of the host name in the DNS.
        spf_include: name whose SPF record lists them, "" for none.
        reports_domain: domain of return paths where a domain has none of its own, "" for none.
        tracking_target: name that serves tracked links.
    """

    hostname: str
    egress: tuple[str, ...] = ()
    spf_include: str = ""
    reports_domain: str = ""
    tracking_target: str = ""

    @property
    def spf_terms(self) -> str:
        """The terms of SPF that let this server send."""
        if self.spf_include:
            return f"include:{self.spf_include}"
        if self.egress:
            return " ".join(f"ip{ip_address(text).version}:{text}" for text in self.egress)
        return f"a:{self.hostname}"


@frozen
class WantedRecord:
    """One record to publish.

    Attributes:
        kind: what it is for.
        type: "TXT", "MX" or "CNAME".
        name: full, without a final dot.
        value: in one piece, of an MX record the host; "" for a note: there is nothing to publish.
        priority: preference of an MX record, else None.
        is_required: the domain is verified only with it.
        key_state: of a DKIM record.
        is_shared: it is in a zone of the server's operator, for all domains.
    """

    kind: RecordKind
    type: str
    name: str
    value: str
    priority: int | None = None
    is_required: bool = False
    key_state: KeyState | None = field(default=None, compare=False)
    is_shared: bool = field(default=False, compare=False)

    @property
    def is_note(self) -> bool:
        """Whether it is looked at, but nothing is to be published for us."""
        return not self.value


def wanted_records(domain: DomainFacts, instance: Instance) -> tuple[WantedRecord, ...]:
    """Return the records of a domain, the required ones first; notes are at the end."""
    return (
        *(dkim_record(domain.name, key) for key in domain.keys),
        WantedRecord(RecordKind.SPF, "TXT", domain.name, _spf(instance)),
        WantedRecord(RecordKind.DMARC, "TXT", f"_dmarc.{domain.name}", "v=DMARC1; p=none"),
        *_return_path(domain, instance),
        *_tracking(domain, instance),
        WantedRecord(RecordKind.MTA_STS, "TXT", f"_mta-sts.{domain.name}", ""),
        WantedRecord(RecordKind.TLS_RPT, "TXT", f"_smtp._tls.{domain.name}", ""),
    )


def dkim_record(domain: str, key: DkimKey) -> WantedRecord:
    """Return the record that publishes a key; that of an active one is required."""
    return WantedRecord(
        RecordKind.DKIM,
        "TXT",
        f"{key.selector}._domainkey.{domain}",
        f"v=DKIM1; k={key.algorithm.removesuffix('-sha256')}; p={key.public_key}",
        is_required=key.state is KeyState.ACTIVE,
        key_state=key.state,
    )


def is_selector(text: str, domain: str) -> bool:
    """Return whether a DKIM selector can be used, for every algorithm, below a domain."""
    name = f"{text}-ed25519._domainkey.{domain}"
    is_sound = all(_LABEL.fullmatch(label) for label in name.replace("._domainkey", "").split("."))
    return is_sound and len(name) <= 253


def next_selector(selectors: Sequence[str]) -> str:
    """Return the selector for the keys that follow those of a domain: "mta1" -> "mta2"."""
    numbered = [_numbered(selector) for selector in selectors] or [("mta", 0)]
    stem, number = max(numbered, key=lambda pair: pair[1])
    return f"{stem}{number + 1}"


def _numbered(selector: str) -> tuple[str, int]:
    """Return a selector without the suffix of its algorithm, and the number that it ends in."""
    base = selector.removesuffix("-ed25519").removesuffix("-rsa")
    stem = base.rstrip("0123456789")
    return stem, int(base[len(stem) :] or 1)


def _spf(instance: Instance) -> str:
    return f"v=spf1 {instance.spf_terms} ~all"


def _return_path(domain: DomainFacts, instance: Instance) -> Sequence[WantedRecord]:
    host = domain.return_path or instance.reports_domain
    if not host:
        return ()
    kind, is_shared = RecordKind.RETURN_PATH, not is_within(host, domain.name)
    return (
        WantedRecord(kind, "MX", host, instance.hostname, MX_PREFERENCE, is_shared=is_shared),
        WantedRecord(kind, "TXT", host, _spf(instance), is_shared=is_shared),
    )


def _tracking(domain: DomainFacts, instance: Instance) -> Sequence[WantedRecord]:
    if not domain.tracking_host or not instance.tracking_target:
        return ()
    target = instance.tracking_target
    return (WantedRecord(RecordKind.TRACKING, "CNAME", domain.tracking_host, target),)


def is_within(name: str, domain: str) -> bool:
    """Return whether a name is a domain or below it."""
    return name == domain or name.endswith(f".{domain}")


def zone_line(record: WantedRecord) -> str:
    """Return a record as one line of a zone file, every name in full."""
    if record.type == "TXT":
        pieces = [
            record.value[start : start + _STRING] for start in range(0, len(record.value), _STRING)
        ]
        value = " ".join(f'"{piece}"' for piece in pieces)
    else:
        value = f"{record.value}."
    priority = "" if record.priority is None else f"{record.priority} "
    return f"{record.name}. {TTL} IN {record.type} {priority}{value}"
