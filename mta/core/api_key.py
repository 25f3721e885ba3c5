"""API keys and tokens of users: their form, their checksum and the hash that storage keeps.

A key is "mta_live_" or "mta_test_", 32 base62 characters (190 bits) and a checksum of 6 more, so
that a typing error is told from a revoked key without asking storage, and secret scanners can tell
a key from noise. What a user gets for a password is "mta_user_" and the same, what stands in a
one-time link "mta_once_". Not here: who may use it (storage/tenants.py, storage/user_tokens.py).
"""

from __future__ import annotations

import hashlib
import re
import zlib

LOGIN_PAGE = "/login/"
"""Path of one-time links, in front of the token."""
ENTROPY_SIZE = 24
"""Bytes of randomness that a key takes."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECKSUM = 32, 6
_KEY = re.compile(rf"mta_(?:live|test|user|once)_[0-9A-Za-z]{{{_BODY + _CHECKSUM}}}")
_USER, _ONCE = "mta_user_", "mta_once_"


def format_key(entropy: bytes, *, is_test: bool = False) -> str:
    """Return the key for ENTROPY_SIZE random bytes.

    Raises:
        ValueError: another number of bytes.
    """
    return _format("mta_test_" if is_test else "mta_live_", entropy)


def format_session(entropy: bytes) -> str:
    """Return the token of a user who has logged in; arguments and errors as format_key."""
    return _format(_USER, entropy)


def format_login_token(entropy: bytes) -> str:
    """Return the token of a one-time link; arguments and errors as format_key."""
    return _format(_ONCE, entropy)


def login_url(base_url: str, token: str) -> str:
    """Return where the one-time link with this token leads; base_url: of the API."""
    return f"{base_url}{LOGIN_PAGE}{token}"


def _format(prefix: str, entropy: bytes) -> str:
    if len(entropy) != ENTROPY_SIZE:
        raise ValueError(f"a key takes {ENTROPY_SIZE} bytes of entropy")
    body = prefix + _base62(int.from_bytes(entropy, "big"), _BODY)
    return body + _checksum(body)


def looks_like_key(text: str) -> bool:
    """Tell whether the text has the form of a key or token and its checksum is right."""
    return bool(_KEY.fullmatch(text)) and text[-_CHECKSUM:] == _checksum(text[:-_CHECKSUM])


def is_session(text: str) -> bool:
    """Tell whether what looks like a key is the token of a user who has logged in."""
    return text.startswith(_USER)


def is_login_token(text: str) -> bool:
    """Tell whether a text has the form of the token of a one-time link."""
    return text.startswith(_ONCE) and looks_like_key(text)


def key_hash(key: str) -> bytes:
    """Return the SHA-256 that is stored in place of the key, 32 bytes.

    A plain hash is enough: there are 190 random bits to guess, not a password.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def last4(key: str) -> str:
    """Return the last four characters, by which people recognise a key in a list."""
    return key[-4:]


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), _CHECKSUM)


def _base62(number: int, width: int) -> str:
    """Return the lowest `width` base62 digits of a number, zeros in front where it is short."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
