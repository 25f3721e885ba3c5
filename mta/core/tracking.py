"""Opens and clicks of each recipient: what is put into HTML, and the tokens that come back.

A message that is tracked is stored once, with placeholders of a fixed length where its recipients
differ; at delivery each becomes a token that names the queue entry. A click link holds its target
and a seal over entry and target together, so that the page behind it needs no look-up and leads
nowhere but where the sender wanted: it is no open redirect.

    {base}/t/o/TOKEN.gif            an image of one pixel at the end of the body
    {base}/t/c/TOKEN/TARGET         TARGET is the address in base64url

A letter to many may have one more place: that of a link to unsubscribe with.

Not here: finding links (html_links.py), encoding (mime_parts.py), counting (storage/tracking.py).
"""

from __future__ import annotations

import base64
import re
from binascii import Error
from collections.abc import Sequence
from html import escape
from urllib.parse import urlsplit

from mta.core.frozen import frozen
from mta.core.html_links import find_links
from mta.core.seal import is_sealed, seal

TOKEN_SIZE = 35
"""Characters of a token and of a placeholder."""
MAX_LINKS = 9_998
"""Tracked links of one message; the rest stay as they are."""
_LEAVING = 9_999
"""The number of the place whose token unsubscribes."""
MAX_TARGET = 2_048
"""Characters of a tracked address; longer ones stay as they are."""

_TENANT, _ENTRY, _SEAL = 4, 6, 16
_NUMBER = 4
_OPEN, _CLICK, _LEAVE = b"open", b"click", b"leave"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{35}")
_PIXEL = '<img src="{}" width="1" height="1" alt="" style="border:0">'


@frozen
class Tracking:
    """What is noted of a message's recipients."""

    opens: bool = False
    clicks: bool = False

    def __bool__(self) -> bool:
        """Tell whether anything is."""
        return self.opens or self.clicks


NO_TRACKING = Tracking()


@frozen
class Places:
    """Where a stored message has placeholders.

    Attributes:
        nonce: what they begin with; nobody who wrote the message could know it.
        targets: the address behind each link, by number from 1; number 0 is the pixel, and the
            last one of all unsubscribes.
    """

    nonce: str
    targets: tuple[str, ...]


@frozen
class Hit:
    """Who opened, or clicked at what.

    Attributes:
        tenant_id, entry_number: whose mail, and to whom, as in a token.
        target: the address clicked at; "" for an opening.
    """

    tenant_id: int
    entry_number: int
    target: str = ""


def track(
    html: str, tracking: Tracking, *, base_url: str, entropy: bytes
) -> tuple[list[str], Places]:
    """Return a document with placeholders, as pieces each odd one of which is one, and the places.

    Args:
        html: the document.
        tracking: what to add.
        base_url: where hits go, without a slash at its end; links that lead there stay as they are,
            and so do those with a place of their own.
        entropy: at least 24 random bytes.
    """
    nonce = _nonce(entropy)
    found = find_links(html)
    pieces: list[str] = []
    targets: list[str] = []
    at, before = 0, ""
    for link in found.links if tracking.clicks else ():
        is_wanted = not link.is_marked_off and nonce not in link.url
        if len(targets) < MAX_LINKS and is_wanted and _leads_out(link.url, base_url):
            targets.append(link.url)
            quote = "" if link.is_quoted else '"'
            before += f"{html[at : link.start]}{quote}{base_url}/t/c/"
            pieces += [before, _place(nonce, len(targets))]
            before, at = f"/{_base64(link.url.encode())}{quote}", link.end
    if tracking.opens:
        end = max(found.body_end, at)
        image, rest = _PIXEL.format(f"{escape(base_url)}/t/o/\0.gif").split("\0")
        pieces += [f"{before}{html[at:end]}{image}", _place(nonce, 0)]
        before, at = rest, end
    return [*pieces, before + html[at:]], Places(nonce, tuple(targets))


def place_to_leave(entropy: bytes) -> str:
    """Return the placeholder of a token that unsubscribes; `entropy` as of track()."""
    return _place(_nonce(entropy), _LEAVING)


def places_of(entropy: bytes) -> Places:
    """Return the places of a message that is not tracked, but may have that one."""
    return Places(_nonce(entropy), ())


def _nonce(entropy: bytes) -> str:
    return base64.urlsafe_b64encode(entropy[:24]).decode()[: TOKEN_SIZE - _NUMBER]


def cut(html: str, places: Places) -> list[str]:
    """Return a document that has placeholders in pieces, each odd one of which is one."""
    return re.split(f"({re.escape(places.nonce)}[0-9]{{{_NUMBER}}})", html)


def fill(body: bytes, places: Places, secret: bytes, *, tenant_id: int, entry: int) -> bytes:
    """Return a stored body with the tokens of one recipient; it is as long as before."""
    numbers = _numbers(tenant_id, entry)

    def token(match: re.Match[bytes]) -> bytes:
        number = int(match[1])
        if 0 < number < _LEAVING:
            return _token(_CLICK, numbers, places.targets[number - 1].encode(), secret)
        return _token(_LEAVE if number else _OPEN, numbers, b"", secret)

    return re.sub(re.escape(places.nonce).encode() + rb"(\d{4})", token, body)


def read_open(token: str, secrets: Sequence[bytes]) -> Hit | None:
    """Return who opened; None for every text that is not a token of ours."""
    return _read(token, _OPEN, "", secrets)


def read_leave(token: str, secrets: Sequence[bytes]) -> Hit | None:
    """Return who wants no more of the list that a mail was sent to; None as read_open()."""
    return _read(token, _LEAVE, "", secrets)


def read_click(token: str, target: str, secrets: Sequence[bytes]) -> Hit | None:
    """Return who clicked at what.

    Args:
        token: as it stands in the link.
        target: what follows it, base64url.
        secrets: the one that signs now and all before it.

    Returns:
        None unless token and target were made for each other by us.
    """
    try:
        url = base64.urlsafe_b64decode(target + "=" * (-len(target) % 4)).decode()
    except (Error, ValueError):
        return None
    return _read(token, _CLICK, url, secrets) if url else None


def _leads_out(url: str, base_url: str) -> bool:
    if len(url) > MAX_TARGET or any(ord(each) <= 32 for each in url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_web = parts.scheme in {"http", "https"} and bool(parts.netloc)
    return is_web and not url.startswith(f"{base_url}/")


def _place(nonce: str, number: int) -> str:
    return f"{nonce}{number:0{_NUMBER}d}"


def _numbers(tenant_id: int, entry_number: int) -> bytes:
    return tenant_id.to_bytes(_TENANT, "big") + entry_number.to_bytes(_ENTRY, "big")


def _token(purpose: bytes, numbers: bytes, target: bytes, secret: bytes) -> bytes:
    mac = seal(secret, purpose, numbers + target, _SEAL)
    return base64.urlsafe_b64encode(mac + numbers)[:TOKEN_SIZE]  # without padding


def _read(token: str, purpose: bytes, target: str, secrets: Sequence[bytes]) -> Hit | None:
    if not _TOKEN.fullmatch(token):
        return None
    octets = base64.urlsafe_b64decode(token + "=")
    mac, numbers = octets[:_SEAL], octets[_SEAL:]
    if not is_sealed(secrets, purpose, numbers + target.encode(), mac):
        return None
    tenant, entry = numbers[:_TENANT], numbers[_TENANT:]
    return Hit(int.from_bytes(tenant, "big"), int.from_bytes(entry, "big"), target)


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")
