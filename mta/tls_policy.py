"""TLS towards other servers: which handshake to make, and who is known to fail at it.

Opportunistic TLS (RFC 7435) takes any certificate, since a stranger's server could as well be
spoken to in clear; it hides mail from those who only listen. Verified TLS is for servers that the
operator chose, before a password is sent. Not here: our own certificate (mta/tls_certificate.py).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from mta.core.expiring import ExpiringMap
from mta.core.route import TlsMode

BROKEN_FOR = 86_400.0
"""Seconds that a host with a broken STARTTLS is spoken to in clear before it is tried again."""
_MAX_BROKEN = 10_000

MINIMUM = ssl.TLSVersion.TLSv1_2
"""Set outright: Python leaves it to OpenSSL's configuration where it was built so, as in Debian."""


class TlsPolicy:
    """The TLS contexts, made once, and the memory of hosts whose STARTTLS is broken."""

    def __init__(
        self, *, clock: Callable[[], float], verified: ssl.SSLContext | None = None
    ) -> None:
        """Build the contexts.

        Args:
            clock: seconds of a clock that never goes back.
            verified: for hosts that must prove who they are; None trusts the system's authorities.
        """
        self._clock = clock
        self._verified = verified or _verifying()
        self._opportunistic = _opportunistic()
        self._broken: ExpiringMap[str, bool] = ExpiringMap(_MAX_BROKEN)

    def context(self, mode: TlsMode) -> ssl.SSLContext:
        """Return the context for a handshake in this mode."""
        return self._opportunistic if mode is TlsMode.OPPORTUNISTIC else self._verified

    def remember_broken(self, address: str) -> None:
        """Note that opportunistic STARTTLS with the server at this address does not work."""
        self._broken.put(address, True, self._clock() + BROKEN_FOR)

    def is_broken(self, address: str) -> bool:
        """Tell whether to leave opportunistic STARTTLS with this address alone for now."""
        return self._broken.get(address, self._clock()) is not None


def _verifying() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = MINIMUM
    return context


def _opportunistic() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = MINIMUM
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Old servers have short keys, which the default level refuses; in clear would be worse.
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    return context
