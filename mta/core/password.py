"""Passwords of people: what may be one, and the slow hash that storage keeps.

The hash is Argon2id in the text form that all its implementations share, so that its cost can be
raised later: what is stored says how it was made. Normalised first, because keyboards differ in how
they compose letters (RFC 8265 4.2.2). Takes about 25 ms and 19 MiB: call it aside from an event
loop. Follows RFC 9106. Not here: keys, which are long and random (api_key.py).
"""

from __future__ import annotations

import base64
import hmac
import re
import unicodedata

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MIN_LENGTH, MAX_LENGTH = 12, 256
"""Characters of a password."""
SALT_SIZE = 16
"""Octets of a salt (RFC 9106 3.1)."""

_HASH_SIZE = 32
_MEMORY, _PASSES, _LANES = 19_456, 2, 1
"""KiB, passes and lanes: what OWASP's password storage cheat sheet asks for at the least."""
_COST = f"$argon2id$v=19$m={_MEMORY},t={_PASSES},p={_LANES}$"
_STORED = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,2})"
    r"\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})"
)
DECOY = f"{_COST}{'A' * 22}${'A' * 43}"
"""Stands for the hash of a user that there is not, so that looking takes as long."""


def problem_of(password: str, email: str) -> str:
    """Return in one sentence why this cannot be the password of `email`; "" when it can."""
    if len(password) < MIN_LENGTH:
        return f"A password has at least {MIN_LENGTH} characters."
    if len(password) > MAX_LENGTH:
        return f"A password has at most {MAX_LENGTH} characters."
    if len(set(password)) < 4:
        return "This password repeats too few characters."
    if email and password.casefold() in (email.casefold(), email.casefold().partition("@")[0]):
        return "A password must not be the email address."
    return ""


def hash_password(password: str, salt: bytes) -> str:
    """Return what storage keeps in place of a password; `salt` is SALT_SIZE random octets."""
    return f"{_COST}{_text(salt)}${_text(_derive(password, salt, _MEMORY, _PASSES, _LANES))}"


def is_password(password: str, stored: str) -> bool:
    """Tell whether a password is the one whose hash was stored.

    Raises:
        ValueError: what is stored is no such hash.
    """
    match = _STORED.fullmatch(stored)
    if match is None:
        raise ValueError("a stored password hash is damaged")
    memory, passes, lanes = (int(number) for number in match.group(1, 2, 3))
    found = _derive(password, _octets(match[4]), memory, passes, lanes)
    return hmac.compare_digest(found, _octets(match[5]))


def is_outdated(stored: str) -> bool:
    """Tell whether a hash was made at another cost than today's."""
    return not stored.startswith(_COST)


def _derive(password: str, salt: bytes, memory: int, passes: int, lanes: int) -> bytes:
    normal = unicodedata.normalize("NFC", password)
    function = Argon2id(
        salt=salt, length=_HASH_SIZE, iterations=passes, lanes=lanes, memory_cost=memory
    )
    return function.derive(normal.encode("utf-8", "surrogatepass"))


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii").rstrip("=")


def _octets(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
