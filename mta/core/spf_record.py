"""The text of an SPF record: its terms, and the macros in their names.

A record with one bad term is bad as a whole, so everything is read before anything is evaluated.
Not here: what the terms mean for an address (spf.py). Follows RFC 7208 4.6.1, 5, 6, 7 and 12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

from mta.core.frozen import frozen

QUERIES = frozenset({"include", "a", "mx", "ptr", "exists"})
"""Mechanisms that cost a lookup each (4.6.4); `redirect` is the modifier that does."""

_MACRO = r"%\{[slodiphvSLODIPHV][0-9]{0,9}[rR]?[-.+,/_=]*\}|%%|%_|%-"
_EXPLAINING = r"%\{[slodiphcrtvSLODIPHCRTV][0-9]{0,9}[rR]?[-.+,/_=]*\}|%%|%_|%-"
_LITERAL = r"[!-$&-~]"
_TOP_LABEL = r"(?![0-9]+\.?\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
"""Not all digits (7.1). Records are up to 64 KiB of anything: no pattern here may go back far."""
_DOMAIN_SPEC = re.compile(
    rf"(?:{_MACRO}|{_LITERAL})*(?:\.{_TOP_LABEL}\.?|%\{{[^}}]*\}}|%%|%_|%-)", re.ASCII
)
_ONLY_MACROS = re.compile(rf"(?:{_MACRO}|{_LITERAL})*", re.ASCII)
_MACRO_STRING = re.compile(rf"(?:{_EXPLAINING}|{_LITERAL})*", re.ASCII)
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)", re.ASCII | re.DOTALL)
_MECHANISM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9._-]*)([:/].*)?", re.ASCII | re.DOTALL)
_WITH_BITS = re.compile(r"(.*?)(?:/([0-9]+))?(?://([0-9]+))?\Z", re.DOTALL)
_EXPANSION = re.compile(r"%(?:\{([A-Za-z])(\d*)([rR]?)([-.+,/_=]*)\}|([%_-]))", re.ASCII)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_V4_BITS, _V6_BITS = 32, 128


class SpfError(ValueError):
    """The record is not valid; the message names the term (the result is "permerror")."""


@frozen
class Mechanism:
    """One term that may match.

    Attributes:
        qualifier: "+", "-", "~" or "?": what a match means.
        name: "all", "include", "a", "mx", "ptr", "ip4", "ip6" or "exists".
        value: name with macros, or address; "" is the domain itself.
        v4_bits, v6_bits: how many leading bits of an address must be equal.
        text: as it stands in the record.
    """

    qualifier: str
    name: str
    value: str
    v4_bits: int
    v6_bits: int
    text: str


@frozen
class SpfRecord:
    """An SPF record, its terms in order; redirect is the name with macros to go on at, or ""."""

    mechanisms: tuple[Mechanism, ...]
    redirect: str = ""


def is_spf(text: str) -> bool:
    """Return whether a TXT record is one of SPF, good or bad (4.5)."""
    return text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")


def parse_spf(text: str) -> SpfRecord:
    """Read a record of which is_spf() is true.

    Raises:
        SpfError: a term is unknown or malformed, or a modifier stands twice.
    """
    mechanisms: list[Mechanism] = []
    modifiers: dict[str, str] = {}
    for term in text[len("v=spf1") :].split(" "):
        if not term:
            continue
        if modifier := _MODIFIER.fullmatch(term):
            _add_modifier(modifiers, modifier[1].lower(), modifier[2], term)
        else:
            mechanisms.append(_mechanism(term))
    return SpfRecord(tuple(mechanisms), modifiers.get("redirect", ""))


def _add_modifier(modifiers: dict[str, str], name: str, value: str, term: str) -> None:
    if name not in {"redirect", "exp"}:
        if not _MACRO_STRING.fullmatch(value):
            raise SpfError(f"{term!a} is malformed")
        return
    if name in modifiers:
        raise SpfError(f"{name}= stands twice")
    modifiers[name] = _domain_spec(value, term)


def _mechanism(term: str) -> Mechanism:
    match = _MECHANISM.fullmatch(term)
    if match is None:
        raise SpfError(f"{term!a} is no term of SPF")
    qualifier, name, rest = match[1] or "+", match[2].lower(), match[3] or ""
    value, v4_bits, v6_bits = rest.removeprefix(":"), _V4_BITS, _V6_BITS
    match name:
        case "all":
            if rest:
                raise SpfError(f"{term!a}: all takes nothing")
        case "include" | "exists":
            value = _domain_spec(value if rest.startswith(":") else "", term)
        case "a" | "mx":
            value, v4_bits, v6_bits = _with_bits(rest, term)
        case "ptr":
            value = _domain_spec(value, term) if rest else ""
        case "ip4":
            value, v4_bits = _network(value if rest.startswith(":") else "", term, _V4_BITS)
        case "ip6":
            value, v6_bits = _network(value if rest.startswith(":") else "", term, _V6_BITS)
        case _:
            raise SpfError(f"{term!a} is no term of SPF")
    return Mechanism(qualifier, name, value, v4_bits, v6_bits, term)


def _domain_spec(text: str, term: str) -> str:
    if _DOMAIN_SPEC.fullmatch(text) and _ONLY_MACROS.fullmatch(text):
        return text
    raise SpfError(f"{term!a} names no domain")


def _with_bits(rest: str, term: str) -> tuple[str, int, int]:
    """Read what follows `a` or `mx`: a name, prefix lengths, both or nothing (5.3)."""
    match = _WITH_BITS.match(rest)
    if match is None:
        raise SpfError(f"{term!a} is malformed")
    name, v4_bits, v6_bits = match.groups()
    value = _domain_spec(name.removeprefix(":"), term) if name else ""
    return (
        value,
        _bits(v4_bits or str(_V4_BITS), _V4_BITS, term),
        _bits(v6_bits or str(_V6_BITS), _V6_BITS, term),
    )


def _network(text: str, term: str, most: int) -> tuple[str, int]:
    address, slash, bits = text.partition("/")
    try:
        IPv4Address(address) if most == _V4_BITS else IPv6Address(address)
    except AddressValueError:
        raise SpfError(f"{term!a} holds no address") from None
    if "%" in address:
        raise SpfError(f"{term!a} holds no address")
    return address, _bits(bits if slash else str(most), most, term)


def _bits(text: str, most: int, term: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", text) or int(text) > most:
        raise SpfError(f"{term!a} has a prefix length that is none")
    return int(text)


def uses_validated_name(text: str) -> bool:
    """Return whether a name needs the %{p} macro, which costs lookups of its own."""
    return any((macro[1] or "").lower() == "p" for macro in _EXPANSION.finditer(text))


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a name with its macros replaced, shortened from the left to 253 octets (7.3).

    Args:
        text: a name that the parser let pass.
        values: macro letter in lower case -> what it stands for.

    Raises:
        SpfError: a macro that keeps no part at all.
    """

    def replace(macro: re.Match[str]) -> str:
        letter, digits, is_reversed, delimiters, escape = macro.groups()
        if escape:
            return _ESCAPES[escape]
        value = _transformed(values[letter.lower()], digits, is_reversed, delimiters)
        return quote(value, safe="") if letter.isupper() else value

    name = _EXPANSION.sub(replace, text).removesuffix(".")
    while len(name) > 253 and "." in name:
        name = name.partition(".")[2]
    return name


def _transformed(value: str, digits: str, is_reversed: str, delimiters: str) -> str:
    parts = re.split(f"[{re.escape(delimiters)}]" if delimiters else r"\.", value)
    if is_reversed:
        parts.reverse()
    if digits:
        if int(digits) == 0:
            raise SpfError("a macro keeps no part of its value")
        parts = parts[-int(digits) :]
    return ".".join(parts)
