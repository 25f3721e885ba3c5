"""Whether SPF lets an address send for a domain, and how many lookups its record costs.

Sans I/O: check_host() and count_lookups() are generators that yield the questions they have for the
DNS (core/lookup.py). Explanations (`exp`) are not fetched: they are for receivers.

Not here: the text of records (spf_record.py), and what to make of a result (domain_check.py).
Follows RFC 7208.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from mta.core.frozen import frozen
from mta.core.lookup import Asking, NoAnswer, Question, Records, RecordType
from mta.core.spf_record import (
    QUERIES,
    Mechanism,
    SpfError,
    SpfRecord,
    expand,
    is_spf,
    parse_spf,
    uses_validated_name,
)

MAX_LOOKUPS = 10
"""Terms that make receivers ask; one more is an error (4.6.4)."""
MAX_VOID_LOOKUPS = 2
"""Of those, how many may find nothing (4.6.4)."""
MAX_NAMES = 10
"""Host names of one `mx` that are looked up, and of one `ptr` (4.6.4)."""


class SpfResult(enum.Enum):
    """What SPF says (2.6)."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a word of the standard
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@frozen
class Verdict:
    """A result and what led to it.

    Attributes:
        result: what a receiver would see.
        reason: the term that matched, or what is wrong; "" when nothing matched.
        lookups: terms evaluated that cost a lookup.
        void_lookups: lookups among them that found nothing.
    """

    result: SpfResult
    reason: str = ""
    lookups: int = 0
    void_lookups: int = 0


@frozen
class Sender:
    """Who sends: the IP address, the return path ("user@domain"), the name given in EHLO."""

    address: str
    mail_from: str
    helo: str


_QUALIFIERS = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}


class _TemporaryError(Exception):
    """The DNS did not answer a question."""


def check_host(sender: Sender, domain: str) -> Asking[Verdict]:
    """Evaluate the SPF record of a domain for a sender (4)."""
    evaluation = _Evaluation(sender)
    try:
        result, reason = yield from evaluation.check(domain)
    except _TemporaryError as error:
        result, reason = SpfResult.TEMPERROR, str(error)
    except SpfError as error:
        result, reason = SpfResult.PERMERROR, str(error)
    return Verdict(result, reason, evaluation.lookups, evaluation.void_lookups)


def count_lookups(domain: str) -> Asking[int]:
    """Return how many lookups a receiver makes that no term stops: all that the record can cost.

    Records that are missing, bad or do not answer count for nothing more; names with macros are
    not followed.
    """
    count, waiting, seen = 0, [domain], set[str]()
    while waiting and count <= 2 * MAX_LOOKUPS:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        answer = yield Question(name, "TXT")
        found = [text for text in getattr(answer, "values", ()) if is_spf(text)]
        try:
            record = parse_spf(found[0]) if found else SpfRecord(())
        except SpfError:
            continue
        costly = [term for term in record.mechanisms if term.name in QUERIES]
        targets = [term.value for term in costly if term.name == "include"]
        if record.redirect:
            targets.append(record.redirect)
        count += len(costly) + bool(record.redirect)
        waiting += [target.removesuffix(".") for target in targets if "%" not in target]
    return count


