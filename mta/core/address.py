"""Mail addresses, parsed once into one type that knows its wire bytes and its suppression key.

Not here: whether an address may be used (policy), and lists of addresses (header.py). Follows
RFC 5321 4.1.2 and 4.1.3 strictly, RFC 6531 3.3 for UTF-8 local parts, and IDNA2008 for domains
(RFC 5891, mapped by UTS 46 without its transitional rules). Owner of idna.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

import idna

from mta.core.frozen import frozen

MAX_LOCAL = 64
"""Octets of a local part, quotes included (RFC 5321 4.5.3.1.1)."""
MAX_ADDRESS = 254
"""Octets of a whole address: a path of 256 less its angle brackets (RFC 5321 4.5.3.1.3)."""
MAX_MAILBOX = 1000
"""Characters of a display name and address together; a header line holds 998."""

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_NAME = rf"(?:{_LABEL}\.)+(?![0-9]+\Z){_LABEL}|(?i:localhost)"
_PLAIN = re.compile(rf"([{_ATEXT}]++(?:\.[{_ATEXT}]++)*)@({_NAME})")
_DOMAIN = re.compile(_NAME)
_LOCAL = re.compile(
    rf"[\x80-\U0010ffff{_ATEXT}]++(?:\.[\x80-\U0010ffff{_ATEXT}]++)*"
    r'|"(?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])+"'
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_LITERAL = re.compile(r"\[(?:(IPv6:)([0-9A-Fa-f:.]+)|([0-9.]+))\]", re.IGNORECASE)
_NAMED = re.compile(r'(?:"((?:[^"\\]|\\.)*)" *+|([^"<>,;]*+))<([^<>]*+)>')


class AddressError(ValueError):
    """The text is not an address; the message is one printable sentence that says why."""


@frozen
class Address:
    """One address, made by parse_address.

    Attributes:
        local: local part as on the wire: a dot-string, or a quoted string with its quotes.
        domain: A-labels in lower case, or a literal: "[192.0.2.1]", "[IPv6:2001:db8::1]".
    """

    local: str
    domain: str

    @property
    def wire(self) -> bytes:
        """What stands between < and > in MAIL and RCPT; UTF-8 where needs_smtputf8, else ASCII."""
        return str(self).encode()

    @property
    def needs_smtputf8(self) -> bool:
        """True when the local part is not ASCII: the peer must offer SMTPUTF8 (RFC 6531)."""
        return not self.local.isascii()

    @property
    def key(self) -> str:
        """The suppression key: equal for two spellings of one mailbox.

        The local part without its quoting and in NFC, its case kept because only its own host may
        fold it (RFC 5321 2.4), then "@" and the domain.
        """
        local = self.local
        if local[:1] == '"':
            local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
        return f"{unicodedata.normalize('NFC', local)}@{self.domain}"

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """Return the address that `text` is, wholly: no spaces around it, no angle brackets, no name.

    A percent hack, a bang path or a leading dash or pipe is an ordinary local part (RFC 5321 gives
    it no meaning, and no local part ever reaches a shell here). An A-label is taken as it is. The
    empty quoted string, which no host uses, is refused.

    Raises:
        AddressError: anything that is not a Mailbox of RFC 5321 4.1.2 as RFC 6531 extends it.
    """
    if len(text) > MAX_ADDRESS:
        raise AddressError(f"the address is longer than {MAX_ADDRESS} octets")
    if plain := _PLAIN.fullmatch(text):
        local, domain = plain[1], plain[2].lower()
    else:
        local, domain = _split(text)
    if len(local) > MAX_LOCAL or len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"the local part is longer than {MAX_LOCAL} octets")
    address = Address(local, domain)
    if not plain and len(address.wire) > MAX_ADDRESS:  # a plain one is as long as its text
        raise AddressError(f"the address is longer than {MAX_ADDRESS} octets")
    return address


def parse_path(text: str) -> Address | None:
    """Return the address in "<local@domain>", or None for the null path "<>" (RFC 5321 4.1.2).

    Raises:
        AddressError: no angle brackets, a source route, or a bad address.
    """
    if len(text) < 2 or text[0] != "<" or text[-1] != ">":
        raise AddressError("the address must stand between < and >")
    if text == "<>":
        return None
    if text[1] == "@":
        raise AddressError("source routes are not accepted")
    return parse_address(text[1:-1])


def parse_mailbox(text: str) -> tuple[str, Address]:
    """Return display name ("" for none) and address of 'Name <a@b>', '"Name" <a@b>' or 'a@b'.

    Spaces around the whole and around the name are dropped. A name with a comma, a semicolon or
    an angle bracket must be quoted: unquoted it is more likely a list than a name.

    Raises:
        AddressError: no such form, a control character in the name, or a bad address.
    """
    if len(text) > MAX_MAILBOX:
        raise AddressError(f"name and address are longer than {MAX_MAILBOX} characters")
    text = text.strip(" ")
    if not text.endswith(">"):
        return "", parse_address(text)
    named = _NAMED.fullmatch(text)
    if named is None:
        raise AddressError("expected one address, or Name <address> with special names quoted")
    quoted, bare, address = named.groups()
    name = bare if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)
    if not (name.isascii() and name.isprintable()):
        _refuse_controls(name)
    return name.strip(" "), parse_address(address)


_NEVER_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of controls, surrogates and line separators; scripts need the other format ones."""


def _refuse_controls(name: str) -> None:
    for character in name:
        if unicodedata.category(character) in _NEVER_IN_NAMES:
            raise AddressError(f"the name contains the character U+{ord(character):04X}")


def to_ascii_domain(name: str) -> str:
    """Return a domain name as A-labels in lower case, without a trailing dot.

    Raises:
        AddressError: not a host name of two or more labels (or "localhost"), or no IDNA2008 name.
    """
    ascii_name = name
    if not name.isascii():
        _refuse_invisible(name)
        try:
            ascii_name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError as error:  # idna.IDNAError is one
            raise AddressError(f"the domain is not a valid IDN: {_one_line(error)}") from None
    if len(ascii_name) > MAX_ADDRESS or not _DOMAIN.fullmatch(ascii_name):
        raise AddressError("the domain is not a host name of at least two labels")
    return ascii_name.lower()


def _split(text: str) -> tuple[str, str]:
    """Return local part and domain of an address that is not plain, or say what is wrong."""
    _refuse_invisible(text)
    local, at, domain = text.rpartition("@")
    if not at or not domain:
        raise AddressError("the address has no domain")
    if not local:
        raise AddressError("the address has no local part")
    if local[0] == "@":
        raise AddressError("source routes are not accepted")
    if not _LOCAL.fullmatch(local):
        raise AddressError("the local part has a character that must be quoted or is not allowed")
    return local, _literal(domain) if domain[0] == "[" else to_ascii_domain(domain)


def _literal(text: str) -> str:
    """Return an address literal in its one normal spelling (RFC 5321 4.1.3)."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise AddressError("the domain is not a valid address literal")
    tag, v6, v4 = match.groups()
    try:
        return f"[IPv6:{ipaddress.IPv6Address(v6)}]" if tag else f"[{ipaddress.IPv4Address(v4)}]"
    except ipaddress.AddressValueError:
        raise AddressError("the domain is not a valid address literal") from None


def _refuse_invisible(text: str) -> None:
    """Refuse controls, surrogates, bidi and format characters, separators other than a space."""
    for character in text:
        if character != " " and unicodedata.category(character)[0] in "CZ":
            raise AddressError(f"the address contains the character U+{ord(character):04X}")


def _one_line(error: Exception) -> str:
    return ascii(str(error))[1:-1][:200]
