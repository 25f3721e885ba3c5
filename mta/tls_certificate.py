"""Our own certificate for incoming TLS, replaced while running when its files change.

Not here: checking the certificates of others (mta/smtp_client.py). TLS 1.2 and later (RFC 8996).
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509

MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2 for clients of ours: from Mozilla's intermediate list, without CBC (Lucky 13)."""
COMPATIBLE = ""
"""OpenSSL's own choice, for servers of the world: older ones would rather send in clear."""

CHECK_INTERVAL = 1.0
"""Seconds between two looks at the files, however many handshakes there are."""

logger = logging.getLogger(__name__)


class TlsCertificateError(Exception):
    """Certificate and key cannot be used; the message names the files and says why."""


class ServerTls:
    """A certificate chain and its key, both PEM files.

    Each handshake takes the files as they are: renewing a certificate needs no restart. A pair that
    cannot be used, half replaced perhaps, is logged once, and the last good pair stays.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        ciphers: str = COMPATIBLE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load the pair.

        Args:
            certificate: the file of the chain.
            key: the file of its key.
            ciphers: MODERN or COMPATIBLE; TLS 1.3 has modern ones only.
            monotonic: seconds that never jump.

        Raises:
            TlsCertificateError
        """
        self._certificate = certificate
        self._key = key
        self._ciphers = ciphers
        self._monotonic = monotonic
        self._next_check = monotonic() + CHECK_INTERVAL
        self._stamps = self._read_stamps()
        self._newest = self._load()
        self._front = self._newest
        self._front.sni_callback = self._choose

    @property
    def context(self) -> ssl.SSLContext:
        """The context for all handshakes; each then gets the newest good pair."""
        return self._front

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        """Give a handshake the newest pair; OpenSSL calls this whether a name is sent or not."""
        if self._monotonic() >= self._next_check:
            self._next_check = self._monotonic() + CHECK_INTERVAL
            self._refresh()
        connection.context = self._newest

    def _refresh(self) -> None:
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._newest = self._load()
        except TlsCertificateError as error:
            logger.error("%s; the certificate loaded before stays in use", error)  # noqa: TRY400
        else:
            logger.info("loaded the new certificate %s", self._certificate)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        try:
            context.load_cert_chain(self._certificate, self._key)
        except OSError as error:  # ssl.SSLError is one
            pair = f"certificate {self._certificate} with key {self._key}"
            raise TlsCertificateError(f"{pair}: {error.strerror or error}") from error
        return context

    def _read_stamps(self) -> tuple[tuple[int, int] | None, ...]:
        """Return modification time and inode of both files; None for one that is missing."""
        return tuple(_stamp(path) for path in (self._certificate, self._key))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def valid_until(certificate: Path) -> datetime:
    """Return when the first certificate of a chain that ends does (aware, UTC).

    Raises:
        TlsCertificateError: the file cannot be read.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise TlsCertificateError(f"{certificate}: {error}") from error
    return min(one.not_valid_after_utc for one in chain)
