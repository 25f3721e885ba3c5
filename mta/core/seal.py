"""Keyed seals that tell our own addresses and tokens from forged ones: HMAC-SHA256, cut short.

Every use has a purpose of its own, so that what was sealed for one is never taken for another. Not
here: what is sealed (return_path.py, unsubscribe.py) and where secrets are kept. Follows RFC 2104;
cutting: RFC 2104 5.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

MIN_SECRET = 16
"""Octets of the shortest secret: less could be tried out."""
MIN_SEAL = 10
"""Octets of the shortest seal, 80 bits (RFC 2104 5)."""
_BLOCK = 64
"""Octets that SHA-256 takes at a time."""
_PADS = tuple(bytes(octet ^ pad for octet in range(256)) for pad in (0x36, 0x5C))
"""Tables that put ipad and opad over a key."""


def seal(secret: bytes, purpose: bytes, payload: bytes, size: int) -> bytes:
    """Return `size` octets, MIN_SEAL to 32, that only the holder of the secret can make.

    Raises:
        ValueError: a shorter secret than MIN_SECRET, another size, or a NUL in the purpose.
    """
    if not MIN_SEAL <= size <= 32:
        raise ValueError(f"a seal has {MIN_SEAL} to 32 octets")
    return _keyed(secret, purpose)(payload)[:size]


@lru_cache(maxsize=64)
def _keyed(secret: bytes, purpose: bytes) -> Callable[[bytes], bytes]:
    """Return HMAC-SHA256 of what follows a purpose (RFC 2104 2).

    Going on from hashes that have the key in them takes a fifth of the time of hmac.digest, which
    a mail with twenty tracked links feels.
    """
    if len(secret) < MIN_SECRET:
        raise ValueError(f"a secret has at least {MIN_SECRET} octets")
    if b"\0" in purpose:
        raise ValueError("a purpose holds no NUL: it ends there")
    key = secret if len(secret) <= _BLOCK else sha256(secret).digest()
    inner, outer = (sha256(key.ljust(_BLOCK, b"\0").translate(pad)) for pad in _PADS)
    inner.update(purpose + b"\0")

    def mac(payload: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        first.update(payload)
        second.update(first.digest())
        return second.digest()

    return mac


def is_sealed(secrets: Sequence[bytes], purpose: bytes, payload: bytes, mac: bytes) -> bool:
    """Tell whether `mac` is the seal of one of the secrets; takes the same time for any wrong one.

    Raises:
        ValueError: as seal; the size is that of `mac`, which callers cut to a fixed length.
    """
    seals = [seal(secret, purpose, payload, len(mac)) for secret in secrets]
    matches = [hmac.compare_digest(mac, expected) for expected in seals]
    return any(matches)
