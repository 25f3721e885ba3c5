"""Unsubscribe links: signed tokens, and the header fields that mail programs make a button of.

A token names the queue entry, hence recipient and message, and what to unsubscribe from. It never
expires: a recipient may want out of a mail of any age. Not here: the page behind the link, where
only a POST may act because scanners follow links, and the address form (return_path.py).
Follows RFC 2369 3.2 and RFC 8058.
"""

from __future__ import annotations

import base64
import re
from binascii import Error
from collections.abc import Sequence
from urllib.parse import quote

from mta.core.address import Address
from mta.core.frozen import frozen
from mta.core.seal import is_sealed, seal

MAX_SCOPE = 128
"""Octets of a scope in UTF-8."""
MAX_URL = 800
"""Characters of a link; with an address beside it the field still fits into one header line."""
ONE_CLICK = "List-Unsubscribe=One-Click"
"""Value of List-Unsubscribe-Post, and the key and value of the POST that follows (RFC 8058 3.1)."""

_TENANT, _ENTRY, _SEAL = 4, 6, 16
_FIXED = _SEAL + _TENANT + _ENTRY
_PURPOSE = b"unsubscribe link"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{35,206}")
"""base64url of _FIXED to _FIXED + MAX_SCOPE octets, without padding."""
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~:/?@!$&'*+;=%-]*)?")
"""A URL (RFC 3986) without what ends it in the field: angle brackets, commas, parentheses, space.
It has a host and no user, and no fragment, which no POST would send."""


@frozen
class Unsubscribe:
    """Who wants to get what no more.

    Attributes:
        tenant_id: whose mail it was, 0 to 2**32 - 1.
        entry_number: row number of the queue entry, 0 to 2**48 - 1; its recipient unsubscribes.
        scope: id of the list, or "" for everything that the tenant sends.
    """

    tenant_id: int
    entry_number: int
    scope: str = ""


@frozen
class UnsubscribeOffer:
    """What a message offers its recipients.

    Attributes:
        scope: id of the list to get out of, or "" for everything that the tenant sends.
        url: the sender's own page; "" for ours, whose links hold a token for each recipient.
        is_one_click: whether mail programs may unsubscribe without showing a page.
    """

    scope: str = ""
    url: str = ""
    is_one_click: bool = True


def token(wish: Unsubscribe, secret: bytes) -> str:
    """Return the token for a link: letters, digits, "-" and "_", 35 to 206 of them.

    Raises:
        ValueError: a number or a scope outside its range, or a short secret.
    """
    scope = wish.scope.encode()
    if len(scope) > MAX_SCOPE:
        raise ValueError(f"the scope is longer than {MAX_SCOPE} octets")
    try:
        numbers = wish.tenant_id.to_bytes(_TENANT, "big") + wish.entry_number.to_bytes(
            _ENTRY, "big"
        )
    except OverflowError:
        raise ValueError("tenant or entry is outside the range of a token") from None
    payload = numbers + scope
    return _text(seal(secret, _PURPOSE, payload, _SEAL) + payload)


def read_token(text: str, secrets: Sequence[bytes]) -> Unsubscribe | None:
    """Return what a token says; None for every text that is not one, whatever is wrong with it.

    Args:
        text: what the link had, from anybody.
        secrets: the one that signs now and all before it: a token lives as long as its secret.

    Raises:
        ValueError: a secret that is too short.
    """
    sealed = _octets(text)
    mac, payload = sealed[:_SEAL], sealed[_SEAL:]
    if len(sealed) < _FIXED or not is_sealed(secrets, _PURPOSE, payload, mac):
        return None
    numbers, scope = payload[: _TENANT + _ENTRY], payload[_TENANT + _ENTRY :]
    return Unsubscribe(
        tenant_id=int.from_bytes(numbers[:_TENANT], "big"),
        entry_number=int.from_bytes(numbers[_TENANT:], "big"),
        scope=scope.decode(),
    )


def header_fields(
    url: str, mailto: Address | None, *, is_one_click: bool = True
) -> tuple[tuple[str, str], ...]:
    """Return names and values of the fields; the signature of the mail must cover them all.

    One-click needs https (RFC 8058 3.1): with a plain http link only List-Unsubscribe is returned,
    and mail programs open the page instead.

    Args:
        url: the link, http or https, at most MAX_URL characters.
        mailto: the unsubscribe address, the second choice; None for none.
        is_one_click: whether a POST to the link unsubscribes.

    Raises:
        ValueError: the URL has another form, or a character that would end it in the field.
    """
    if len(url) > MAX_URL or not _URL.fullmatch(url):
        raise ValueError("not an http or https URL that a List-Unsubscribe field can hold")
    ways = [f"<{url}>"]
    if mailto is not None:
        local = quote(mailto.local, safe="")
        ways.append(f"<mailto:{local}@{mailto.domain}?subject=unsubscribe>")
    fields = [("List-Unsubscribe", ", ".join(ways))]
    if is_one_click and url.startswith("https:"):
        fields.append(("List-Unsubscribe-Post", ONE_CLICK))
    return tuple(fields)


def _octets(text: str) -> bytes:
    """Return what base64url text holds; b"" where it is none, or not the one spelling of it."""
    if not _TOKEN.fullmatch(text):
        return b""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Error:
        return b""
    return octets if _text(octets) == text else b""


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")