class _Evaluation:
    """One run of check_host(), with the counters that its whole recursion shares."""

    def __init__(self, sender: Sender) -> None:
        self.lookups = 0
        self.void_lookups = 0
        self._sender = sender
        address = ip_address(sender.address)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        self._address: IPv4Address | IPv6Address = mapped or address
        self._kind: RecordType = "A" if self._address.version == 4 else "AAAA"

    def check(self, domain: str) -> Asking[tuple[SpfResult, str]]:
        """Return result and reason for a domain, its includes and redirects (4.6)."""
        if not _is_name(domain):
            return SpfResult.NONE, f"{domain!a} is no domain name"
        answer = yield Question(domain, "TXT")
        found = [text for text in self._values(answer, domain) if is_spf(text)]
        if not found:
            return SpfResult.NONE, f"{domain} has no SPF record"
        if len(found) > 1:
            raise SpfError(f"{domain} has {len(found)} SPF records")
        record = parse_spf(found[0])
        for term in record.mechanisms:
            if (yield from self._matches(term, domain)):
                return _QUALIFIERS[term.qualifier], term.text
        if record.redirect:
            return (yield from self._redirected(record, domain))
        return SpfResult.NEUTRAL, ""

    def _redirected(self, record: SpfRecord, domain: str) -> Asking[tuple[SpfResult, str]]:
        self._count(f"redirect={record.redirect}")
        target = yield from self._expanded(record.redirect, domain)
        result, reason = yield from self.check(target)
        if result is SpfResult.NONE:
            raise SpfError(f"redirect={target}: {reason}")
        return result, reason

    def _matches(self, term: Mechanism, domain: str) -> Asking[bool]:
        if term.name in {"all", "ip4", "ip6"}:
            return term.name == "all" or self._is_within(term.value, term)
        self._count(term.text)
        name = domain
        if term.value:
            name = yield from self._expanded(term.value, domain)
        if term.name == "include":
            return (yield from self._includes(name))
        return _is_name(name) and (yield from self._matches_name(term, name))

    def _matches_name(self, term: Mechanism, name: str) -> Asking[bool]:
        match term.name:
            case "a":
                found = yield from self._ask(name, self._kind)
                return any(self._is_within(address, term) for address in found)
            case "exists":
                return bool((yield from self._ask(name, "A")))
            case "mx":
                return (yield from self._matches_mx(term, name))
            case _:  # ptr
                names = yield from self._validated_names()
                return any(one == name or one.endswith(f".{name}") for one in names)

    def _includes(self, name: str) -> Asking[bool]:
        result, reason = yield from self.check(name)
        if result is SpfResult.NONE:
            raise SpfError(f"include:{name}: {reason}")
        return result is SpfResult.PASS

    def _matches_mx(self, term: Mechanism, name: str) -> Asking[bool]:
        hosts = yield from self._ask(name, "MX")
        if len(hosts) > MAX_NAMES:
            raise SpfError(f"{term.text}: {name} has more than {MAX_NAMES} MX hosts")
        for host in [text.partition(" ")[2] for text in hosts]:
            if not _is_name(host):
                continue
            found = yield from self._ask(host, self._kind, may_be_void=True)
            if any(self._is_within(address, term) for address in found):
                return True
        return False

    def _validated_names(self) -> Asking[Sequence[str]]:
        """Return the names that the address has by PTR and that lead back to it (5.5)."""
        answer = yield Question(self._address.reverse_pointer, "PTR")
        if isinstance(answer, NoAnswer):
            return ()
        if not answer.values:
            self._count_void("ptr")
        names: list[str] = []
        for name in answer.values[:MAX_NAMES]:
            back = yield Question(name, self._kind)
            found = back.values if isinstance(back, Records) else ()
            if self._address in map(ip_address, found):
                names.append(name.lower())
        return names

    def _expanded(self, text: str, domain: str) -> Asking[str]:
        if "%" not in text:
            return text.removesuffix(".").lower()
        local, _, sender_domain = self._sender.mail_from.rpartition("@")
        values = {
            "s": f"{local or 'postmaster'}@{sender_domain}",
            "l": local or "postmaster",
            "o": sender_domain,
            "d": domain,
            "i": _dotted(self._address),
            "p": "unknown",
            "v": "in-addr" if self._address.version == 4 else "ip6",
            "h": self._sender.helo,
        }
        if uses_validated_name(text):
            names = yield from self._validated_names()
            values["p"] = _best(names, domain)
        return expand(text, values).lower()

    def _ask(
        self, name: str, kind: RecordType, *, may_be_void: bool = False
    ) -> Asking[Sequence[str]]:
        answer = yield Question(name, kind)
        found = self._values(answer, name)
        if not found and not may_be_void:
            self._count_void(name)
        return found

    def _count(self, text: str) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise SpfError(f"{text} would be lookup {self.lookups} of at most {MAX_LOOKUPS}")

    def _count_void(self, name: str) -> None:
        self.void_lookups += 1
        if self.void_lookups > MAX_VOID_LOOKUPS:
            raise SpfError(f"{name} is name {self.void_lookups} of the record without an address")

    @staticmethod
    def _values(answer: Records | NoAnswer, name: str) -> Sequence[str]:
        if isinstance(answer, NoAnswer):
            raise _TemporaryError(f"{name}: {answer.error}")
        return answer.values

    def _is_within(self, address: str, term: Mechanism) -> bool:
        network = ip_address(address)
        if network.version != self._address.version:
            return False
        bits = term.v4_bits if network.version == 4 else term.v6_bits
        return self._address in ip_network((network, bits), strict=False)


def _is_name(name: str) -> bool:
    """Return whether the DNS can be asked for a name: two labels at least, none empty (4.3)."""
    labels = name.split(".")
    is_sound = all(0 < len(label.encode()) <= 63 for label in labels)
    return len(labels) > 1 and len(name.encode()) <= 253 and is_sound


def _dotted(address: IPv4Address | IPv6Address) -> str:
    """Return an address for %{i}: IPv6 as 32 nibbles with dots (7.3)."""
    if address.version == 4:
        return str(address)
    return ".".join(address.exploded.replace(":", ""))


def _best(names: Sequence[str], domain: str) -> str:
    """Return the validated name for %{p}: the domain, else one below it, else any (7.3)."""
    below = [name for name in names if name.endswith(f".{domain}")]
    return ([name for name in names if name == domain] + below + [*names, "unknown"])[0]
