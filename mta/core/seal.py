"""Keyed seals that tell our own addresses and tokens from forged ones: HMAC-SHA256, cut short.

Every use has a purpose of its own, so that what was sealed for one is never taken for another. Not
here: what is sealed (return_path.py, unsubscribe.py) and where secrets are kept. Follows RFC 2104;
cutting: RFC 2104 5.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import lru_cache

MIN_SECRET = 16
"""Octets of the shortest secret: less could be tried out."""
MIN_SEAL = 10
"""Octets of the shortest seal, 80 bits (RFC 2104 5)."""


def seal(secret: bytes, purpose: bytes, payload: bytes, size: int) -> bytes:
    """Return `size` octets, MIN_SEAL to 32, that only the holder of the secret can make.

    Raises:
        ValueError: a shorter secret than MIN_SECRET, another size, or a NUL in the purpose.
    """
    if not MIN_SEAL <= size <= 32:
        raise ValueError(f"a seal has {MIN_SEAL} to 32 octets")
    mac = _keyed(secret, purpose).copy()
    mac.update(payload)
    return mac.digest()[:size]


@lru_cache(maxsize=64)
def _keyed(secret: bytes, purpose: bytes) -> hmac.HMAC:
    """Return the HMAC of a purpose, to be gone on with in copies.

    A copy costs half of what keying anew does, which a mail with twenty tracked links feels.
    """
    if len(secret) < MIN_SECRET:
        raise ValueError(f"a secret has at least {MIN_SECRET} octets")
    if b"\0" in purpose:
        raise ValueError("a purpose holds no NUL: it ends there")
    return hmac.new(secret, purpose + b"\0", "sha256")


def is_sealed(secrets: Sequence[bytes], purpose: bytes, payload: bytes, mac: bytes) -> bool:
    """Tell whether `mac` is the seal of one of the secrets; takes the same time for any wrong one.

    Raises:
        ValueError: as seal; the size is that of `mac`, which callers cut to a fixed length.
    """
    seals = [seal(secret, purpose, payload, len(mac)) for secret in secrets]
    matches = [hmac.compare_digest(mac, expected) for expected in seals]
    return any(matches)
